// The live page: takes what is news from the stream, keeps it, and shows it.

import texts from "/page/texts.js";
import { clock, plot, strip } from "/page/plot.js";

const language = document.documentElement.lang;
const words = texts[language];
const t = (key) => words[key] ?? key;
// A word of a closed list of the wire; one that is newer than this page stands as it is.
const word = (prefix, name) => words[prefix + name] ?? name;
const number = (digits, more = {}) =>
  new Intl.NumberFormat(language, { minimumFractionDigits: digits, maximumFractionDigits: digits, ...more });
const signed = number(1, { signDisplay: "exceptZero" });
const one = number(1), whole = number(0), percent = number(1, { style: "percent" });
const time = new Intl.DateTimeFormat(language, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });

const GLYPHS = { undecided: "\u2026", accepted: "\u2713", suspect: "?", rejected: "\u2717", changed: "\u21c4", inconclusive: "~" };
const RULES = { pending: "\u25f7", met: "\u2713", violated: "\u2717", not_applicable: "\u2013", unknown: "?" };
const KINDS = { speaker: "\u25c9", watchlist: "!", keyword: "\u275d", rule: "\u00a7", enrollment: "+", pause: "\u2016" };
// Up to so many calls are opened as they come; more would be a page that nobody overlooks.
const OPENED = 4;
const ROWS = 50;
const EVENTS = 40, EVENTS_SHOWN = 8, ANNOUNCED = 3;
// The server sends something every 5 s.
const SILENCE_MS = 15_000, AGAIN_MS = 3_000;

const known = new Map();
let offset = 0, rows = ROWS, stream, heard = Date.now();

const find = (id) => document.getElementById(id);
const make = (name, attributes = {}, ...children) => {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) if (value !== undefined) made.setAttribute(key, value);
  made.append(...children.filter((child) => child !== undefined && child !== ""));
  return made;
};
const badge = (kind, glyph, text, title) =>
  make("span", { class: `badge ${kind}`, title }, make("span", { "aria-hidden": "true" }, glyph), ` ${text}`);
const now = () => Date.now() + offset;

const decisionOf = (leg) => leg.speaker && (leg.speaker.decision ?? (leg.speaker.reason ? "inconclusive" : "undecided"));
const alarming = (call) =>
  call.rules.some((rule) => rule.state === "violated") ||
  call.legs.some((leg) => leg.one_way || ["suspect", "rejected", "changed"].includes(decisionOf(leg))) ||
  call.events.some((event) => event.kind === "watchlist");

// -- keeping ---------------------------------------------------------------------------------------------------------

const merge = (news) => {
  const call = known.get(news.reference) ?? { legs: [], events: [] };
  const legs = news.legs.map((leg) => {
    const before = call.legs.find((other) => other.number === leg.number);
    const points = leg.all_points || !before ? leg.points : [...before.points, ...leg.points];
    // A spurt that was not over comes again.
    const fresh = new Set(leg.talk.map(([from]) => from));
    const talk = [...(before?.talk ?? []).filter(([from]) => !fresh.has(from)), ...leg.talk].slice(-60);
    return { ...leg, points, talk };
  });
  const seen = new Set(call.events.map((event) => event.number));
  const events = [...call.events, ...news.events.filter((event) => !seen.has(event.number))].slice(-EVENTS);
  const merged = { ...call, ...news, over_ms: news.over_ms, legs, events };
  known.set(news.reference, merged);
  return merged;
};

// -- one call --------------------------------------------------------------------------------------------------------

const decisionBadge = (leg) => {
  const decision = decisionOf(leg);
  if (!decision) return make("span", { class: "dim" }, t("speaker.none"));
  const why = leg.speaker.reason ? word("obstacle.", leg.speaker.reason) : undefined;
  return badge(decision, GLYPHS[decision] ?? "", word("decision.", decision), why);
};

const lineBadges = (leg) => [
  leg.one_way ? badge("bad", "\u26a0", t("line.one_way")) : "",
  leg.paused ? badge("warn", "\u2016", t("line.paused")) : "",
  leg.held ? badge("warn", "\u2016", t("line.held")) : "",
];

const summaryOf = (call) => {
  const count = (state) => call.rules.filter((rule) => rule.state === state).length;
  const rules = ["violated", "unknown", "pending", "met"].filter(count).map((state) => {
    const kind = { violated: "rejected", unknown: "suspect", met: "accepted" }[state] ?? "undecided";
    return badge(kind, RULES[state], `${count(state)} ${word("rule.", state)}`);
  });
  const parties = call.legs.filter((leg) => !leg.end || call.over_ms !== undefined).slice(-2).map((leg) =>
    make("span", { class: "party" }, make("span", { class: "dim" }, word("party.", leg.party)), leg.speaker ? decisionBadge(leg) : "", ...lineBadges(leg)));
  const end = call.over_ms === undefined ? undefined : String(call.over_ms);
  return [
    make("h3", { class: "id" }, call.conversation ?? call.reference),
    make("time", { class: "lasts", "data-since": String(call.started_ms), "data-until": end }, clock(((call.over_ms ?? now()) - call.started_ms) / 1000)),
    make("span", { class: "parties" }, ...parties),
    make("span", { class: "rules" }, ...rules),
  ];
};

const describe = (leg) => {
  const score = leg.points.map((point) => point[1]);
  if (!score.length) return `${word("party.", leg.party)}: ${t("plot.none")}`;
  const marks = leg.marks.map(([s, decision]) => `${word("decision.", decision)} ${clock(s)}`).join(", ");
  const figures = `${signed.format(score.at(-1))}, ${t("plot.between")} ${signed.format(Math.min(...score))} ${t("plot.and")} ${signed.format(Math.max(...score))}`;
  return `${t("plot.score")} (${word("party.", leg.party)}): ${figures}${marks ? `; ${marks}` : ""}`;
};

// Of what is shown of it, seconds.
const talked = (leg) => leg.talk.reduce((sum, [from, to]) => sum + Math.max(0, (to ?? leg.now_s) - from), 0);

const fact = (name, value) => make("div", {}, make("dt", {}, name), make("dd", {}, value));

const lineFacts = (line) => line ? [
  fact(t("line.codec"), line.codec ? line.codec + (line.encryption ? ` \u00b7 ${line.encryption.toUpperCase()}` : "") : "\u2013"),
  fact(t("line.loss"), percent.format(line.loss)),
  fact(t("line.jitter"), `${one.format(line.jitter_ms)} ms`),
  fact(t("line.snr"), line.snr_db === undefined ? "\u2013" : `${whole.format(line.snr_db)} dB`),
  fact(t("line.speech"), `${whole.format(line.speech_s)} / ${whole.format(line.audio_s)} s`),
] : [];

const legOf = (leg) => {
  const speaker = leg.speaker;
  const section = make("section", { class: leg.end ? "leg ended" : "leg", "data-party": leg.party });
  section.append(make("h4", {}, word("party.", leg.party), leg.end ? make("span", { class: "dim" }, ` \u00b7 ${word("end.", leg.end)}`) : ""),
    make("p", { class: "state" }, decisionBadge(leg), ...lineBadges(leg),
      speaker?.reason ? make("span", { class: "dim" }, word("obstacle.", speaker.reason)) : ""));
  const who = [leg.subject ? fact(t("leg.subject"), leg.subject) : "", leg.channel ? fact(t("leg.channel"), leg.channel) : ""];
  if (who.some(Boolean)) section.append(make("dl", { class: "facts" }, ...who));
  if (speaker) {
    section.append(plot(leg, describe(leg), GLYPHS));
    section.append(make("dl", { class: "facts" },
      fact(t("speaker.llr"), speaker.llr === null || speaker.llr === undefined ? "\u2013" : signed.format(speaker.llr)),
      fact(t("speaker.net"), `${one.format(speaker.net_speech_s)} s`),
      fact(t("speaker.coverage"), percent.format(speaker.coverage))));
  } else if (leg.talk.length) {
    section.append(strip(leg, `${t("plot.talk")} (${word("party.", leg.party)}): ${one.format(talked(leg))} s`));
  }
  const facts = lineFacts(leg.line);
  if (facts.length) section.append(make("dl", { class: "facts line" }, ...facts));
  return section;
};

const ruleOf = (rule) => {
  const kind = { violated: "rejected", unknown: "suspect", met: "accepted" }[rule.state] ?? "undecided";
  const left = rule.state === "pending" && rule.deadline_ms
    ? make("span", { class: "left", "data-deadline": String(rule.deadline_ms) }, remaining(rule.deadline_ms)) : "";
  return make("li", { "data-rule": rule.rule, "data-state": rule.state },
    badge(kind, RULES[rule.state], word("rule.", rule.state)), make("span", { class: "name" }, rule.rule),
    make("span", { class: "dim" }, rule.state === "pending" ? "" : word("reason.", rule.reason)), left);
};

const eventText = (event) => {
  const id = event.id ?? "";
  if (event.kind === "speaker") return `${word("decision.", event.what)}${event.llr === undefined ? "" : ` (${signed.format(event.llr)})`}`;
  if (event.kind === "rule") return `${id} ${word("rule.", event.what)}`;
  if (event.kind === "keyword") return id === "personal" ? t("event.personal") : id;
  if (event.kind === "watchlist") return `${id} (${signed.format(event.llr ?? 0)})`;
  if (event.kind === "enrollment") return word("enrollment.", event.what);
  return `${word("pause.", event.what)} ${id}`;
};

// A rule for several parties is nobody's in particular.
const whose = (event) => (event.kind === "rule" && event.party === "mixed" ? "" : ` \u00b7 ${word("party.", event.party)}`);

const eventOf = (event) => make("li", { "data-kind": event.kind },
  make("time", { class: "dim" }, time.format(event.at_ms)),
  make("span", { class: "kind", "aria-hidden": "true" }, KINDS[event.kind] ?? "\u2022"),
  make("span", {}, make("span", { class: "dim" }, `${word("kind.", event.kind)}${whose(event)}: `), eventText(event)));

const bodyOf = (call) => {
  const rules = call.rules.length ? make("ul", { class: "list" }, ...call.rules.map(ruleOf)) : make("p", { class: "none" }, t("rules.none"));
  const newest = call.events.slice(-EVENTS_SHOWN).reverse();
  const events = newest.length ? make("ol", { class: "list events" }, ...newest.map(eventOf)) : make("p", { class: "none" }, t("events.none"));
  return [
    make("div", { class: "legs" }, ...call.legs.filter((leg) => !leg.end || call.over_ms !== undefined).slice(-2).map(legOf)),
    make("div", { class: "side" },
      make("section", {}, make("h4", {}, t("rules.title")), rules),
      make("section", {}, make("h4", {}, t("events.title")), events)),
    make("dl", { class: "facts foot" },
      fact(t("call.reference"), call.reference), call.conversation ? fact(t("call.conversation"), call.conversation) : "",
      fact(t("facts.policy"), call.policy), fact(t("call.started"), time.format(call.started_ms))),
  ];
};

// A row stays while its call does, so that who is at it with the keyboard is not thrown off.
const rowOf = (call) => {
  if (call.row) return call.row;
  const summary = make("summary");
  const body = make("div", { class: "body" });
  const details = make("details", {}, summary, body);
  details.open = call.over_ms === undefined && [...known.values()].filter((other) => other.over_ms === undefined).length <= OPENED;
  const row = make("li", { "data-reference": call.reference }, details);
  details.addEventListener("toggle", () => drawRow(known.get(call.reference)));
  call.row = { row, details, summary, body };
  return call.row;
};

const drawRow = (call) => {
  if (!call) return;
  const { row, details, summary, body } = rowOf(call);
  row.classList.toggle("alarming", alarming(call));
  summary.replaceChildren(...summaryOf(call));
  // What nobody has opened costs nothing.
  body.replaceChildren(...(details.open ? bodyOf(call) : []));
};

// -- all of them -----------------------------------------------------------------------------------------------------

// Puts `wanted` into `list` in their order, and moves nothing that is in its place.
const arrange = (list, wanted) => {
  for (const row of [...list.children]) if (!wanted.includes(row)) row.remove();
  wanted.forEach((row, nth) => {
    if (list.children[nth] !== row) list.insertBefore(row, list.children[nth] ?? null);
  });
};

const arrangeAll = () => {
  const all = [...known.values()].sort((a, b) => b.started_ms - a.started_ms || a.reference.localeCompare(b.reference));
  const live = all.filter((call) => call.over_ms === undefined);
  const over = all.filter((call) => call.over_ms !== undefined);
  const wanted = find("only").checked ? live.filter(alarming) : live;
  const shown = wanted.slice(0, rows);
  for (const call of [...shown, ...over]) if (!call.row) drawRow(call);
  arrange(find("now"), shown.map((call) => rowOf(call).row));
  arrange(find("over"), over.map((call) => rowOf(call).row));
  find("now-count").textContent = whole.format(live.length);
  find("over-count").textContent = whole.format(over.length);
  find("now-none").hidden = wanted.length > 0;
  find("more").hidden = wanted.length <= rows;
};

const showState = (state) => {
  const ready = find("ready");
  const good = state.not_ready === null;
  ready.className = `badge ${good ? "accepted" : "rejected"}`;
  const text = good ? `\u2713 ${t("state.ready")}` : `\u2717 ${t("state.not_ready")}: ${state.not_ready}`;
  if (ready.textContent !== text) ready.textContent = text;
  find("live").textContent = whole.format(state.live);
  find("policy").textContent = state.policy;
  find("version").textContent = state.version;
  find("role").textContent = state.role;
};

const remaining = (deadline) => `${t("rule.left")} ${clock(Math.max(0, (deadline - now()) / 1000))}`;

const announce = (call, events) => {
  const worth = events.filter((event) => event.kind === "speaker" || event.kind === "watchlist" || (event.kind === "rule" && event.what === "violated"));
  return worth.map((event) => `${t("call.one")} ${call.conversation ?? call.reference}: ${word("kind.", event.kind)}${whose(event)}, ${eventText(event)}`);
};

const take = (news) => {
  offset = news.now_ms - Date.now();
  if (news.whole) {
    const fresh = new Set(news.conversations.map((call) => call.reference));
    for (const [reference, call] of known) {
      if (!fresh.has(reference)) known.delete(reference);
      else known.set(reference, { ...call, legs: [], events: [] });
    }
  }
  news.gone.forEach((reference) => known.delete(reference));
  const said = [];
  for (const conversation of news.conversations) {
    const call = merge(conversation);
    if (!news.whole) said.push(...announce(call, conversation.events));
    // Those beyond the rows that are shown have none.
    if (call.row) drawRow(call);
  }
  showState(news.state);
  arrangeAll();
  const unlisted = find("unlisted");
  unlisted.hidden = news.unlisted === 0 && news.missed === 0;
  unlisted.textContent = `${t("calls.unlisted")}: ${whole.format(news.unlisted)} \u00b7 ${t("calls.missed")}: ${whole.format(news.missed)}`;
  if (said.length) find("announcer").textContent = said.slice(-ANNOUNCED).join(". ");
};

// -- the line to the server ------------------------------------------------------------------------------------------

const showLine = (text) => {
  const line = find("line");
  if (line.textContent !== text) line.textContent = text;
  line.hidden = text === "";
  document.body.classList.toggle("stale", text !== "");
};

const heardOf = () => {
  heard = Date.now();
  showLine("");
};

const open = () => {
  stream?.close();
  heard = Date.now();
  stream = new EventSource("/page/events");
  stream.addEventListener("news", (event) => {
    heardOf();
    take(JSON.parse(event.data));
  });
  stream.addEventListener("beat", heardOf);
  stream.addEventListener("over", () => {
    stream.close();
    location.assign("/login");
  });
  stream.addEventListener("error", async () => {
    showLine(t("line.lost"));
    // A browser comes again by itself after a line that broke, and never after a refusal.
    if (stream.readyState !== EventSource.CLOSED) return;
    const mine = stream;
    await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
    const answer = await fetch("/page", { method: "HEAD", redirect: "manual" }).catch(() => undefined);
    if (answer?.type === "opaqueredirect") location.assign("/login");
    else if (stream === mine) open();
  });
};

setInterval(() => {
  for (const element of document.querySelectorAll("[data-since]")) {
    if (element.dataset.until === undefined) element.textContent = clock((now() - Number(element.dataset.since)) / 1000);
  }
  for (const element of document.querySelectorAll("[data-deadline]")) element.textContent = remaining(Number(element.dataset.deadline));
  if (Date.now() - heard > SILENCE_MS) {
    showLine(t("line.lost"));
    open();
  }
}, 1000);

const openAll = (open) => {
  for (const details of document.querySelectorAll("#now details")) details.open = open;
};
find("open-all").addEventListener("click", () => openAll(true));
find("close-all").addEventListener("click", () => openAll(false));
find("only").addEventListener("change", arrangeAll);
find("more").addEventListener("click", () => {
  rows += ROWS;
  arrangeAll();
});
for (const link of document.querySelectorAll("nav a")) {
  if (link.lang === language) link.setAttribute("aria-current", "true");
}
open();
