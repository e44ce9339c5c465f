#!/usr/bin/env python3
"""The evaluation of the keyword spotter: policies, and lists of recordings in which their phrases are said or not.

    make_lists.py SPEECH OUT

SPEECH is the folder of real speech (orders/ with labels.json, cohort/); OUT gets orders.toml and orders.csv, compliance.toml,
background.csv, and, of the synthesisers that are installed (flite, pico2wave, festival, espeak-ng), carriers/*.wav and
carriers.csv: every compliance phrase in a sentence by every voice. No voice here was heard in the training of the phone
head, but espeak-ng's.
"""

import csv
import json
import shutil
import subprocess
import sys
from pathlib import Path

# Shared with the training of the phone head, which leaves these phrases out of its texts.
PHRASES = json.loads((Path(__file__).parent / "phrases.json").read_text())
VOICES = {
    "flite-rms": ["flite", "-voice", "rms", "-t", "{text}", "-o", "{file}"],
    "pico-us": ["pico2wave", "-l", "en-US", "-w", "{file}", "{text}"],
    "pico-gb": ["pico2wave", "-l", "en-GB", "-w", "{file}", "{text}"],
    "festival-ked": ["text2wave", "-eval", "(voice_ked_diphone)", "-o", "{file}"],
    "espeak-rp": ["espeak-ng", "-v", "en-gb-x-rp+f4", "-w", "{file}", "{text}"],
}


def identifier(phrase):
    return phrase.replace(" ", "-")


def write_policy(file, name, wanted, threshold=None):
    own = f"\nthreshold = {threshold}" if threshold else ""
    lines = [f'name = "{name}"', 'version = "1"']
    lines += [f'\n[[phrase]]\nid = "{identifier(phrase)}"\ntext = "{phrase}"{own}' for phrase in wanted]
    file.write_text("\n".join(lines) + "\n")


def write_list(file, rows):
    with open(file, "w", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(["recording", "phrases"])
        writer.writerows((recording, ";".join(map(identifier, said))) for recording, said in rows)


def orders(speech):
    labels = json.loads((speech / "orders" / "labels.json").read_text())
    for file in sorted((speech / "orders").glob("*.flac")):
        slots = [f" {said.strip().lower()} " for said in labels[file.stem]["slots"].values()]
        yield file.resolve(), [p for p in PHRASES["orders"] if any(f" {p} " in said for said in slots)]


def carriers(folder):
    folder.mkdir(parents=True, exist_ok=True)
    for n, phrase in enumerate(PHRASES["compliance"]):
        for m, (voice, command) in enumerate(VOICES.items()):
            if not shutil.which(command[0]):
                continue
            file = folder / f"{n:02d}-{voice}.wav"
            text = PHRASES["carriers"][(n + m) % len(PHRASES["carriers"])].format(phrase)
            if not file.exists():
                words = [part.format(text=text, file=file) for part in command]
                subprocess.run(words, input=text, text=True, check=True, capture_output=True)
            yield file.resolve(), [phrase]


def main(speech, out):
    speech, out = Path(speech), Path(out)
    # Words that sound like one another: see config/policy.toml.
    write_policy(out / "orders.toml", "orders", PHRASES["orders"], -3.0)
    write_policy(out / "compliance.toml", "compliance", PHRASES["compliance"])
    write_list(out / "orders.csv", orders(speech))
    # Nobody says a compliance phrase in any of these.
    others = [file for folder in ("cohort", "orders", "speakers", "german") for file in sorted((speech / folder).rglob("*.flac"))]
    write_list(out / "background.csv", ((file.resolve(), []) for file in others))
    write_list(out / "carriers.csv", carriers(out / "carriers"))


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
