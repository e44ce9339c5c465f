#!/usr/bin/env python3
"""Writes the trials of `make speaker-eval` from the speech beside the repository, as CSV.

Targets: the readers of `speakers/`, enrolled on one half of their utterances and tried with the other.
Impostors: the other readers, the readers of `cohort/` and the callers of `orders/` who took part in nothing that was
fitted or tuned: of the cohort every eighth (of the others five eighths fitted the calibration, one eighth tuned it, and
one eighth is babble, to which links are made).
"""

import argparse
import csv
from pathlib import Path


def main():
    options = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    options.add_argument("speech", type=Path, help="the folder with speakers/, cohort/ and orders/")
    options.add_argument("out", type=Path, help="the folder for trials.csv and babble/")
    options.add_argument("--orders", type=int, default=3, help="use one order of so many")
    options = options.parse_args()
    speech = options.speech.resolve()
    readers = {folder.name: sorted(folder.iterdir()) for folder in sorted((speech / "speakers").iterdir())}
    # By the readers' numbers, as when the calibration was fitted: "-" would sort before a digit.
    cohort = sorted((speech / "cohort").iterdir(), key=lambda file: file.stem.replace("-", "_"))
    strangers = cohort[7::8]
    (options.out / "babble").mkdir(parents=True, exist_ok=True)
    for talker in cohort[5::8]:
        link = options.out / "babble" / talker.name
        if not link.exists():
            link.symlink_to(talker)
    orders = sorted((speech / "orders").rglob("*.flac"))[::options.orders]
    with (options.out / "trials.csv").open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow(["enrol", "test", "label", "enrol_speaker", "test_speaker"])
        for owner, files in readers.items():
            half = len(files) // 2
            for enrol, tried in ((files[:half], files[half:]), (files[half:], files[:half])):
                enrolment = ";".join(map(str, enrol))
                for test in tried:
                    out.writerow([enrolment, test, "target", owner, owner])
                for reader, others in readers.items():
                    if reader != owner:
                        for test in others:
                            out.writerow([enrolment, test, "nontarget", owner, reader])
                for test in strangers:
                    out.writerow([enrolment, test, "nontarget", owner, "cohort-" + test.stem.split("-")[0]])
                for test in orders:
                    out.writerow([enrolment, test, "nontarget", owner, "order-" + test.stem])


if __name__ == "__main__":
    main()
