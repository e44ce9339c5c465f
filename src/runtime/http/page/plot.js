// A party's score over time, as a small plot: the evidence of each window, what was decided when, and who talked.

const SVG = "http://www.w3.org/2000/svg";
const HEIGHT = 132;
const LEFT = 34, MARGIN = 8, TOP = 18, BOTTOM = 100;
const TALK_TOP = 104, TALK_HEIGHT = 6;
// A window gives some 9 nats at most; what is beyond is drawn at the edge.
const MOST = 10;
// A plot shorter than this would look as if much had happened.
const SHORTEST_S = 15;

const node = (name, attributes, ...children) => {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
};

// How far apart the marks of the axis are, seconds.
const step = (seconds) => [5, 10, 15, 30, 60, 120, 300, 600, 1200, 3600].find((s) => seconds / s <= 6) ?? 7200;

export const clock = (seconds) => {
  const whole = Math.max(0, Math.floor(seconds));
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  const two = (n) => String(n).padStart(2, "0");
  return hours ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
};

// A drawing is as wide as its words need to be read where it is shown: it grows and shrinks with its column.
const wide = () => (matchMedia("(max-width: 640px)").matches ? 310 : 430);

const along = (leg) => {
  const last = Math.max(leg.now_s, SHORTEST_S);
  const right = wide() - MARGIN;
  return { last, right, x: (s) => LEFT + (Math.min(s, last) / last) * (right - LEFT) };
};

const talk = (leg, x, y) => leg.talk.map(([from, to]) => {
  const width = Math.max(1, x(to ?? leg.now_s) - x(from));
  return node("rect", { class: "talk", x: x(from), y, width, height: TALK_HEIGHT });
});

const times = ({ last, right, x }, top, bottom, height) => {
  const all = [];
  for (let s = 0; s <= last; s += step(last)) {
    const anchor = s === 0 ? "start" : x(s) > right - 14 ? "end" : "middle";
    all.push(
      node("line", { class: "grid", x1: x(s), x2: x(s), y1: top, y2: bottom }),
      node("text", { class: "tick", x: x(s), y: height - 6, "text-anchor": anchor }, clock(s)),
    );
  }
  return all;
};

const drawing = (kind, height, text) =>
  node("svg", { viewBox: `0 0 ${wide()} ${height}`, class: kind, role: "img", "aria-label": text });

// When a party talked, where there is nothing else to draw.
export const strip = (leg, text) => {
  const axis = along(leg);
  const made = drawing("plot strip", 34, text);
  made.append(...times(axis, 2, 14, 34), ...talk(leg, axis.x, 5));
  return made;
};

// `text` says the same to who does not see it; `glyphs` has one for each decision.
export const plot = (leg, text, glyphs) => {
  const axis = along(leg);
  const { right, x } = axis;
  const y = (nats) => {
    const within = Math.max(-MOST, Math.min(MOST, nats));
    return BOTTOM - ((within + MOST) / (2 * MOST)) * (BOTTOM - TOP);
  };
  const at = (nats, word) => [
    node("line", { class: nats ? "grid" : "zero", x1: LEFT, x2: right, y1: y(nats), y2: y(nats) }),
    node("text", { class: "tick", x: LEFT - 6, y: y(nats) + 3.5, "text-anchor": "end" }, word),
  ];
  const made = drawing("plot", HEIGHT, text);
  made.append(...at(MOST, "+10"), ...at(0, "0"), ...at(-MOST, "\u221210"));
  made.append(...times(axis, TOP, BOTTOM, HEIGHT), ...talk(leg, x, TALK_TOP));
  const points = leg.points.map(([s, nats]) => `${x(s).toFixed(1)},${y(nats).toFixed(1)}`);
  if (points.length) {
    const [first, final] = [x(leg.points[0][0]), x(leg.points.at(-1)[0])];
    const under = [`${first.toFixed(1)},${y(0)}`, ...points, `${final.toFixed(1)},${y(0)}`];
    made.append(node("polygon", { class: "under", points: under.join(" ") }));
    made.append(node("polyline", { class: "score", points: points.join(" ") }));
    const [s, nats] = leg.points.at(-1);
    made.append(node("circle", { class: "newest", cx: x(s), cy: y(nats), r: 3 }));
  }
  let free = 0;
  for (const [s, decision] of leg.marks) {
    const place = Math.max(x(s), LEFT + 6);
    made.append(node("line", { class: `mark ${decision}`, x1: place, x2: place, y1: TOP - 4, y2: BOTTOM }));
    // Where marks crowd, the later one says more.
    if (place >= free) {
      made.append(node("text", { class: `glyph ${decision}`, x: place, y: TOP - 6, "text-anchor": "middle" }, glyphs[decision]));
      free = place + 14;
    }
  }
  return made;
};
