"""Sound: the telephone's coding and what disturbs it, synthesised speech, and the Moonshine encoder and decoder.

Programs: ffmpeg with libopus, espeak-ng, flite and festival on the path; pico2wave only for evaluation.
"""

import functools
import hashlib
import os
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import onnxruntime
import soundfile
import soxr
from scipy.signal import butter, fftconvolve, lfilter, sosfilt

RATE = 16000  # of the encoder; the telephone has 8000
HOP = 384  # samples of a frame of the encoder: 24 ms
FRAMES_PER_SECOND = RATE / HOP

BAND = butter(4, [300, 3400], "bandpass", fs=8000, output="sos")


def generator(*key):
    """A random generator that depends on nothing but `key`."""
    digest = hashlib.sha256("\0".join(map(str, key)).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8], "little"))


# --- the telephone -------------------------------------------------------------------------------


def mu_law(x):
    """G.711 mu-law there and back."""
    x = np.clip(np.asarray(x) * 32768, -32635, 32635).astype(np.int32)
    negative, m = x < 0, np.abs(x) + 132
    exponent = np.clip(np.floor(np.log2(m)).astype(int) - 7, 0, 7)
    mantissa = (m >> (exponent + 3)) & 15
    y = (((mantissa << 3) + 132) << exponent) - 132
    return np.where(negative, -y, y) / 32768.0


def narrow(x, rate):
    """8 kHz, 300-3400 Hz, the 95th percentile of the amplitude at 0.12."""
    if rate != 8000:
        x = soxr.resample(x, rate, 8000, quality="HQ")
    x = sosfilt(BAND, x)
    return np.clip(x * (0.12 / (np.percentile(np.abs(x), 95) + 1e-9)), -0.99, 0.99)


def wide(x):
    """8 kHz to what the encoder hears."""
    return soxr.resample(x, 8000, RATE, quality="HQ").astype(np.float32)


def opus(x, bitrate):
    """Opus at 8 kHz, 20 ms, there and back."""
    with tempfile.TemporaryDirectory() as folder:
        a, b, c = (f"{folder}/{name}" for name in ("a.wav", "b.opus", "c.wav"))
        soundfile.write(a, x, 8000, subtype="PCM_16")
        encode = ["-c:a", "libopus", "-b:a", str(bitrate), "-application", "voip", "-frame_duration", "20"]
        subprocess.run(["ffmpeg", "-v", "error", "-y", "-i", a, *encode, b], check=True)
        subprocess.run(["ffmpeg", "-v", "error", "-y", "-i", b, "-ar", "8000", c], check=True)
        return soundfile.read(c)[0]


def lose(x, share, rng):
    """Loses 20 ms packets in bursts of 1.5 on average and conceals them with the last pitch period, fading."""
    x, size, lost, gain = x.copy(), 160, False, 1.0
    for start in range(0, len(x) - size + 1, size):
        lost = rng.random() < (1 / 3 if lost else share * (2 / 3) / (1 - share))
        if not lost:
            gain = 1.0
            continue
        past = x[max(0, start - 480) : start]
        if len(past) < 320:
            x[start : start + size] = 0
            continue
        last = past[-160:]

        def likeness(lag):
            other = past[-160 - lag : -lag]
            return np.dot(other, last) / (np.linalg.norm(other) + 1e-6)

        lag = max(range(40, 160, 2), key=likeness)
        gain *= 0.8
        x[start : start + size] = np.resize(past[-lag:], size) * gain
    return x


def code(x, rate, how, rng=None):
    """Telephone coding without any disturbance of our own: "ulaw", "opus16" or "loss3"; for the encoder."""
    y = narrow(x, rate)
    if how == "opus16":
        return wide(opus(y, 16000))
    y = mu_law(y)
    return wide(lose(y, 0.03, rng) if how == "loss3" else y)


# --- what disturbs -------------------------------------------------------------------------------


def coloured(n, rng):
    """Pink to brown noise."""
    spectrum = np.fft.rfft(rng.normal(size=n + 64))
    return np.fft.irfft(spectrum / (np.arange(len(spectrum)) + 8.0) ** rng.uniform(0.4, 1.0))[:n]


def babble(n, rng, voices):
    """Two to five of the given readers at once."""
    y = np.zeros(n)
    for index in rng.integers(len(voices), size=int(rng.integers(2, 6))):
        voice = voices[index]
        y += np.resize(np.roll(voice, int(rng.integers(len(voice)))), n)
    return y


def room(x, rng):
    """A small room: decaying noise of 0.1 to 0.4 s after the direct sound."""
    n = int(8000 * rng.uniform(0.1, 0.4))
    tail = rng.normal(size=n) * 10 ** (-3 * np.arange(n) / n)
    tail *= 10 ** (-rng.uniform(0, 10) / 20) / np.linalg.norm(tail)
    tail[0] = 1.0
    return fftconvolve(x, tail)[: len(x)]


def disturb(x, rate, how, rng, voices):
    """Speech as a telephone might carry it. `how` holds any of speed, noise, room, tilt and line (Opus or loss)."""
    if "speed" in how:
        x = soxr.resample(x, rate, int(rate * rng.uniform(0.88, 1.14)))
    if "tilt" in how:
        x = lfilter([1.0, -rng.uniform(-0.6, 0.6)], [1.0], x)
    y = narrow(x, rate)
    if "room" in how:
        y = room(y, rng)
    if "noise" in how:
        z = sosfilt(BAND, babble(len(y), rng, voices) if rng.random() < 0.5 else coloured(len(y), rng))
        ratio = np.sqrt(np.mean(y**2) / (np.mean(z**2) + 1e-12))
        y = y + z * ratio * 10 ** (-rng.uniform(8, 22) / 20)
    y = np.clip(y * rng.uniform(0.4, 1.3), -0.99, 0.99)
    if "line" in how:
        if rng.random() < 0.5:
            y = opus(y, int(rng.choice([12000, 16000, 24000])))
        else:
            y = lose(mu_law(y), rng.uniform(0.01, 0.05), rng)
    return wide(mu_law(y))


def padded(x, rate, rng, floor=(-4.5, -2.5)):
    """Some near-silence before and after."""
    before, after = rng.integers(int(0.1 * rate), int(0.5 * rate), 2)
    x = np.concatenate([np.zeros(before), x, np.zeros(after)])
    return x + rng.normal(0, 10 ** rng.uniform(*floor), len(x))


# --- synthesised speech --------------------------------------------------------------------------

ACCENTS = "en-us en-us en-gb en-gb-scotland en-gb-x-gbclan en-gb-x-rp en-gb-x-gbcwmd en-029 en-us-nyc".split()
SHAPES = """f1 f2 f3 f4 f5 m1 m2 m3 m4 m5 m6 m7 m8 klatt klatt2 klatt3 klatt4 Alex Alicia Andrea Andy Annie Denis Gene
Hugo Jacky Lee Marco Mario Michael Mike anika aunty belinda benjamin boris caleb david ed edward john linda max michel
pablo paul rob robert shelby steph steph2 travis victor zac""".split()
TRAINED = {"flite": ["awb", "slt", "kal16"], "festival": ["kal_diphone", "cmu_us_slt_arctic_hts"]}
HELD_OUT = {"pico": ["en-US", "en-GB"], "flite": ["rms"], "festival": ["ked_diphone"]}


def festival(jobs):
    """Synthesises many (voice, text, stretch) in one run of festival."""
    with tempfile.TemporaryDirectory() as folder:
        lines = []
        for number, (voice, text, stretch) in enumerate(jobs):
            quoted = text.replace("\\", " ").replace('"', " ")
            lines += [
                f"(voice_{voice})",
                f"(Parameter.set 'Duration_Stretch {stretch:.2f})",
                f'(utt.save.wave (utt.synth (Utterance Text "{quoted}")) "{folder}/{number}.wav" \'riff)',
            ]
        script = Path(folder, "all.scm")
        script.write_text("\n".join(lines))
        subprocess.run(["festival", "-b", str(script)], check=False, capture_output=True)
        out = []
        for number in range(len(jobs)):
            file = Path(folder, f"{number}.wav")
            out.append(trimmed(*soundfile.read(file)) if file.exists() else None)
        return out


def trimmed(x, rate):
    """16 kHz, cut to where there is sound; None where there is none."""
    x = soxr.resample(x if x.ndim == 1 else x[:, 0], rate, RATE)
    loud = np.where(np.abs(x) > 0.02 * np.abs(x).max())[0] if len(x) else []
    if len(loud) < RATE // 5:
        return None
    x = x[max(0, loud[0] - 480) : loud[-1] + 480]
    return x * (0.5 / np.abs(x).max())


def synthesise(engine, voice, text, speed=1.0, pitch=50):
    """One text by one voice: 16 kHz, or None if the engine gave nothing."""
    if engine == "festival":
        return festival([(voice, text, 1 / speed)])[0]
    with tempfile.TemporaryDirectory() as folder:
        out = f"{folder}/a.wav"
        command = {
            "espeak": ["espeak-ng", "-v", voice, "-s", str(int(160 * speed)), "-p", str(pitch), "-w", out, "--", text],
            "flite": ["flite", "-voice", voice, "--setf", f"duration_stretch={1 / speed:.2f}", "-t", text, "-o", out],
            "pico": ["pico2wave", "-l", voice, "-w", out, text],
        }[engine]
        subprocess.run(command, check=False, capture_output=True)
        return trimmed(*soundfile.read(out)) if os.path.exists(out) else None


# --- Moonshine -----------------------------------------------------------------------------------

LAYERS, HEADS, SIZE = 6, 8, 36
BEGIN, END = 1, 2


def session(file):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])


class Moonshine:
    """Moonshine tiny-en as models/fetch puts it into the store: encoder, greedy decoding, forced scoring."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.encoder = session(self.folder / "encoder_model.ort")

    @functools.cached_property
    def audio(self):
        return session(self.folder / "decoder_audio.onnx")

    @functools.cached_property
    def steps(self):
        return session(self.folder / "decoder_steps.onnx")

    @functools.cached_property
    def tokens(self):
        data, at, tokens = (self.folder / "tokenizer.bin").read_bytes(), 0, []
        while at < len(data):
            size = data[at]
            at += 1
            if size >= 128:
                size = data[at] * 128 + size - 128
                at += 1
            tokens.append(data[at : at + size])
            at += size
        return tokens

    @functools.cached_property
    def ids(self):
        # 3..258 are raw bytes; single characters have a later id of their own.
        ids = {token: n for n, token in enumerate(self.tokens) if token and (n > 258 or n < 3)}
        for n in range(3, 259):
            ids.setdefault(self.tokens[n], n)
        return ids

    def encode(self, x):
        """Samples to [frames, 288]."""
        x = np.asarray(x, np.float32)[None]
        inputs = {"input_values": x, "attention_mask": np.ones(x.shape, np.int64)}
        return self.encoder.run(["last_hidden_state"], inputs)[0][0]

    def text(self, ids):
        kept = [t for t in map(self.tokens.__getitem__, ids) if not (len(t) > 2 and t[:1] == b"<" and t[-1:] == b">")]
        return b"".join(kept).decode("utf-8", "replace").replace("\u2581", " ").strip()

    def token_ids(self, text):
        """Merges the adjacent pair whose piece has the lowest id, until there is none."""
        pieces = []
        for character in (" " + text).replace(" ", "\u2581"):
            piece = character.encode()
            pieces += [piece] if piece in self.ids else [bytes([b]) for b in piece]
        while True:
            pairs = [(self.ids.get(a + b, 1 << 30), n) for n, (a, b) in enumerate(zip(pieces, pieces[1:]))]
            best, n = min(pairs, default=(1 << 30, 0))
            if best == 1 << 30:
                return tuple(self.ids[piece] for piece in pieces)
            pieces[n : n + 2] = [pieces[n] + pieces[n + 1]]

    def step(self, hidden, ids, past=None):
        """Log-probabilities after each of `ids` [batch, tokens] behind `past`, and the past with them; None begins."""
        ids = np.asarray(ids, np.int64)
        rows, size = ids.shape
        kinds = [f"{n}.{kind}" for n in range(LAYERS) for kind in ("key", "value")]
        if past is None:
            past = dict(zip((f"cross.{kind}" for kind in kinds), self.audio.run(None, {"hidden": hidden})))
            past.update((f"self.{kind}", np.zeros((rows, HEADS, 0, SIZE), np.float32)) for kind in kinds)
        before = past["self.0.key"].shape[2]
        # A token attends to all before it and to itself.
        mask = np.triu(np.full((size, before + size), -1e30, np.float32), before + 1)
        inputs = {
            "ids": ids,
            "positions": np.broadcast_to(np.arange(before, before + size), ids.shape),
            "mask": np.broadcast_to(mask, (rows, 1, *mask.shape)),
            "heard": np.zeros((rows, 1, 1, hidden.shape[1]), np.float32),
            **past,
        }
        log_p, *new = self.steps.run(["logp"] + [f"new.{kind}" for kind in kinds], inputs)
        now = {f"self.{kind}": np.concatenate([past[f"self.{kind}"], each], 2) for kind, each in zip(kinds, new)}
        return log_p, {**past, **now}

    def greedy(self, features):
        """Token ids, log-probabilities at each of them, and the decoder's past."""
        hidden = features[None]
        limit = int(np.ceil(len(features) / FRAMES_PER_SECOND * 6.5))
        log_p, past = self.step(hidden, [[BEGIN]])
        rows, ids = [log_p[0, -1]], [int(log_p[0, -1].argmax())]
        while ids[-1] != END and len(ids) < limit:
            log_p, past = self.step(hidden, [ids[-1:]], past)
            rows.append(log_p[0, -1])
            ids.append(int(rows[-1].argmax()))
        return ids, np.array(rows), past

    def transcribe(self, features):
        return self.text(self.greedy(features)[0])

    def force(self, features, spellings, gate=-9.0, slope=-4.0):
        """The greedy text, and per phrase the best mean log-probability per token of any spelling at any position.

        A position is tried where the first token's log-probability is above max(gate, slope * tokens).
        """
        ids, rows, past = self.greedy(features)
        scores = dict.fromkeys(spellings, -20.0)
        flat = [(phrase, tokens) for phrase, all_of in spellings.items() for tokens in all_of]
        for at, row in enumerate(rows):
            by_size = {}
            for phrase, tokens in flat:
                if row[tokens[0]] > max(gate, slope * len(tokens)):
                    by_size.setdefault(len(tokens), []).append((phrase, tokens))
            for size, tried in by_size.items():
                after = None
                if size > 1:
                    n = len(tried)
                    cut = {k: v[:, :, : at + 1] if k.startswith("self.") else v for k, v in past.items()}
                    cut = {k: np.repeat(v, n, axis=0) for k, v in cut.items()}
                    hidden = np.repeat(features[None], n, axis=0)
                    after = self.step(hidden, [tokens[:-1] for _, tokens in tried], cut)[0]
                for n, (phrase, tokens) in enumerate(tried):
                    steps = [row[tokens[0]]] + [after[n, i, tokens[i + 1]] for i in range(size - 1)]
                    scores[phrase] = max(scores[phrase], float(np.mean(steps)))
        return self.text(ids), scores
