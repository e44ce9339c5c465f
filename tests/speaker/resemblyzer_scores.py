#!/usr/bin/env python3
"""Scores the trials of `sidetone eval speaker` by the plain Resemblyzer pipeline, for its option --beside.

What it hears is what `--write-audio` wrote, what it scores what `--scores` lists: preprocess_wav, embed_utterance and
the dot product, as the package's own examples have it.
"""

import argparse
import csv
import resource
import sys
from pathlib import Path

from resemblyzer import VoiceEncoder, preprocess_wav


def main():
    options = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    options.add_argument("trials", type=Path, help="the file of trials")
    options.add_argument("audio", type=Path, help="the folder of --write-audio")
    options.add_argument("scores", type=Path, help="the file of --scores")
    options.add_argument("out", type=Path)
    options = options.parse_args()
    encoder = VoiceEncoder("cpu", verbose=False)
    with options.trials.open(newline="") as file:
        trials = [(line["enrol"], line["test"]) for line in csv.DictReader(file)]
    enrolments = {name: place for place, name in enumerate(dict.fromkeys(enrol for enrol, _ in trials))}
    tests = {name: place for place, name in enumerate(dict.fromkeys(test for _, test in trials))}
    known, heard_s, nothing_left = {}, 0.0, 0

    def voice(name):
        nonlocal heard_s
        if name not in known:
            # Past its own voice activity detection nothing may be left of a noisy piece.
            samples = preprocess_wav(options.audio / name)
            heard_s += len(samples) / 16_000
            known[name] = encoder.embed_utterance(samples) if len(samples) else None
        return known[name]

    with options.scores.open(newline="") as file, options.out.open("w", newline="") as out:
        lines = csv.DictReader(file)
        writer = csv.DictWriter(out, lines.fieldnames)
        writer.writeheader()
        for line in lines:
            enrol, test = trials[int(line["trial"])]
            seconds = f"{float(line['seconds']):g}"
            piece = f"{line['channel']}-{seconds}s-{tests[test]:04}-{int(line['piece']):02}.wav"
            a, b = voice(f"enrol-{enrolments[enrol]:04}.wav"), voice(piece)
            nothing_left += a is None or b is None
            line["score"] = 0.0 if a is None or b is None else float(a @ b)
            writer.writerow(line)
    usage = resource.getrusage(resource.RUSAGE_SELF)
    spent = usage.ru_utime + usage.ru_stime
    print(f"Resemblyzer: {len(known)} recordings, {1000 * spent / heard_s:.0f} ms of CPU per second of speech; {nothing_left} "
          "trials scored 0 since its own voice activity detection left nothing", file=sys.stderr)


if __name__ == "__main__":
    main()
