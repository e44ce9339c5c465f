"""What the package sherpa-onnx makes of sounds and recordings with the models of tests/data/streaming, as JSON.

reference.py [WAV ...] > expected.json
"""

import json
import sys
import tempfile
import wave
from pathlib import Path

import numpy as np
import sherpa_onnx
from fbank import features
from sounds import sounds

DATA = Path(__file__).parent.parent / "data" / "streaming"
SYMBOLS = [line.split()[0] for line in (DATA / "ctc" / "tokens.txt").read_text().splitlines()]
# Keywords of each case: as keywords.txt has them.
KEYWORDS = [
    "▁HELLO ▁WORLD @hello_world",
    "▁CALL ▁RECORD E D :2.0 #0.2 @call_recorded",
    "▁THE ▁CALL :1.5 @the_call",
    "E D ▁THE #0.4 @ed_the",
    "▁WORLD ▁CALL ▁HELLO #0.3 @world_call_hello",
    "▁LEA S E :0.5 #0.1 @lease",
    "▁W E @we",
]
# Word pieces of each case, and the noise's seed.
CASES = {
    "one": ("▁HELLO ▁WORLD", 1),
    "two phrases": ("▁THE ▁CALL I S ▁RECORD E D ▁HELLO ▁WORLD", 2),
    "one begins another": ("▁WORLD ▁CALL ▁THE ▁WORLD ▁CALL ▁HELLO", 3),
    "the end of one begins another": ("▁CALL ▁RECORD E D ▁THE ▁CALL", 4),
    "twice": ("▁W E ▁LEA S E ▁W E", 5),
    "none": ("▁O U R ▁C OLD ▁H A Y ▁RECORD E ▁HELLO ▁HELLO E", 6),
    "again and again": ("E E D D ▁THE ▁THE ▁CALL ▁CALL", 7),
}
TAIL = 16000


def recognizer(model):
    common = dict(tokens=str(DATA / "ctc" / "tokens.txt"), num_threads=1)
    if model == "ctc":
        return sherpa_onnx.OnlineRecognizer.from_zipformer2_ctc(model=str(DATA / "ctc" / "model.onnx"), **common)
    parts = {part: str(DATA / model / f"{part}.onnx") for part in ("encoder", "decoder", "joiner")}
    return sherpa_onnx.OnlineRecognizer.from_transducer(decoding_method="greedy_search", **parts, **common)


def spotter(lines):
    file = tempfile.NamedTemporaryFile("w", suffix=".txt")
    file.write("\n".join(lines) + "\n")
    file.flush()
    parts = {part: str(DATA / "transducer" / f"{part}.onnx") for part in ("encoder", "decoder", "joiner")}
    return sherpa_onnx.KeywordSpotter(
        tokens=str(DATA / "ctc" / "tokens.txt"), keywords_file=file.name, num_threads=1, max_active_paths=4, keywords_score=1.0,
        keywords_threshold=0.25, num_trailing_blanks=1, **parts), file


def fed(machine, samples):
    stream = machine.create_stream()
    stream.accept_waveform(16000, samples)
    stream.accept_waveform(16000, np.zeros(TAIL, np.float32))
    stream.input_finished()
    return stream


def greedy(machine, samples):
    stream = fed(machine, samples)
    while machine.is_ready(stream):
        machine.decode_stream(stream)
    result = machine.get_result_all(stream)
    frames = [round(time / 0.04) for time in result.timestamps]
    # The package tells the space before a word, where tokens.txt has U+2581.
    ids = [SYMBOLS.index(token.replace(" ", "▁")) for token in result.tokens]
    return {"ids": ids, "frames": frames, "log_p": [round(float(p), 7) for p in result.ys_probs]}


def hits(machine, samples):
    machine, _ = machine
    stream, found = fed(machine, samples), []
    while machine.is_ready(stream):
        machine.decode_stream(stream)
        # Asked twice, it answers once.
        result = machine.keyword_spotter.get_result(stream)
        if result.keyword:
            found.append({"name": result.keyword, "frames": [round(time / 0.04) for time in result.timestamps]})
    return found


def score(keywords, place, hit, samples):
    """The mean probability that the package gave a hit: the highest threshold at which it is still there."""
    low, high = 0.0, 1.0
    for _ in range(22):
        middle = (low + high) / 2
        words = [word for word in keywords[place].split() if word[0] != "#"] + [f"#{middle:.9f}"]
        machine = spotter(keywords[:place] + [" ".join(words)] + keywords[place + 1:])
        there = any(other["frames"] == hit["frames"] for other in hits(machine, samples))
        low, high = (middle, high) if there else (low, middle)
    return low


def case(samples, machines, keywords):
    found = hits(machines["keywords"], samples)
    for place, hit in enumerate(found):
        # A second hit of a phrase would be another's without the first.
        if all(other["name"] != hit["name"] for other in found[:place]):
            line = next(n for n, line in enumerate(keywords) if line.endswith(f"@{hit['name']}"))
            hit["probability"] = score(keywords, line, hit, samples)
    return {kind: greedy(machines[kind], samples) for kind in ("transducer", "lstm", "ctc")} | {"hits": found}


def main():
    machines = {kind: recognizer(kind) for kind in ("transducer", "lstm", "ctc")} | {"keywords": spotter(KEYWORDS)}
    cases = {}
    for name, (words, seed) in CASES.items():
        ids = [SYMBOLS.index(word) for word in words.split()]
        samples = (sounds(ids, seed) / np.float32(32768)).astype(np.float32)
        cases[name] = {"ids": ids, "seed": seed} | case(samples, machines, KEYWORDS)
    for file in sys.argv[1:]:
        with wave.open(file) as recording:
            assert recording.getframerate() == 16000 and recording.getnchannels() == 1
            samples = np.frombuffer(recording.readframes(1 << 30), "<i2").astype(np.float32) / 32768
        cases[file] = {"file": file} | case(samples, machines, KEYWORDS)
    one = CASES["one"]
    bands = features(sounds([SYMBOLS.index(word) for word in one[0].split()], one[1]))
    json.dump({
        "package": f"sherpa-onnx {sherpa_onnx.__version__}", "keywords": KEYWORDS, "cases": cases,
        # Every seventh frame will do.
        "features": [[round(float(number), 5) for number in row] for row in bands[::7]], "features_frames": len(bands),
    }, sys.stdout, ensure_ascii=False, indent=None)
    print()


main()
