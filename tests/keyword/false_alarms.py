#!/usr/bin/env python3
"""What a threshold costs: phrases that nobody says, and the tail of the scores that they get all the same.

    false_alarms.py phrases DICTIONARY SPEECH OUT
    false_alarms.py fit OUT

`phrases` writes policies of random phrases of one to five words (runs of words in sentences of offices and shops, which
nobody reads out in SPEECH/cohort, and frequent words of DICTIONARY, which is cmudict.dict) and a list of recordings in which none
is said. `sidetone eval keywords --each-alone --scores` searches for them. `fit` reads these scores and prints
the coefficients of src/keyword/false_alarms.rs, fitted on every second phrase and every second recording, and what they
expect of the others beside what was counted there, with intervals of 95 %.

The model: in an hour of speech a phrase that nobody says gets exp(level - slope * (t + 5.5)) scores above t. The level is that of
its kind: up to 6 phones, the same with a number in it (which the decoder, asked for "30", finds anywhere), 7 or 8 phones, and
9, from where it falls with every phone. A phrase whose very words are in the transcript counts as said there.
"""

import csv
import json
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


def generate(dictionary, seed):
    """Random phrases, each with the phones of the dictionary's usual ways to say its words."""
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
    every = generate(dictionary, 1)
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


# --- the model -------------------------------------------------------------------------------------

REFERENCE = -5.5
MOST_PHONES = 14
KINDS = ["short", "short, number", "7 or 8 phones", "9 to 11 phones", "12 phones and more"]


def kind(phones, number):
    if phones < 7:
        return 1 if number else 0
    return 2 if phones < 9 else 3 if phones < 12 else 4


def covariates(phones, number):
    """What the level is made of: four levels, and the phones from nine on."""
    level = np.zeros(5)
    level[min(kind(phones, number), 3)] = 1
    if phones >= 9:
        level[4] = -(min(phones, MOST_PHONES) - 9)
    return level


def load(out):
    """Scores by phrase and recording, the phones of every phrase, and hours of speech."""
    from language import ONES, TENS, phrase_labels

    shapes, scores, hours = {}, [], None
    for policy in sorted(out.glob("random-?.toml")):
        document = json.loads((out / f"{policy.stem}.json").read_text())
        hours = document["rows"][0]["speech_hours"]
        for phrase in document["phrases"]:
            words = phrase.split("-")
            phones = min(map(len, phrase_labels(" ".join(words))))
            shapes[phrase] = (phones, any(w in ONES or w in TENS for w in words))
        with open(out / f"{policy.stem}.scores.csv") as file:
            scores += [
                (row["phrase"], int(row["recording"]), float(row["score"]))
                for row in csv.DictReader(file)
                if row["exact"] == "false"
            ]
    return shapes, scores, hours


def fitted(shapes, scores, hours):
    """Levels, the fall per phone and per nat, by maximum likelihood (iterated weighted least squares)."""
    above = [(phrase, score) for phrase, _, score in scores if score > REFERENCE]
    counts = {phrase: 0 for phrase in shapes}
    for phrase, _ in above:
        counts[phrase] += 1
    x = np.array([covariates(*shape) for shape in shapes.values()])
    y = np.array(list(counts.values()), dtype=float)
    w = np.full(5, -1.0)
    for _ in range(200):
        mean = np.exp(np.clip(x @ w, -20, 10)) * hours
        # A faint prior: the fall per phone is not to run away where nothing was counted.
        step = np.linalg.solve(x.T @ (mean[:, None] * x) + 1e-3 * np.eye(5), x.T @ (y - mean) - 1e-3 * w)
        w += np.clip(step, -1, 1)
    slope = len(above) / sum(score - REFERENCE for _, score in above)
    return w, slope


def interval(count):
    """95 % of a Poisson mean (Garwood)."""
    from scipy.stats import chi2

    return (chi2.ppf(0.025, 2 * count) / 2 if count else 0.0, chi2.ppf(0.975, 2 * count + 2) / 2)


def calibration(shapes, scores, hours, w, slope):
    """Expected beside counted, by kind and threshold."""
    for n, name in enumerate(KINDS):
        of = {phrase: shape for phrase, shape in shapes.items() if kind(*shape) == n}
        print(f"  {name}: {len(of)} phrases, {len(of) * hours:.1f} h")
        for threshold in (-5.5, -5.0, -4.5, -3.9, -3.0, -2.0):
            mean = sum(math.exp(covariates(*shape) @ w - slope * (threshold - REFERENCE)) for shape in of.values())
            hits = [phrase for phrase, _, score in scores if phrase in of and score > threshold]
            low, high = interval(len(hits))
            most = max((hits.count(phrase) for phrase in set(hits)), default=0)
            print(f"    {threshold}: expected {mean * hours:.2f}, counted {len(hits)} [{low:.1f} {high:.1f}], {most} of one phrase")


def fit(out):
    shapes, scores, hours = load(out)
    phrases = sorted(shapes)
    random.Random(3).shuffle(phrases)

    def part(odd):
        of = {phrase: shapes[phrase] for phrase in phrases[odd::2]}
        return of, [s for s in scores if s[0] in of and s[1] % 2 == odd], hours / 2

    for name, data in (("one half", part(0)), ("the other", part(1)), ("all", (shapes, scores, hours))):
        w, slope = fitted(*data)
        print(f"{name}: levels {np.round(w[:4], 2)}, per phone {w[4]:.2f}, per nat {slope:.2f}")
    print("fitted on one half, and on the other half:")
    calibration(*part(1), *fitted(*part(0)))
    print("fitted on all, and on all:")
    calibration(shapes, scores, hours, *fitted(shapes, scores, hours))


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["phrases", dictionary, speech, out]:
            phrases(Path(dictionary), Path(speech), Path(out))
        case ["fit", out]:
            fit(Path(out))
        case _:
            sys.exit(__doc__)
