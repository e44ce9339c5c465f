"""What the phone head heard, searched for phrases as the product does it."""

import numba
import numpy as np


@numba.njit
def best_span(logp, top, ids):
    """The best CTC path of `ids` over any span, as the sum of its distance from the best symbol; first, last frame."""
    size = 2 * len(ids) - 1
    score, first = np.full(size, -1e9), np.zeros(size, np.int64)
    best, begin, end = -1e9, 0, 0
    for t in range(len(logp)):
        for s in range(size - 1, -1, -1):
            value, since = score[s], first[s]
            if s == 0:
                value, since = 0.0, t
            elif score[s - 1] > value:
                value, since = score[s - 1], first[s - 1]
            k = s // 2
            if s > 1 and s % 2 == 0 and ids[k] != ids[k - 1] and score[s - 2] > value:
                value, since = score[s - 2], first[s - 2]
            score[s] = value + logp[t, ids[k] if s % 2 == 0 else 0] - top[t]
            first[s] = since
        if score[size - 1] > best:
            best, begin, end = score[size - 1], first[size - 1], t
    return best, begin, end


def spot(logp, labels):
    """Per phrase the best span's score per phone, over its pronunciations, and the span's first and last frame.

    Posteriors are floored at 1e-4.
    """
    floored = np.log(np.exp(logp.astype(np.float64)) + 1e-4)
    top = floored.max(1)
    found = {}
    for phrase, ways in labels.items():
        spans = [(*best_span(floored, top, np.array(ids)), len(ids)) for ids in ways]
        found[phrase] = max((score / size, first, last) for score, first, last, size in spans)
    return found


def greedy(logp):
    best = logp.argmax(1)
    return [int(s) for n, s in enumerate(best) if s and (n == 0 or best[n - 1] != s)]
