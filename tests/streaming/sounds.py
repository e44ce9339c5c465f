"""Sounds that stand for word pieces: whole numbers only, so that `tests/streaming_models.rs` makes the same samples."""

import numpy as np

RATE = 16000
# Samples in a period: one of the first, and one of the second, for each piece.
LOW, HIGH = (100, 80, 64, 50, 40, 32), (20, 16, 12, 10, 7)
LOW_LEVEL, HIGH_LEVEL = 5000, 3500
# A piece, the pause after it, and the silence before the first and after the last, samples.
PIECE, PAUSE, EDGE = 2880, 960, 4800


def sounds(ids, seed):
    """Samples, int16, of word pieces; `ids` count from 3. A noise of some 50 dB below is chosen by `seed`."""
    parts = [np.zeros(EDGE, np.int64)]
    for piece in ids:
        low, high = LOW[(piece - 3) % 6], HIGH[(piece - 3) // 6]
        n = np.arange(PIECE)
        wave = np.where(n % low < low // 2, LOW_LEVEL, -LOW_LEVEL) + np.where(n % high < high // 2, HIGH_LEVEL, -HIGH_LEVEL)
        parts += [wave, np.zeros(PAUSE, np.int64)]
    parts.append(np.zeros(EDGE, np.int64))
    samples = np.concatenate(parts)
    state, noise = seed, np.empty(len(samples), np.int64)
    for place in range(len(samples)):
        state = (state * 1664525 + 1013904223) % 2**32
        noise[place] = (state >> 24) - 128
    return (samples + noise).astype(np.int16)
