#!/usr/bin/env python3
"""Draws what `sidetone demo` prints as an SVG: each call's score over its time, decisions and phrases.

    sidetone demo | docs/pictures/timeline.py > docs/pictures/demo.svg      (make pictures)

Light and dark by the reader's preference. Without packages.
"""
import re
import sys
from html import escape

WIDTH, LEFT, RIGHT = 880, 56, 16
PANEL, TOP, GAP, FOOT = 124, 34, 26, 34
# What a window can give at most, nats; the drawing leaves room for labels.
MOST = 9.0
# Seconds into call C at which the speaker changes: what the demonstration is made to do.
TAKEOVER = ("C", 12.0)

LINE = re.compile(r"^ *(\d+\.\d+) s  ([A-Z])  (.*)$")
SCORE = re.compile(r"score +([+-]\d+\.\d) .*?(\w+) after (\d+\.\d) s of net speech")
VERDICT = re.compile(r"verdict \d+: (ACCEPTED|REJECTED|SUSPECT|CHANGED|INCONCLUSIVE)")
PHRASE = re.compile(r"PHRASE (\S+) (\d+\.\d+)-(\d+\.\d+) s")

STYLE = """
    text { font: 13px system-ui, "DejaVu Sans", sans-serif; fill: var(--ink); }
    .in { paint-order: stroke; stroke: var(--panel); stroke-width: 4px; stroke-linejoin: round; }
    .small { font-size: 11px; fill: var(--faint); } .title { font-weight: 600; }
    :root { --paper: #ffffff; --panel: #f4f5f7; --ink: #1c2126; --faint: #5b6670; --rule: #c9ced4;
            --accepted: #1a7f37; --rejected: #c62828; --suspect: #9a6700; --undecided: #6e7781; --phrase: #0b63c4; }
    @media (prefers-color-scheme: dark) {
      :root { --paper: #14181d; --panel: #1d232a; --ink: #e6e9ec; --faint: #9aa5b0; --rule: #3a434d;
              --accepted: #4cc26a; --rejected: #ff7b72; --suspect: #e3b341; --undecided: #9aa5b0; --phrase: #6cb6ff; } }
    .paper { fill: var(--paper); } .panel { fill: var(--panel); } .rule { stroke: var(--rule); }
    .path { fill: none; stroke: var(--faint); stroke-width: 1.5; }
"""
COLOUR = {"accepted": "accepted", "rejected": "rejected", "changed": "rejected", "suspect": "suspect"}


def read(lines):
    """Calls by their letters: title, scores, verdicts, phrases, length."""
    calls = {}
    for line in lines:
        if title := re.match(r"^call ([A-Z]): (.*)$", line):
            calls[title[1]] = {"title": title[2], "scores": [], "verdicts": [], "phrases": [], "end": 0.0}
        if not (event := LINE.match(line)):
            continue
        at, call, what = float(event[1]), calls[event[2]], event[3]
        call["end"] = max(call["end"], at)
        if score := SCORE.search(what):
            call["scores"].append((at, float(score[1]), score[2]))
        if verdict := VERDICT.search(what):
            call["verdicts"].append((at, verdict[1].lower()))
        if phrase := PHRASE.search(what):
            call["phrases"].append((float(phrase[2]), float(phrase[3]), phrase[1]))
    return calls


def draw(calls):
    last = max(call["end"] for call in calls.values())
    scale = (WIDTH - LEFT - RIGHT) / (5 * -(-last // 5))
    height = TOP + len(calls) * (PANEL + GAP) + FOOT
    x = lambda at: LEFT + at * scale
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" '
        'aria-labelledby="title description">',
        '  <title id="title">The demonstration: four calls, the score of each over time</title>',
        f'  <desc id="description">{escape(told(calls))}</desc>',
        f"  <style>{STYLE}  </style>",
        f'  <rect class="paper" width="{WIDTH}" height="{height}"/>',
    ]
    for place, (letter, call) in enumerate(sorted(calls.items())):
        top = TOP + place * (PANEL + GAP)
        y = lambda llr, top=top: top + PANEL / 2 - llr / MOST * (PANEL / 2 - 22)
        out.append(f'  <text class="title" x="{LEFT}" y="{top - 8}">{letter}: {escape(call["title"])}</text>')
        out.append(f'  <rect class="panel" x="{LEFT}" y="{top}" width="{call["end"] * scale:.1f}" height="{PANEL}"/>')
        for llr in (MOST, 0, -MOST):
            dash = "" if llr == 0 else ' stroke-dasharray="2 4"'
            out.append(f'  <line class="rule" x1="{LEFT}" x2="{x(call["end"]):.1f}" y1="{y(llr)}" y2="{y(llr)}"{dash}/>')
            out.append(f'  <text class="small" x="{LEFT - 8}" y="{y(llr) + 4}" text-anchor="end">{f"{llr:+.0f}" if llr else 0}</text>')
        if letter == TAKEOVER[0]:
            at = x(TAKEOVER[1])
            out.append(f'  <line x1="{at:.1f}" x2="{at:.1f}" y1="{top}" y2="{top + PANEL}" stroke="var(--ink)" stroke-dasharray="5 4"/>')
            out.append(f'  <text class="small in" x="{at - 6:.1f}" y="{y(0) - 12}" text-anchor="end">takeover</text>')
        for begin, end, phrase in call["phrases"]:
            wide = max((end - begin) * scale, 3)
            out.append(f'  <rect x="{x(begin):.1f}" y="{top}" width="{wide:.1f}" height="{PANEL}" fill="var(--phrase)" opacity=".22"/>')
            out.append(f'  <text class="small in" x="{x(end) + 5:.1f}" y="{top + PANEL - 22}" style="fill: var(--phrase)">phrase &#8220;{escape(phrase)}&#8221;</text>')
        points = " ".join(f"{x(at):.1f},{y(llr):.1f}" for at, llr, _ in call["scores"])
        out.append(f'  <polyline class="path" points="{points}"/>')
        for at, llr, state in call["scores"]:
            out.append(f'  <circle cx="{x(at):.1f}" cy="{y(llr):.1f}" r="3.5" fill="var(--{COLOUR.get(state, "undecided")})"/>')
        for at, decision in call["verdicts"]:
            colour = COLOUR.get(decision, "undecided")
            out.append(f'  <line x1="{x(at):.1f}" x2="{x(at):.1f}" y1="{top + 4}" y2="{top + PANEL - 4}" stroke="var(--{colour})" stroke-width="2"/>')
            # Beside `changed`, which follows it closely, there is room on the left alone.
            low, anchor, shift = (PANEL - 8, "end", -6) if decision == "suspect" else (PANEL / 2 + 17, "start", 6)
            out.append(f'  <text class="in" x="{x(at) + shift:.1f}" y="{top + low}" text-anchor="{anchor}" style="fill: var(--{colour})">{decision} {at:.1f} s</text>')
            if decision == "rejected":
                out.append(f'  <text class="small in" x="{x(at) + shift:.1f}" y="{top + low + 17}">from here on nothing is compared</text>')
    foot = height - FOOT + 4
    for at in range(0, int(last) + 1, 5):
        out.append(f'  <text class="small" x="{x(at):.1f}" y="{foot}" text-anchor="middle">{at} s</text>')
    out.append(f'  <text class="small" x="{LEFT}" y="{foot + 20}">Each point: the newest window of speech, as a log-likelihood ratio in nats. Above 0 it speaks for the caller being who they claim to be.</text>')
    return "\n".join([*out, "</svg>", ""])


def told(calls):
    """The picture in words, for who does not see it."""
    sentences = []
    for letter, call in sorted(calls.items()):
        verdicts = ", ".join(f"{decision} at {at:.1f} s" for at, decision in call["verdicts"])
        sentences.append(f"Call {letter}, {call['title']}: {verdicts}.")
    return " ".join(sentences)


if __name__ == "__main__":
    found = read(sys.stdin)
    if not any(call["scores"] for call in found.values()):
        sys.exit("timeline.py: no timeline of `sidetone demo` on standard input")
    sys.stdout.write(draw(found))
