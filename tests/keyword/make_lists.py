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
import re
import shutil
import subprocess
import sys
from pathlib import Path

ORDERS = """dark roast|light roast|medium roast|double shot|triple shot|single shot|iced mocha|iced coffee|house coffee
drip coffee|twelve ounce|sixteen ounce|twenty ounce|eight ounce|brown sugar|almond milk|soy milk|whole milk|skim milk
cappuccino|americano|espresso|sweetener|mocha|latte"""
COMPLIANCE = """this call may be recorded|for quality and training purposes|do you consent to the recording
do you agree to these terms|your capital is at risk|past performance is no guarantee|guaranteed returns|no risk at all
you cannot lose|completely free of charge|no hidden fees|only available today|you must decide now
fourteen day cooling off period|right to withdraw|cancel at any time|cancel my contract|i want to complain
speak to a supervisor|i will call my lawyer|remove me from your list|stop calling me|do not call list
date of birth|last four digits|social security number|credit card number|security code|expiry date
direct debit mandate|terms and conditions|annual percentage rate|late payment charge|you will be arrested
legal action against you|we promise you|between you and me|off the record|read you a disclosure
attempt to collect a debt"""
CARRIERS = ["Hello, {}, is that okay?", "So, as I said before, {} and we can go on.", "Well, {}. Thank you.", "Okay, {}, please."]
VOICES = {
    "flite-rms": ["flite", "-voice", "rms", "-t", "{text}", "-o", "{file}"],
    "pico-us": ["pico2wave", "-l", "en-US", "-w", "{file}", "{text}"],
    "pico-gb": ["pico2wave", "-l", "en-GB", "-w", "{file}", "{text}"],
    "festival-ked": ["text2wave", "-eval", "(voice_ked_diphone)", "-o", "{file}"],
    "espeak-rp": ["espeak-ng", "-v", "en-gb-x-rp+f4", "-w", "{file}", "{text}"],
}


def phrases(text):
    return re.split(r"\||\n", text)


def identifier(phrase):
    return phrase.replace(" ", "-")


def write_policy(file, name, wanted):
    lines = [f'name = "{name}"', 'version = "1"']
    lines += [f'\n[[phrase]]\nid = "{identifier(phrase)}"\ntext = "{phrase}"' for phrase in wanted]
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
        yield file.resolve(), [p for p in phrases(ORDERS) if any(f" {p} " in said for said in slots)]


def carriers(folder):
    folder.mkdir(parents=True, exist_ok=True)
    for n, phrase in enumerate(phrases(COMPLIANCE)):
        for m, (voice, command) in enumerate(VOICES.items()):
            if not shutil.which(command[0]):
                continue
            file = folder / f"{n:02d}-{voice}.wav"
            text = CARRIERS[(n + m) % len(CARRIERS)].format(phrase)
            if not file.exists():
                words = [part.format(text=text, file=file) for part in command]
                subprocess.run(words, input=text, text=True, check=True, capture_output=True)
            yield file.resolve(), [phrase]


def main(speech, out):
    speech, out = Path(speech), Path(out)
    write_policy(out / "orders.toml", "orders", phrases(ORDERS))
    write_policy(out / "compliance.toml", "compliance", phrases(COMPLIANCE))
    write_list(out / "orders.csv", orders(speech))
    # Nobody says a compliance phrase in any of these.
    others = [file for folder in ("cohort", "orders", "speakers", "german") for file in sorted((speech / folder).rglob("*.flac"))]
    write_list(out / "background.csv", ((file.resolve(), []) for file in others))
    write_list(out / "carriers.csv", carriers(out / "carriers"))


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
