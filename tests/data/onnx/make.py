#!/usr/bin/env python3
"""Makes the tiny graphs beside it, with models/convert.py's writer: speaker models, good and bad.

python3 tests/data/onnx/make.py
"""

import struct
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.dont_write_bytecode = True
sys.path.insert(0, str(HERE.parents[2] / "models"))
from convert import FLOAT, INT64, model, node, tensor, value_info  # noqa: E402

LAST = tensor("last", INT64, [1], struct.pack("<q", -1))


def save(name, nodes, inputs, outputs, initialisers=()):
    ends = [[value_info(end, FLOAT, shape) for end, shape in each.items()] for each in (inputs, outputs)]
    (HERE / f"{name}.onnx").write_bytes(model(name, nodes, initialisers, *ends, [("", 17)]))


def mean_of_frames(features, frames):
    """The mean over frames, each weighed by the mask: what a statistics pooling does."""
    return [
        node("Unsqueeze", ["weights", "last"], ["column"]),
        node("Mul", [features, "column"], ["weighed"]),
        node("ReduceMean", ["weighed"], [frames], [("axes", [1]), ("keepdims", 0)]),
    ]


FBANK = {"fbank": ["batch", "frames", 80], "weights": ["batch", "frames"]}
save("fbank", mean_of_frames("fbank", "embedding"), FBANK, {"embedding": ["batch", 80]}, [LAST])
# How many numbers come out shows in a run only: the last of 80 is dropped.
KEPT = tensor("kept", 9, [80], bytes([1] * 79 + [0]))
save(
    "size",
    [*mean_of_frames("fbank", "mean"), node("Compress", ["mean", "kept"], ["embedding"], [("axis", 1)])],
    FBANK,
    {"embedding": ["batch", "size"]},
    [LAST, KEPT],
)
save(
    "nan",
    [
        *mean_of_frames("fbank", "mean"),
        node("Sub", ["mean", "mean"], ["nothing"]),
        node("Div", ["nothing", "nothing"], ["embedding"]),
    ],
    FBANK,
    {"embedding": ["batch", 80]},
    [LAST],
)


def mean_and_length(samples, axes):
    return [
        node("ReduceMean", [samples], ["mean"], [("axes", axes), ("keepdims", 0)]),
        node("ReduceL2", [samples], ["length"], [("axes", axes), ("keepdims", 0)]),
        node("Unsqueeze", ["mean", "last"], ["left"]),
        node("Unsqueeze", ["length", "last"], ["right"]),
        node("Concat", ["left", "right"], ["embedding"], [("axis", 1)]),
    ]


PAIR = {"embedding": ["batch", 2]}
save("waveform", mean_and_length("samples", [1]), {"samples": ["batch", "samples"]}, PAIR, [LAST])
# As many are exported: for one window at a time, of one length.
save("one", mean_and_length("samples", [1, 2]), {"samples": [1, 1, 8000]}, {"embedding": [1, 2]}, [LAST])

# What it says of a chunk is the chunk's first samples, so a test can have it say anything.
ENDS = [tensor(name, INT64, [1], struct.pack("<q", value)) for name, value in [("from", 0), ("to", 589 * 3), ("of", 2)]]
ROWS = tensor("rows", INT64, [3], struct.pack("<3q", -1, 589, 3))
save(
    "turns",
    [
        node("Slice", ["waveforms", "from", "to", "of"], ["first"]),
        node("Reshape", ["first", "rows"], ["segmentation"]),
    ],
    {"waveforms": ["batch", 1, 160000]},
    {"segmentation": ["batch", 589, 3]},
    [*ENDS, ROWS],
)
