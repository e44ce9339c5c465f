#!/usr/bin/env python3
"""Fits the lines of src/speaker/calibration.rs that make evidence of cosines: `both`, `decide` and `watch`.

Reads what `sidetone eval speaker --scores FILE` wrote after 3 s of speech, so that a score is of one window. A line is
that of `Scale::llr`; it is fitted by logistic loss with targets and others weighing the same, from Fisher's
discriminant of the cosines, along conjugate directions (Powell), then by a simplex (Nelder-Mead), until neither finds
better. `doubt` is not fitted here: it rests on acted emotions.

Needs numpy and scipy 1.12 or newer; models/training/venv makes a Python that has them.
"""

import argparse
import csv
import sys

import numpy as np
from scipy.optimize import isotonic_regression, minimize

# How calibration.rs reads a window's conditions: CLEAN_DB, MOST_LACK_DB and NARROW_DB there.
CLEAN_DB, MOST_LACK_DB, NARROW_DB = 26.0, 14.0, (-12.0, -26.0)
# The cosines that each line takes.
COSINES = {"both": ("decide", "watch"), "decide": ("decide",), "watch": ("watch",)}
# What a line has besides the weights of its cosines: digits in the source, and bounds. Noise and a narrow line take
# likeness and never give any, and no lack of range turns evidence around.
REST = {
    "offset": (2, -np.inf, np.inf),
    "dulling": (4, 0.0, 0.99 / MOST_LACK_DB),
    "shift": (3, 0.0, np.inf),
    "narrow": (2, 0.0, np.inf),
    "upwards": (3, 0.1, 2.0),
}
# Length of speech behind a score, s, and fewest trials of either kind.
WINDOW_S, FEWEST = 3.0, 50
EXAMPLES = """examples:
  sidetone eval speaker --trials dev.csv --channel mulaw --channel band --scores dev-scores.csv
  models/training/calibration.py dev-scores.csv
  models/training/calibration.py dev-scores.csv more-scores.csv --report other-speakers.csv
"""


class Refusal(Exception):
    """The scores cannot be used; one sentence."""


class Trials:
    """Trials as arrays, one element each: truth, cosines (NaN where not compared), lack of range, narrowness."""

    def __init__(self, rows):
        self.target = np.array([row["target"] == "true" for row in rows])
        self.cosines = {name: np.array([float(row[name] or "nan") for row in rows]) for name in ("decide", "watch")}
        self.lack = np.clip(CLEAN_DB - np.array([float(row["range_db"]) for row in rows]), 0.0, MOST_LACK_DB)
        upper_db = np.array([float(row["upper_db"]) for row in rows])
        self.narrowness = np.clip((NARROW_DB[0] - upper_db) / (NARROW_DB[0] - NARROW_DB[1]), 0.0, 1.0)
        self.speakers = {row[side] for row in rows for side in ("enrol_speaker", "test_speaker")}

    def only(self, chosen):
        """Those that `chosen` (booleans or places) names."""
        part = object.__new__(Trials)
        part.target, part.lack, part.narrowness = self.target[chosen], self.lack[chosen], self.narrowness[chosen]
        part.cosines = {name: values[chosen] for name, values in self.cosines.items()}
        part.speakers = self.speakers
        return part

    def compared_by(self, line):
        """Those with all cosines that the line takes; refuses too few of either kind."""
        part = self.only(np.all([np.isfinite(self.cosines[name]) for name in COSINES[line]], axis=0))
        targets = int(part.target.sum())
        others = len(part.target) - targets
        if min(targets, others) < FEWEST:
            raise Refusal(f"{targets} target and {others} other trials for {line!r}, at least {FEWEST} of each needed")
        return part

    def thinned(self, most):
        """At most so many others, drawn at random but always the same; all targets."""
        others = np.flatnonzero(~self.target)
        drawn = np.random.default_rng(1).choice(others, min(most, len(others)), replace=False)
        return self.only(np.sort(np.r_[np.flatnonzero(self.target), drawn]))


def read(files):
    """The trials of files of scores."""
    rows = []
    wanted = ("target", "seconds", *COSINES["both"], "range_db", "upper_db", "enrol_speaker", "test_speaker")
    for name in files:
        try:
            with open(name, newline="", encoding="utf-8") as file:
                lines = csv.DictReader(file)
                if missing := [column for column in wanted if column not in (lines.fieldnames or [])]:
                    raise Refusal(f"{name} has no column {', '.join(missing)}; `eval speaker --scores` writes them")
                rows += lines
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise Refusal(f"cannot read {name}: {error}") from None
    try:
        if lengths := {row["seconds"] for row in rows if float(row["seconds"]) != WINDOW_S}:
            raise Refusal(f"scores after {', '.join(sorted(lengths))} s of speech found, only {WINDOW_S:g} s wanted")
        return Trials(rows)
    except (TypeError, ValueError) as error:
        raise Refusal(f"a line of {', '.join(files)} is not as `eval speaker --scores` writes it: {error}") from None


def llr(line, values, trials):
    """Log-likelihood ratios, nats, by a line of calibration.rs: `values` are its weights, then those of REST."""
    weights = len(COSINES[line])
    offset, dulling, shift, narrow, upwards = values[weights:]
    x = sum(w * trials.cosines[name] for w, name in zip(values[:weights], COSINES[line], strict=True)) + offset
    x = x * (1.0 - dulling * trials.lack) + shift * trials.lack + narrow * trials.narrowness
    return np.where(x > 0.0, x * upwards, x)


def cllr(scores, target):
    """Cost of log-likelihood ratios (Brümmer), bits: the logistic loss with both kinds weighing the same."""
    costs = np.logaddexp(0.0, np.where(target, -scores, scores)) / np.log(2.0)
    return 0.5 * (costs[target].mean() + costs[~target].mean())


def fit(line, trials):
    """The values of a line that cost least on the trials."""
    cosines = np.stack([trials.cosines[name] for name in COSINES[line]])
    same, other = cosines[:, trials.target], cosines[:, ~trials.target]
    within = np.atleast_2d(np.cov(same)) + np.atleast_2d(np.cov(other))
    weights = 2.0 * np.linalg.solve(within, same.mean(1) - other.mean(1))
    offset = -weights @ (same.mean(1) + other.mean(1)) / 2.0
    low, high = np.array([limits for _, *limits in REST.values()]).T

    def cost(values):
        # A slope, not a wall: Powell's searches lose their way at an end of their range.
        rest = values[len(weights) :]
        outside = np.maximum(low - rest, 0.0) + np.maximum(rest - high, 0.0)
        return cllr(llr(line, values, trials), trials.target) + 1e3 * outside.sum()

    # From within the bounds: on an edge a simplex has no extent.
    values, before = np.array([*weights, offset, 0.01, 0.1, 1.0, 1.0]), np.inf
    while (now := cost(values)) < before - 1e-6:
        before = now
        values = minimize(cost, values, method="Powell", options={"maxiter": 40}).x
        values = minimize(cost, values, method="Nelder-Mead", options={"maxiter": 4000, "maxfev": 4000}).x
    return values


def literal(line, values):
    """The line as calibration.rs has it."""
    found = dict(zip((*COSINES[line], *REST), values, strict=True))
    digits = {"decide": 2, "watch": 2, **{name: places for name, (places, *_) in REST.items()}}
    fields = "".join(f"    {name}: {round(found.get(name, 0.0), places) + 0.0},\n" for name, places in digits.items())
    return f"{line}: Scale {{\n{fields}}},"


def measures(scores, target):
    """EER, least detection cost at a prior of .01, Cllr, and Cllr by the best monotone calibration."""
    levels, place = np.unique(scores, return_inverse=True)
    counts = [np.bincount(place[kind], minlength=len(levels)) for kind in (target, ~target)]
    missed, kept_out = (np.r_[0.0, np.cumsum(count)] / count.sum() for count in counts)
    accepted = 1.0 - kept_out
    after = int(np.argmax(missed >= accepted))
    (m0, m1), (a0, a1) = missed[after - 1 : after + 1], accepted[after - 1 : after + 1]
    share = (a0 - m0) / ((a0 - m0) + (m1 - a1))
    weights = 0.5 * (counts[0] / counts[0].sum() + counts[1] / counts[1].sum())
    best = isotonic_regression(0.5 * counts[0] / counts[0].sum() / weights, weights=weights).x
    best = np.clip(best, 1e-7, 1.0 - 1e-7)
    return {
        "EER %": 100.0 * (m0 + share * (m1 - m0)),
        "minDCF(.01)": float(np.min(0.01 * missed + 0.99 * accepted) / 0.01),
        "Cllr": cllr(scores, target),
        "minCllr": cllr(np.log(best / (1.0 - best))[place], target),
    }


def told(line, values, trials):
    """What a line is worth on trials, in words."""
    scores = llr(line, values, trials)
    figures = ", ".join(f"{name} {value:.4f}" for name, value in measures(scores, trials.target).items())
    counted = f"{trials.target.sum()} target and {(~trials.target).sum()} other trials"
    # The calibration's cap lies below this.
    return f"{counted}: {figures}; highest evidence of another speaker {scores[~trials.target].max():.1f}"


def run(options):
    """Fits, prints and reports."""
    if options.others < FEWEST:
        raise Refusal(f"--others {options.others}: at least {FEWEST} wanted")
    trials = read(options.scores)
    report = read([options.report]) if options.report else None
    if report and (shared := trials.speakers & report.speakers):
        raise Refusal(f"{options.report} shares {len(shared)} speakers with the fit, {min(shared)!r} for one")
    for line in options.line or COSINES:
        known = trials.compared_by(line)
        others = report and report.compared_by(line)
        values = fit(line, known.thinned(options.others))
        print(literal(line, values))
        print(f"// fit, {told(line, values, known)}")
        if others:
            print(f"// report, {told(line, values, others)}")
        sys.stdout.flush()


def main():
    """The exit code: 0, or 2 for scores that cannot be used."""
    form = argparse.RawDescriptionHelpFormatter
    options = argparse.ArgumentParser(description=__doc__, epilog=EXAMPLES, formatter_class=form)
    options.add_argument("scores", nargs="+", metavar="FILE", help="scores to fit on")
    options.add_argument("--report", metavar="FILE", help="scores of other speakers, to measure the lines on")
    options.add_argument("--line", action="append", choices=COSINES, help="fit only this line; repeatable")
    most = "fit on at most N other trials, drawn at random (default %(default)s)"
    options.add_argument("--others", type=int, default=70_000, metavar="N", help=most)
    try:
        run(options.parse_args())
    except Refusal as refusal:
        print(f"calibration.py: {refusal}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
