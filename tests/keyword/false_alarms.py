#!/usr/bin/env python3
"""What a threshold costs: phrases that nobody says, and the tail of the scores that they get all the same.

    false_alarms.py phrases DICTIONARY SPEECH OUT
    false_alarms.py fit OUT

`phrases` writes policies of random phrases of one to five words (runs of words in sentences of offices and shops, which
nobody reads out in SPEECH/cohort, and frequent words of DICTIONARY, which is cmudict.dict) and a list of recordings in which none
is said. `sidetone eval keywords --each-alone --scores` searches for them. `fit` reads these scores and prints
the coefficients of src/keyword/false_alarms.rs, fitted on every second phrase and every second recording, and what they
expect of the others beside what was counted there, with intervals of 95 %.

The model: the scores that a phrase of n phones gets where it was not said come as a Poisson process. In an hour of speech

    exp(a[class] + b[class] * (score + 4)) * phones-slope ...

is spelt out in the docstring of `expected`. A phrase whose very words are in the transcript counts as said there.
"""

import csv
import math
import random
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "models" / "training" / "phone_head"))

# Phrases of each number of words, and the policies that they go to: one of few phones is asked about everywhere, and dear.
WORDS = {1: 80, 2: 160, 3: 160, 4: 120, 5: 80}
SHORT_PHONES = 7
SHORT = 40
PER_POLICY = 150


def generate(dictionary, count, seed):
    from language import carriers, words

    said = {}
    for line in Path(dictionary).read_text().splitlines():
        word, _, phones = line.split("#")[0].strip().partition(" ")
        said.setdefault(word, phones.split())
    rng = random.Random(seed)
    texts = [words(text) for text in carriers(4000, seed)]
    frequent = [w for text in texts for w in text if len(w) > 3]
    out = {}
    for length, wanted in WORDS.items():
        found = set()
        while len(found) < wanted:
            if length < 3 and rng.random() < 0.5:
                # Any word of the dictionary, which is rarer than those of a text.
                phrase = rng.choices(list(said), k=1) + rng.choices(frequent, k=length - 1)
            else:
                text = rng.choice(texts)
                if len(text) < length:
                    continue
                at = rng.randrange(len(text) - length + 1)
                phrase = text[at : at + length]
            # What is made of words such as "in the" is said everywhere, and nobody would watch it.
            everywhere = length < 4 and max(map(len, phrase)) < 5
            if not everywhere and all(w.isalpha() and w in said for w in phrase):
                found.add(" ".join(phrase))
        for phrase in sorted(found):
            out[phrase] = sum(len(said[w]) for w in phrase.split())
    return out


def phrases(dictionary, speech, out):
    out.mkdir(parents=True, exist_ok=True)
    rng = random.Random(2)
    every = generate(dictionary, sum(WORDS.values()), 1)
    short = [p for p, phones in every.items() if phones < SHORT_PHONES]
    long = [p for p, phones in every.items() if phones >= SHORT_PHONES]
    rng.shuffle(short)
    rng.shuffle(long)
    policies = [short[:SHORT]] + [long[n : n + PER_POLICY] for n in range(0, len(long), PER_POLICY)]
    for n, policy in enumerate(policies):
        lines = ['name = "random"', 'version = "1"']
        for phrase in policy:
            lines.append(f'\n[[phrase]]\nid = "{phrase.replace(" ", "-")}"\ntext = "{phrase}"')
        (out / f"random-{n}.toml").write_text("\n".join(lines) + "\n")
        print(f"random-{n}: {len(policy)} phrases")
    with open(out / "cohort.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["recording", "phrases"])
        writer.writerows([recording.resolve(), ""] for recording in sorted((speech / "cohort").glob("*.flac")))


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["phrases", dictionary, speech, out]:
            phrases(Path(dictionary), Path(speech), Path(out))
        case _:
            sys.exit(__doc__)
