"""Moonshine's decoder as two graphs of ours that several segments can share a run of.

The graph of the package takes one length of text for all that it decodes at once, and rounds what it multiplies
to 8 bits by the largest number of the whole batch, so that what is said of one call would depend on the others.
Here each row has its own position and its own masks, and each 32 numbers of a row their own scale: a row's
result is the same, bit for bit, whoever is in the batch. Weights stay as they are stored, 8 bits each.
"""

import math
import struct

from convert import (
    FLOAT, INT64, UINT8, CannotConvert, Table, model, node, read_attribute, read_tensor, tensor, value_info,
)

LAYERS, HEADS, HEAD_SIZE, WIDTH, VOCABULARY = 6, 8, 36, 288, 32768
ROTATED = 32  # numbers of a head that its position turns
POSITIONS = 128  # more tokens than 8 s of speech hold
BLOCK = 32  # numbers of a row that share a scale
CONTRIB = "com.microsoft"


def steps(data):
    """A step of the decoder: rows of tokens, each after its own memory, to the log-probabilities of what follows."""
    weights, graph = Weights(data), Graph()
    inputs = [value_info(name, INT64, ["rows", "tokens"]) for name in ("ids", "positions")]
    inputs.append(value_info("mask", FLOAT, ["rows", 1, "tokens", "memory and tokens"]))
    inputs.append(value_info("heard", FLOAT, ["rows", 1, 1, "frames"]))
    outputs = [value_info("logp", FLOAT, ["rows", "tokens", VOCABULARY])]
    for layer in range(LAYERS):
        for part in ("key", "value"):
            inputs.append(value_info(f"self.{layer}.{part}", FLOAT, ["rows", HEADS, "memory", HEAD_SIZE]))
            inputs.append(value_info(f"cross.{layer}.{part}", FLOAT, ["rows", HEADS, "frames", HEAD_SIZE]))
            outputs.append(value_info(f"new.{layer}.{part}", FLOAT, ["rows", HEADS, "tokens", HEAD_SIZE]))
    logits = weights.product("logits")
    codes = graph.stored(UINT8, [VOCABULARY, WIDTH // BLOCK, BLOCK], logits.codes)
    x = graph.reshaped(graph.node("Gather", [codes, "ids"]), [0, 0, WIDTH])
    scale, zero = (struct.pack("<f", logits.scale), bytes([logits.zero]))
    x = graph.node("DequantizeLinear", [x, graph.stored(FLOAT, [], scale), graph.stored(UINT8, [], zero)])
    turns = [graph.stored(FLOAT, [POSITIONS, ROTATED // 2], raw) for raw in weights.turns()]
    for layer in range(LAYERS):
        root = f"/model/decoder/layers.{layer}/"
        normal = graph.normal(x, weights, root + "input_layernorm")
        query, key, value = (
            graph.heads(graph.product(normal, weights.product(f"{root}self_attn/{part}_proj/MatMul_output_0")))
            for part in "qkv"
        )
        query, key = graph.turned(query, turns), graph.turned(key, turns)
        remembered = []
        for part, new in (("key", key), ("value", value)):
            graph.node("Identity", [new], output=f"new.{layer}.{part}")
            remembered.append(graph.node("Concat", [f"self.{layer}.{part}", new], [("axis", 2)]))
        mixed = graph.attention(query, *remembered, "mask")
        x = graph.node("Add", [x, graph.product(mixed, weights.product(root + "self_attn/o_proj/MatMul_output_0"))])
        normal = graph.normal(x, weights, root + "post_attention_layernorm")
        query = graph.heads(graph.product(normal, weights.product(root + "encoder_attn/q_proj/MatMul_output_0")))
        mixed = graph.attention(query, f"cross.{layer}.key", f"cross.{layer}.value", "heard")
        x = graph.node("Add", [x, graph.product(mixed, weights.product(root + "encoder_attn/o_proj/MatMul_output_0"))])
        normal = graph.normal(x, weights, root + "final_layernorm")
        wide = graph.product(normal, weights.product(root + "mlp/fc1/Add_output_0"))
        passed, gate = graph.node("Split", [wide], [("axis", -1), ("num_outputs", 2)], outputs=2)
        gate = graph.node("QuickGelu", [gate], [("alpha", 1.0)], CONTRIB)
        narrow = graph.product(graph.node("Mul", [gate, passed]), weights.product(root + "mlp/fc2/Add_output_0"))
        x = graph.node("Add", [x, narrow])
    x = graph.product(graph.normal(x, weights, "/model/decoder/norm"), logits, codes)
    graph.node("LogSoftmax", [x], [("axis", -1)], output="logp")
    return graph.model("moonshine-steps", inputs, outputs)


def audio(data):
    """What the decoder attends to of a segment: the keys and values of the encoder's frames, for each layer."""
    weights, graph = Weights(data), Graph()
    outputs = []
    for layer in range(LAYERS):
        for short, part in (("k", "key"), ("v", "value")):
            name = f"/model/decoder/layers.{layer}/encoder_attn/{short}_proj/MatMul_output_0"
            graph.heads(graph.product("hidden", weights.product(name)), output=f"cross.{layer}.{part}")
            outputs.append(value_info(f"cross.{layer}.{part}", FLOAT, ["rows", HEADS, "frames", HEAD_SIZE]))
    inputs = [value_info("hidden", FLOAT, ["rows", "frames", WIDTH])]
    return graph.model("moonshine-audio", inputs, outputs)


class Product:
    """A matrix of 8-bit codes, with the number that each code stands for, (code - zero) * scale, and what is added."""

    def __init__(self, dims, raw, scale, zero, bias):
        self.inner, self.outer = dims
        self.scale, self.zero, self.bias = scale, zero, bias
        # Stored by rows of the inner dimension; a block is a piece of a column.
        self.codes = b"".join(raw[column::self.outer] for column in range(self.outer))


class Weights:
    """The stored numbers of the package's decoder, by the names of what they give."""

    def __init__(self, data):
        if data[4:8] != b"ORTM":
            raise CannotConvert("it is not in ONNX Runtime's format, which has ORTM in its first bytes")
        graph = Table(data, struct.unpack_from("<I", data)[0]).table(1).table(7)
        self.stored = {table.text(0): read_tensor(table) for table in graph.tables(0)}
        self.products, self.scales = {}, {}
        # The decoder is the two branches of an If: with a memory, and without, where the audio's keys are made.
        for chooser in graph.tables(2):
            if chooser.text(5) == "If":
                for branch in chooser.tables(10):
                    self.read(branch.table(7))  # Attribute: g = 7

    def read(self, graph):
        self.stored.update((table.text(0), read_tensor(table)) for table in graph.tables(0))
        for table in graph.tables(2):
            kind, inputs, outputs = table.text(5), list(table.texts(8)), list(table.texts(9))
            if kind == "MatMulIntegerToFloat":  # a, b, their scales, their zero points, bias
                self.products[outputs[0]] = (inputs[1], inputs[3], inputs[5], *inputs[6:7])
            elif kind == "DynamicQuantizeMatMul":  # a, b, b's scale, b's zero point, bias
                self.products[outputs[0]] = (inputs[1], inputs[2], inputs[3], *inputs[4:5])
            elif kind == "LayerNormalization":
                epsilon, = (value for name, value in map(read_attribute, table.tables(10)) if name == "epsilon")
                self.scales[outputs[0]] = (inputs[1], epsilon)

    def product(self, name):
        if name not in self.products:
            raise CannotConvert(f"it has no product of 8-bit weights that gives {name}")
        matrix, scale, zero, *bias = self.products[name]
        _, dims, raw = self.stored[matrix]
        scale, = struct.unpack("<f", self.stored[scale][2])
        bias = self.stored[bias[0]][2] if bias and bias[0] else None
        return Product(dims, raw, scale, self.stored[zero][2][0], bias)

    def turns(self):
        """Cosines and sines of each position, by the model's own frequencies."""
        _, _, raw = self.stored["onnx::Expand_248"]
        frequencies = struct.unpack(f"<{ROTATED // 2}f", raw)
        angles = [position * frequency for position in range(POSITIONS) for frequency in frequencies]
        return [struct.pack(f"<{len(angles)}f", *map(turn, angles)) for turn in (math.cos, math.sin)]


class Graph:
    """Nodes and stored tensors with names of their own."""

    def __init__(self):
        self.nodes, self.tensors, self.known = [], [], {}

    def name(self):
        return f"t{len(self.nodes)}"

    def stored(self, kind, dims, raw):
        """A stored tensor; the same one again is the same."""
        key = (kind, tuple(dims), raw)
        if key not in self.known:
            self.known[key] = f"s{len(self.tensors)}"
            self.tensors.append(tensor(self.known[key], kind, dims, raw))
        return self.known[key]

    def node(self, kind, inputs, attributes=(), domain="", output=None, outputs=1):
        names = [output or f"{self.name()}.{n}" for n in range(outputs)]
        self.nodes.append(node(kind, inputs, names, attributes, domain))
        return names[0] if outputs == 1 else names

    def reshaped(self, x, shape):
        return self.node("Reshape", [x, self.stored(INT64, [len(shape)], struct.pack(f"<{len(shape)}q", *shape))])

    def heads(self, x, output=None):
        x = self.reshaped(x, [0, 0, HEADS, HEAD_SIZE])
        return self.node("Transpose", [x], [("perm", [0, 2, 1, 3])], output=output)

    def normal(self, x, weights, name):
        scale, epsilon = weights.scales[f"{name}/LayerNormalization_output_0"]
        scale = self.stored(FLOAT, [WIDTH], weights.stored[scale][2])
        return self.node("LayerNormalization", [x, scale], [("axis", -1), ("epsilon", epsilon)])

    def turned(self, x, turns):
        attributes = [("interleaved", 1), ("rotary_embedding_dim", ROTATED), ("num_heads", HEADS)]
        return self.node("RotaryEmbedding", [x, "positions", *turns], attributes, CONTRIB)

    def product(self, x, weight, codes=None):
        blocks = weight.inner // BLOCK
        codes = codes or self.stored(UINT8, [weight.outer, blocks, BLOCK], weight.codes)
        number = weight.outer * blocks
        scales = self.stored(FLOAT, [number], struct.pack("<f", weight.scale) * number)
        zeros = self.stored(UINT8, [number], bytes([weight.zero]) * number)
        # accuracy_level 4: each block of a row is rounded to 8 bits by a scale of its own.
        shape = [("K", weight.inner), ("N", weight.outer), ("bits", 8), ("block_size", BLOCK), ("accuracy_level", 4)]
        x = self.node("MatMulNBits", [x, codes, scales, zeros], shape, CONTRIB)
        if weight.bias is not None:
            x = self.node("Add", [x, self.stored(FLOAT, [weight.outer], weight.bias)])
        return x

    def attention(self, query, key, value, mask):
        attributes = [("transB", 1), ("alpha", HEAD_SIZE ** -0.5)]
        x = self.node("FusedMatMul", [query, key], attributes, CONTRIB)
        x = self.node("Softmax", [self.node("Add", [x, mask])], [("axis", -1)])
        x = self.node("Transpose", [self.node("MatMul", [x, value])], [("perm", [0, 2, 1, 3])])
        return self.reshaped(x, [0, 0, WIDTH])

    def model(self, name, inputs, outputs):
        return model(name, self.nodes, self.tensors, inputs, outputs, [("", 18), (CONTRIB, 1)])
