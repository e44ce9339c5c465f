#!/usr/bin/env python3
"""Writes the trials that the calibration is fitted on from the speech beside the repository.

There is one recording a reader in `cohort/`, and a list of trials names whole files: so each is cut in two and written
as WAV. A reader is enrolled on the first 6 s, of which 4 are speech, and tried with the rest and with everybody else's.

Taken are the readers who are not kept for the report or for babble by tests/speaker/make_trials.py, six eighths.
Needs soundfile; models/training/venv makes a Python that has it.
"""

import argparse
import csv
from pathlib import Path

import soundfile

# What somebody is enrolled on, s, and how much is skipped before the rest, so that no sound is in both.
ENROL_S, BETWEEN_S = 6.0, 0.1
# Places of eight that make_trials.py has taken: babble and the report.
TAKEN = (5, 7)


def halves(recording, folder):
    """Writes what comes before and after the cut; the two files, or nothing if there is no rest."""
    samples, rate = soundfile.read(recording, dtype="int16")
    rest = samples[int((ENROL_S + BETWEEN_S) * rate) :]
    if not len(rest):
        return None
    files = [folder / f"{recording.stem}-{part}.wav" for part in ("enrol", "test")]
    for file, part in zip(files, (samples[: int(ENROL_S * rate)], rest), strict=True):
        soundfile.write(file, part, rate, subtype="PCM_16")
    return files


def main():
    """Cuts the recordings and writes the list."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("speech", type=Path, help="the folder with cohort/")
    options.add_argument("out", type=Path, help="the folder for development.csv and the parts/ of recordings")
    options.add_argument("--every", type=int, default=1, metavar="N", help="use one reader of N (default %(default)s)")
    given = options.parse_args()
    if given.every < 1:
        options.error(f"--every {given.every}: one reader of 1 or more wanted")
    # By the readers' numbers, as in make_trials.py.
    cohort = sorted((given.speech / "cohort").iterdir(), key=lambda file: file.stem.replace("-", "_"))
    free = [file for place, file in enumerate(cohort) if place % 8 not in TAKEN]
    parts = given.out.resolve() / "parts"
    parts.mkdir(parents=True, exist_ok=True)
    cut = {"cohort-" + file.stem.split("-")[0]: halves(file, parts) for file in free[:: given.every]}
    readers = {reader: files for reader, files in cut.items() if files}
    with (given.out / "development.csv").open("w", newline="", encoding="utf-8") as file:
        out = csv.writer(file)
        out.writerow(["enrol", "test", "label", "enrol_speaker", "test_speaker"])
        for owner, (enrol, _) in readers.items():
            for reader, (_, test) in readers.items():
                label = "target" if owner == reader else "nontarget"
                out.writerow([enrol, test, label, owner, reader])
    print(f"{len(readers)} readers, {len(readers) ** 2} trials")


if __name__ == "__main__":
    main()
