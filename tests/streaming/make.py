"""Makes tests/data/streaming: three tiny models in the layout and with the metadata of sherpa-onnx.

They know no language: a sound of sounds.py stands for each word piece. Every state of a Zipformer 2 is there, has its
shape, and moves the answer, so that one which is lost, or taken for another, shows.
"""

import sys
from pathlib import Path

import numpy as np
import onnx
import sentencepiece
from onnx import TensorProto, helper, numpy_helper

from fbank import features
from sounds import sounds

OUT = Path(sys.argv[1] if len(sys.argv) > 1 else "tests/data/streaming")
BANDS, SHIFT, LENGTH, FRAMES = 80, 32, 45, 8
# Bands from some 350 to some 3,200 Hz.
LOWEST, HIGHEST = 12, 54
DIM, JOINED, KEY, VALUE, LEFT, KERNEL = 32, 32, 4, 4, 16, 5
CORPUS = ["HELLO WORLD", "THE CALL IS RECORDED", "YOUR CALL MAY BE RECORDED", "HELLO THE WORLD", "RECORD THE CALL",
          "CALL HELLO", "WORLD CALL", "BE RECORDED", "MAY THE WORLD HELLO", "YOUR WORLD IS THE CALL",
          "THERE IS A RECORD OF THE ORDER", "OTHER WORDS OF OUR LEADER", "HER ROAD IS COLD", "WE HOLD THE LEASE"]
rng = np.random.default_rng(20260101)


def pieces():
    """Word pieces of a few words, as icefall trains them."""
    corpus = OUT / "corpus.txt"
    corpus.write_text("\n".join(CORPUS * 20) + "\n")
    sentencepiece.SentencePieceTrainer.train(
        input=str(corpus), vocab_size=33, model_type="unigram", model_prefix=str(OUT / "pieces"), character_coverage=1.0,
        user_defined_symbols=["<blk>", "<sos/eos>"], unk_id=2, bos_id=-1, eos_id=-1, normalization_rule_name="identity",
        num_threads=1, minloglevel=2)
    model = sentencepiece.SentencePieceProcessor(model_file=str(OUT / "pieces.model"))
    for file in ("corpus.txt", "pieces.model", "pieces.vocab"):
        (OUT / file).unlink()
    symbols = [model.id_to_piece(n) for n in range(model.get_piece_size())]
    assert symbols[:3] == ["<blk>", "<sos/eos>", "<unk>"] and len(symbols) == 33, symbols
    return symbols


def fit(vocabulary):
    """Weights [80, 32] and bias [32] from bands to the sound that goes on: 1 in it, 0 elsewhere. Ridge regression."""
    rows, wanted = [], []
    for seed in range(40):
        ids = rng.integers(3, vocabulary, 12)
        samples = sounds(ids, seed)
        bands = features(samples)
        for start in range(0, len(bands) - 12, 4):
            rows.append(bands[start + 6:start + 10].mean(0))
            target = np.zeros(DIM)
            middle = (start + 8) * 160 - 4800
            if 0 <= middle < 12 * 3840 and middle % 3840 < 2880:
                target[ids[middle // 3840] - 3] = 1
            wanted.append(target)
    rows = np.array(rows)
    # What a telephone lets through, so that a call sounds as a file does.
    rows[:, :LOWEST] = rows[:, HIGHEST:] = 0
    rows = np.c_[rows, np.ones(len(rows))]
    weights = np.linalg.solve(rows.T @ rows + 0.3 * np.eye(BANDS + 1), rows.T @ np.array(wanted))
    weights[:, vocabulary - 3:] = rng.normal(0, 0.01, (BANDS + 1, DIM - vocabulary + 3))
    return weights[:-1].astype(np.float32), weights[-1].astype(np.float32)


class Graph:
    """Nodes and weights of one file."""

    def __init__(self):
        self.nodes, self.weights, self.count = [], [], 0

    def weight(self, array):
        self.count += 1
        name = f"w{self.count}"
        self.weights.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def __call__(self, kind, *inputs, out=None, **attributes):
        self.count += 1
        names = [self.weight(i) if isinstance(i, np.ndarray) else i for i in inputs]
        out = out or f"n{self.count}"
        self.nodes.append(helper.make_node(kind, names, [out], **attributes))
        return out

    def save(self, file, inputs, outputs, metadata):
        def info(name, kind, shape):
            return helper.make_tensor_value_info(name, kind, shape)
        graph = helper.make_graph(self.nodes, "tiny", [info(*i) for i in inputs], [info(*o) for o in outputs], self.weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
        helper.set_model_props(model, metadata)
        onnx.checker.check_model(model)
        (OUT / file).parent.mkdir(exist_ok=True)
        onnx.save(model, OUT / file)


def ints(*numbers):
    return np.array(numbers, np.int64)


def small(*shape, by=0.3):
    return rng.normal(0, by, shape).astype(np.float32)


F, I = TensorProto.FLOAT, TensorProto.INT64
STATES = [("cached_key_0", F, [LEFT, "N", KEY]), ("cached_nonlin_attn_0", F, [1, "N", LEFT, 3 * DIM // 4]),
          ("cached_val1_0", F, [LEFT, "N", VALUE]), ("cached_val2_0", F, [LEFT, "N", VALUE]),
          ("cached_conv1_0", F, ["N", DIM, KERNEL // 2]), ("cached_conv2_0", F, ["N", DIM, KERNEL // 2]),
          ("embed_states", F, ["N", 128, 3, 19]), ("processed_lens", I, ["N"])]
METADATA = {"model_type": "zipformer2", "version": "1", "model_author": "sidetone", "decode_chunk_len": str(SHIFT),
            "T": str(LENGTH), "num_encoder_layers": "1", "encoder_dims": str(DIM), "cnn_module_kernels": str(KERNEL),
            "left_context_len": str(LEFT), "query_head_dims": str(KEY), "value_head_dims": str(VALUE), "num_heads": "1"}


def embedded(g, weights, bias, besides=None):
    """Adds all up to what each of the eight rows sounds like, [N, 8, 32]; gives its name."""
    x = g("Transpose", "x", perm=[0, 2, 1])
    x = g("Slice", x, ints(6), ints(38), ints(2))
    x = g("AveragePool", x, kernel_shape=[4], strides=[4])
    x = g("Transpose", x, perm=[0, 2, 1])
    h = g("Add", g("MatMul", x, weights), bias)
    return g("Relu", g("Add", h, besides) if besides else h)


def encoder(g, weights, bias, parts):
    """Adds all up to the encoder's answer, [N, 8, 32]; gives its name."""
    # What was embedded before moves what is embedded now.
    before = g("ReduceMean", "embed_states", axes=[1, 2, 3], keepdims=0)
    before = g("Reshape", before, ints(-1, 1, 1))
    h = embedded(g, weights, bias, g("Mul", before, np.array(0.3, np.float32)))
    tail = g("ReduceMean", g("Slice", h, ints(5), ints(8), ints(1)), axes=[2], keepdims=0)
    tail = g("Reshape", tail, ints(-1, 1, 3, 1))
    g("Mul", tail, parts["embed"], out="new_embed_states")
    # How much of the left context there is.
    processed = g("Cast", "processed_lens", to=F)
    g("Add", "processed_lens", ints(SHIFT // 2), out="new_processed_lens")
    share = g("Div", processed, g("Add", processed, np.array(64, np.float32)))
    share = g("Reshape", share, ints(-1, 1))
    # [8, N, 32]
    along = g("Transpose", h, perm=[1, 0, 2])
    context = None
    for name, size in (("cached_key_0", KEY), ("cached_val1_0", VALUE), ("cached_val2_0", VALUE)):
        own = g("MatMul", along, parts[name][0])
        longer = g("Concat", name, own, axis=0)
        g("Slice", longer, ints(-LEFT), ints(1 << 40), ints(0), out=f"new_{name}")
        seen = g("MatMul", g("ReduceMean", name, axes=[0], keepdims=0), parts[name][1])
        context = seen if context is None else g("Add", context, seen)
    name = "cached_nonlin_attn_0"
    own = g("Unsqueeze", g("Slice", h, ints(0), ints(3 * DIM // 4), ints(2)), ints(0))
    g("Slice", g("Concat", name, own, axis=2), ints(-LEFT), ints(1 << 40), ints(2), out=f"new_{name}")
    seen = g("MatMul", g("ReduceMean", name, axes=[0, 2], keepdims=0), parts[name][0])
    context = g("Mul", g("Add", context, seen), share)
    # [N, 32, 8]: a sound is told where it begins.
    columns = g("Transpose", h, perm=[0, 2, 1])
    for name in ("cached_conv1_0", "cached_conv2_0"):
        longer = g("Concat", name, columns, axis=2)
        g("Slice", longer, ints(-(KERNEL // 2)), ints(1 << 40), ints(2), out=f"new_{name}")
        columns = g("Conv", longer, parts[name], group=DIM, kernel_shape=[3])
    return g("Add", g("Transpose", columns, perm=[0, 2, 1]), g("Unsqueeze", context, ints(1)))


def main():
    for kind in ("transducer", "ctc", "lstm"):
        (OUT / kind).mkdir(parents=True, exist_ok=True)
    symbols = pieces()
    vocabulary = len(symbols)
    for kind in ("transducer", "ctc", "lstm"):
        (OUT / kind / "tokens.txt").write_text("".join(f"{symbol} {n}\n" for n, symbol in enumerate(symbols)))
    weights, bias = fit(vocabulary)
    onset = np.tile(np.array([-0.6, -0.6, 1.0], np.float32), (DIM, 1))[:, None]
    smooth = np.tile(np.array([0.0, 0.1, 0.9], np.float32), (DIM, 1))[:, None] + small(DIM, 1, 3, by=0.05)
    parts = {name: (small(DIM, 4), small(4, DIM, by=0.1)) for name in ("cached_key_0", "cached_val1_0", "cached_val2_0")}
    parts["cached_nonlin_attn_0"] = (small(3 * DIM // 4, DIM, by=0.1),)
    parts |= {"cached_conv1_0": onset + small(DIM, 1, 3, by=0.02), "cached_conv2_0": smooth, "embed": small(1, 128, 1, 19) + 1}
    output = small(JOINED, vocabulary, by=0.2)
    output[:, 0] = 0
    for n in range(vocabulary - 3):
        output[n, n + 3] += 16
    offset = np.full(vocabulary, -6.0, np.float32)
    offset[0], offset[1], offset[2] = 0, -12, -9
    embedding = small(vocabulary, JOINED, by=0.06)
    taps = small(2, 1, JOINED, by=0.5) + 0.5

    g = Graph()
    g("Identity", encoder(g, weights, bias, parts), out="encoder_out")
    states = [(f"new_{name}", kind, shape) for name, kind, shape in STATES]
    x = ("x", F, ["N", LENGTH, BANDS])
    g.save("transducer/encoder.onnx", [x] + STATES, [("encoder_out", F, ["N", FRAMES, JOINED])] + states,
           METADATA | {"comment": "streaming zipformer2"})

    g = Graph()
    known = g("Cast", g("GreaterOrEqual", "y", ints(0)), to=F)
    rows = g("Gather", embedding, g("Max", "y", ints(0)), axis=0)
    rows = g("Mul", rows, g("Unsqueeze", known, ints(2)))
    # A stateless decoder: the two last pieces, each by its own weights.
    rows = g("Mul", rows, taps[:, 0][None])
    g("ReduceSum", rows, ints(1), keepdims=0, out="decoder_out")
    for kind in ("transducer", "lstm"):
        g.save(f"{kind}/decoder.onnx", [("y", I, ["N", 2])], [("decoder_out", F, ["N", JOINED])],
               {"context_size": "2", "vocab_size": str(vocabulary)})

    g = Graph()
    both = g("Tanh", g("Add", "encoder_out", "decoder_out"))
    g("Add", g("MatMul", both, output), offset, out="logit")
    for kind in ("transducer", "lstm"):
        g.save(f"{kind}/joiner.onnx", [("encoder_out", F, ["N", JOINED]), ("decoder_out", F, ["N", JOINED])],
               [("logit", F, ["N", vocabulary])], {"joiner_dim": str(JOINED)})

    g = Graph()
    h = g("Transpose", embedded(g, weights, bias), perm=[1, 0, 2])
    longer = g("Concat", "h", h, axis=0)
    g("Slice", longer, ints(-1), ints(1 << 40), ints(0), out="next_h")
    before = g("Slice", longer, ints(0), ints(FRAMES), ints(0))
    g("Add", g("Mul", "c", np.array(0.5, np.float32)),
      g("ReduceMean", g("MatMul", h, small(DIM, 8)), axes=[0], keepdims=1), out="next_c")
    rows = g("Sub", h, g("Mul", before, np.array(0.9, np.float32)))
    rows = g("Add", rows, g("MatMul", "c", small(8, DIM, by=0.1)))
    g("Transpose", rows, perm=[1, 0, 2], out="encoder_out")
    g.save("lstm/encoder.onnx", [x, ("h", F, [1, "N", DIM]), ("c", F, [1, "N", 8])],
           [("encoder_out", F, ["N", FRAMES, JOINED]), ("next_h", F, [1, "N", DIM]), ("next_c", F, [1, "N", 8])],
           {"model_type": "lstm", "version": "1", "model_author": "sidetone", "decode_chunk_len": str(SHIFT),
            "T": str(LENGTH), "num_encoder_layers": "1", "d_model": str(DIM), "rnn_hidden_size": "8"})

    g = Graph()
    both = g("Tanh", encoder(g, weights, bias, parts))
    g("LogSoftmax", g("Add", g("MatMul", both, output), offset), axis=2, out="log_probs")
    g.save("ctc/model.onnx", [x] + STATES, [("log_probs", F, ["N", FRAMES, vocabulary])] + states,
           METADATA | {"comment": "streaming ctc zipformer2"})


main()
