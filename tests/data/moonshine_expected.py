#!/usr/bin/env python3
"""Makes moonshine_expected.json: what plain onnxruntime hears in the three recordings.

    python tests/data/moonshine_expected.py models/store > tests/data/moonshine_expected.json

Needs numpy and onnxruntime 1.32.0. Every recording becomes 16 kHz s16 by one exact rule, shared with
tests/models.rs: samples as f64; 24 kHz is zero-stuffed to 48 kHz (and doubled); the 48 kHz signal
is filtered with 95 taps of sinc(2 f n) * 2 f, f = 7200/48000, times a Hann window
0.5 + 0.5 cos(2 pi n / 96), n = -47..47, zeros outside; every third sample is kept, rounded half to
even and clamped. 16 kHz stays as it is. Pieces are 4 s; a last piece shorter than 0.5 s is dropped.
Each is scaled so that its 95th percentile of |x| is 0.12 and decoded greedily to at most
ceil(6.5 * seconds) tokens.
"""

import json
import math
import sys
import wave
from pathlib import Path

import numpy as np
import onnxruntime as ort

LAYERS, HEADS, HEAD_SIZE = 6, 8, 36
FRAMES, TOKENS = 168, 32  # as src/runtime/onnx/moonshine.rs: a sum of another length is rounded otherwise
HIDDEN = -1e30
BEGIN, END = 1, 2


def to_16k(path):
    with wave.open(str(path)) as file:
        rate = file.getframerate()
        x = np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.float64)
    if rate == 16000:
        return x
    if rate == 24000:
        stuffed = np.zeros(2 * len(x))
        stuffed[::2] = 2 * x
        x = stuffed
    n = np.arange(-47, 48)
    f = 7200 / 48000
    taps = 2 * f * np.sinc(2 * f * n) * (0.5 + 0.5 * np.cos(2 * np.pi * n / 96))
    y = np.convolve(x, taps)[47:47 + len(x)][::3]
    return np.clip(np.rint(y), -32768, 32767)


def level(x):
    loud = np.sort(np.abs(x))[len(x) * 95 // 100]
    return x * np.float32(min(np.float32(0.12) / loud, 100))


def pieces(path):
    data, at, found = Path(path).read_bytes(), 0, []
    while at < len(data):
        length, at = data[at], at + 1
        if length >= 128:
            length, at = data[at] * 128 + length - 128, at + 1
        found.append(data[at:at + length])
        at += length
    return found


class Moonshine:
    def __init__(self, folder):
        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        load = lambda name: ort.InferenceSession(str(folder / name), options, providers=["CPUExecutionProvider"])
        self.encoder, self.audio = load("encoder_model.ort"), load("decoder_audio.onnx")
        self.steps = load("decoder_steps.onnx")
        self.pieces = pieces(folder / "tokenizer.bin")
        self.kinds = [f"{layer}.{what}" for layer in range(LAYERS) for what in ("key", "value")]

    def run(self, frames, token, at, memory):
        """Feeds one token more, of which the memory so far holds `at`."""
        mask = np.full((1, 1, 1, TOKENS + 1), HIDDEN, np.float32)
        mask[..., :at], mask[..., TOKENS] = 0, 0
        heard = np.full((1, 1, 1, FRAMES), HIDDEN, np.float32)
        heard[..., :frames] = 0
        feeds = {"ids": np.array([[token]], np.int64), "positions": np.array([[at]], np.int64), "mask": mask, "heard": heard}
        log_p, *new = self.steps.run(["logp"] + [f"new.{kind}" for kind in self.kinds], {**feeds, **memory})
        for kind, entry in zip(self.kinds, new):
            memory[f"self.{kind}"][:, :, at] = entry[:, :, 0]
        return int(log_p[0, -1].argmax())

    def transcribe(self, x):
        x = level(x)[None]
        hidden = self.encoder.run(["last_hidden_state"], {"input_values": x, "attention_mask": np.ones(x.shape, np.int64)})[0]
        limit = math.ceil(x.shape[1] / 16000 * 6.5)
        memory = {f"self.{kind}": np.zeros((1, HEADS, TOKENS, HEAD_SIZE), np.float32) for kind in self.kinds}
        for kind, each in zip(self.kinds, self.audio.run(None, {"hidden": hidden})):
            memory[f"cross.{kind}"] = np.pad(each, ((0, 0), (0, 0), (0, FRAMES - each.shape[2]), (0, 0)))
        frames = hidden.shape[1]
        token = self.run(frames, BEGIN, 0, memory)
        tokens = []
        while token != END:
            tokens.append(token)
            if len(tokens) >= limit:
                break
            token = self.run(frames, token, len(tokens), memory)
        said = b"".join(p for p in (self.pieces[t] for t in tokens) if not (len(p) > 2 and p[:1] == b"<" and p[-1:] == b">"))
        return said.decode("utf8", "replace").replace("\u2581", " ").strip(), tokens


def main(store):
    model = Moonshine(store / "moonshine-tiny-en")
    expected = {}
    for name in ("two_cities", "beckett", "endgame_nagg_nell"):
        x = (to_16k(store / "recordings" / f"{name}.wav") / 32768).astype(np.float32)
        cut = [x[k:k + 64000] for k in range(0, len(x), 64000)]
        expected[name] = []
        for piece in (p for p in cut if len(p) >= 8000):
            text, tokens = model.transcribe(piece)
            expected[name].append({"text": text, "tokens": tokens})
    json.dump(expected, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
