"""Makes ONNX of what the packages carry in other forms: byte for byte the same on every Python.

Standard library only, and nothing that is read is ever executed. The numbers of a format stand beside
the names that its own description gives them: onnx.proto, ONNX Runtime's ort.fbs, PyTorch's legacy
serialisation, NumPy's npy.
"""

import ast
import io
import pickle
import struct
import zipfile
from collections import OrderedDict
from pathlib import Path

FLOAT, UINT8, INT8, INT64 = 1, 2, 3, 7  # TensorProto.DataType, and the same in ort.fbs
PRODUCER = b"sidetone models/convert.py"


class CannotConvert(Exception):
    """The file is not of the form that its conversion reads; one sentence."""


def convert(step, data):
    """The ONNX file that `step` of the manifest makes of the bytes `data`."""
    import moonshine  # which takes its tools from here

    steps = {"fold": fold, "ge2e": ge2e, "moonshine-audio": moonshine.audio, "moonshine-steps": moonshine.steps}
    if step not in steps:
        raise CannotConvert(f"there is no conversion {step!r}, only {' and '.join(sorted(steps))}")
    try:
        return steps[step](data)
    except (AttributeError, EOFError, IndexError, KeyError, TypeError, ValueError) as error:
        raise CannotConvert(f"it is not what {step!r} reads: {error!r}") from None
    except (pickle.UnpicklingError, struct.error, zipfile.BadZipFile) as error:
        raise CannotConvert(f"it is not what {step!r} reads: {error}") from None


# --- ONNX, written as protobuf -------------------------------------------------------------------


def varint(number):
    number &= (1 << 64) - 1  # negative numbers are ten bytes long
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def field(tag, value):
    """One field: an int as a varint, a float in four bytes, bytes and text with their length."""
    if isinstance(value, int):
        return varint(tag << 3) + varint(value)
    if isinstance(value, float):
        return varint(tag << 3 | 5) + struct.pack("<f", value)
    value = value.encode() if isinstance(value, str) else value
    return varint(tag << 3 | 2) + varint(len(value)) + value


def fields(tag, values):
    return b"".join(field(tag, value) for value in values)


def tensor(name, kind, dims, raw):
    """TensorProto: dims = 1, data_type = 2, name = 8, raw_data = 9 (little-endian)."""
    return fields(1, dims) + field(2, kind) + field(8, name) + field(9, raw)


def attribute(name, value):
    """AttributeProto: name = 1, f = 2, i = 3, s = 4, t = 5, ints = 8, type = 20."""
    if isinstance(value, float):
        body = field(2, value) + field(20, 1)
    elif isinstance(value, int):
        body = field(3, value) + field(20, 2)
    elif isinstance(value, bytes):
        body = field(4, value) + field(20, 3)
    elif isinstance(value, tuple):  # a tensor: kind, dims, raw
        body = field(5, tensor("", *value)) + field(20, 4)
    else:
        body = fields(8, value) + field(20, 7)
    return field(1, name) + body


def node(kind, inputs, outputs, attributes=(), domain=""):
    """NodeProto: input = 1, output = 2, op_type = 4, attribute = 5, domain = 7."""
    named = fields(1, inputs) + fields(2, outputs) + field(4, kind)
    return named + fields(5, (attribute(*a) for a in attributes)) + (field(7, domain) if domain else b"")


def value_info(name, kind, shape):
    """ValueInfoProto: name = 1, type = 2; a dimension is a number (1) or a name (2)."""
    dims = fields(1, (field(1 if isinstance(size, int) else 2, size) for size in shape))
    return field(1, name) + field(2, field(1, field(1, kind) + field(2, dims)))


def model(name, nodes, initialisers, inputs, outputs, opsets):
    """ModelProto: ir_version = 1, producer_name = 2, graph = 7, opset_import = 8."""
    graph = fields(1, nodes) + field(2, name) + fields(5, initialisers)
    graph += fields(11, inputs) + fields(12, outputs)
    imports = fields(8, ((field(1, domain) if domain else b"") + field(2, version) for domain, version in opsets))
    return field(1, 8) + field(2, PRODUCER) + field(7, graph) + imports


# --- fold: ONNX Runtime's .ort to ONNX, with the weights unpacked once for all -------------------


class Table:
    """One table of a flatbuffer: a field is a place in its vtable, numbered as ort.fbs lists them."""

    def __init__(self, data, at):
        self.data, self.at = data, at
        self.vtable = at - struct.unpack_from("<i", data, at)[0]
        self.size, = struct.unpack_from("<H", data, self.vtable)

    def _place(self, number):
        entry = 4 + 2 * number
        offset = struct.unpack_from("<H", self.data, self.vtable + entry)[0] if entry < self.size else 0
        return self.at + offset if offset else None

    def number(self, number, form):
        """A number in the form that `struct` names; 0 where it is left out."""
        place = self._place(number)
        data, place = (bytes(8), 0) if place is None else (self.data, place)
        return struct.unpack_from("<" + form, data, place)[0]

    def _target(self, place):
        return place + struct.unpack_from("<I", self.data, place)[0]

    def table(self, number):
        place = self._place(number)
        return None if place is None else Table(self.data, self._target(place))

    def _vector(self, number):
        place = self._place(number)
        if place is None:
            return 0, 0
        start = self._target(place)
        return start + 4, struct.unpack_from("<I", self.data, start)[0]

    def bytes(self, number):
        start, length = self._vector(number)
        return bytes(self.data[start:start + length])

    def text(self, number):
        return self.bytes(number).decode()

    def numbers(self, number, form):
        start, length = self._vector(number)
        return list(struct.unpack_from(f"<{length}{form}", self.data, start))

    def tables(self, number):
        start, length = self._vector(number)
        return [Table(self.data, self._target(start + 4 * n)) for n in range(length)]

    def texts(self, number):
        start, length = self._vector(number)
        for at in (self._target(start + 4 * n) for n in range(length)):
            size, = struct.unpack_from("<I", self.data, at)
            yield bytes(self.data[at + 4:at + 4 + size]).decode()


class Packed:
    """A tensor of 8-bit codes and the number that each code stands for, before it is spelt out.

    No more than 256 different numbers can come of it, so what the graph does to every weight on every
    run is done here to a code once. A sum or product of two f32 in double precision, rounded to f32, is
    what f32 arithmetic gives.
    """

    def __init__(self, dims, codes, values):
        self.dims, self.codes, self.values = dims, codes, values

    def applied(self, function):
        return Packed(self.dims, self.codes, [as_f32(function(value)) for value in self.values])

    def spelt(self):
        words = [struct.pack("<f", value) for value in self.values]
        return FLOAT, self.dims, b"".join(map(words.__getitem__, self.codes))


def as_f32(number):
    return struct.unpack("<f", struct.pack("<f", number))[0]


def read_tensor(table):
    """Tensor of ort.fbs: name = 0, dims = 2, data_type = 3, raw_data = 4; as kind, dims, raw."""
    return table.number(3, "i"), table.numbers(2, "q"), table.bytes(4)


def read_attribute(table):
    """Attribute of ort.fbs: name = 0, type = 2, f = 3, i = 4, s = 5, t = 6, ints = 9."""
    name, kind = table.text(0), table.number(2, "i")
    readers = {
        1: lambda: table.number(3, "f"),
        2: lambda: table.number(4, "q"),
        3: lambda: table.bytes(5),
        4: lambda: read_tensor(table.table(6)),
        7: lambda: table.numbers(9, "q"),
    }
    if kind not in readers:
        raise CannotConvert(f"attribute {name} is of a kind that is not read, {kind}")
    return name, readers[kind]()


def read_value_info(table):
    """ValueInfo of ort.fbs: a tensor's element type, and its dimensions as numbers or names."""
    described = table.table(2).table(2)
    dims = [dim.table(0) for dim in described.table(1).tables(0)]
    shape = [dim.number(1, "q") if dim.number(0, "b") == 1 else dim.text(2) for dim in dims]
    return table.text(0), described.number(0, "i"), shape


def fold(data):
    """An .ort file as ONNX, with what Cast, Mul and Add make of stored 8-bit weights stored instead."""
    if data[4:8] != b"ORTM":
        raise CannotConvert("it is not in ONNX Runtime's format, which has ORTM in its first bytes")
    # InferenceSession: model = 1. Model: opset_import = 1, graph = 7. Graph: initializers = 0,
    # node_args = 1, nodes = 2, inputs = 5, outputs = 6.
    source = Table(data, struct.unpack_from("<I", data)[0]).table(1)
    graph = source.table(7)
    stored = {table.text(0): read_tensor(table) for table in graph.tables(0)}
    # Node: domain = 2, index = 4, op_type = 5, inputs = 8, outputs = 9, attributes = 10.
    nodes = []
    for table in sorted(graph.tables(2), key=lambda table: table.number(4, "I")):
        attributes = [read_attribute(a) for a in table.tables(10)]
        nodes.append((table.text(5), list(table.texts(8)), list(table.texts(9)), attributes, table.text(2)))
    packed = {name: Packed(dims, raw, [float(n - 256 * (n > 127)) for n in range(256)])
              for name, (kind, dims, raw) in stored.items() if kind == INT8}
    nodes = [item for item in nodes if not folded(item, stored, packed)]
    wanted = {name for _, inputs, *_ in nodes for name in inputs}
    stored.update((name, value.spelt()) for name, value in packed.items() if name in wanted and name not in stored)
    args = {table.text(0): table for table in graph.tables(1)}
    return model(
        "folded",
        [node(*item) for item in in_order(nodes, set(stored) | set(graph.texts(5)))],
        [tensor(name, *value) for name, value in stored.items() if name in wanted],
        [value_info(*read_value_info(args[name])) for name in graph.texts(5)],
        [value_info(*read_value_info(args[name])) for name in graph.texts(6)],
        [(opset.text(0), opset.number(1, "q")) for opset in source.tables(1)],
    )


def folded(item, stored, packed):
    """Whether the node is arithmetic on stored 8-bit weights, done here and so wanted no more."""
    kind, inputs, outputs, *_ = item
    if kind not in ("Cast", "Mul", "Add") or inputs[0] not in packed:
        return False
    if kind == "Cast":
        packed[outputs[0]] = packed[inputs[0]]
        return True
    element, dims, raw = stored.get(inputs[1], (None, None, b""))
    if element != FLOAT or len(raw) != 4:
        raise CannotConvert(f"{kind} of {inputs[0]} is by {inputs[1]}, which is no single stored number")
    number, = struct.unpack("<f", raw)
    scale = (lambda value: value * number) if kind == "Mul" else (lambda value: value + number)
    packed[outputs[0]] = packed[inputs[0]].applied(scale)
    return True


def in_order(nodes, known):
    """The nodes, each behind those that it hears from, as ONNX wants them."""
    ordered, known = [], known | {""}
    while nodes:
        ready = [item for item in nodes if known.issuperset(item[1])]
        if not ready:
            raise CannotConvert(f"nothing gives {nodes[0][0]} its inputs {nodes[0][1]}")
        ordered += ready
        known.update(name for _, _, outputs, *_ in ready for name in outputs)
        nodes = [item for item in nodes if not known.issuperset(item[2])]
    return ordered


# --- ge2e: Resemblyzer's weights and our telephone head to ONNX ----------------------------------

HIDDEN, BANDS, FRAMES, LAYERS = 256, 40, 160, 3


def ge2e(data):
    """The GE2E encoder with two heads: the package's own, and ours for telephone speech beside it."""
    weights = read_checkpoint(data)["model_state"]
    with zipfile.ZipFile(Path(__file__).with_name("tel_head.npz")) as head:
        telephone = {part: read_npy(head.read(f"{part}.npy")) for part in ("w", "b")}
    axes = {"across": 0, "along": 1}
    initialisers = [tensor(name, INT64, [1], struct.pack("<q", axis)) for name, axis in axes.items()]
    nodes = [node("Transpose", ["mel"], ["layer0"], [("perm", [1, 0, 2])])]
    for layer in range(LAYERS):
        width = HIDDEN if layer else BANDS
        part = {name: weights[f"lstm.{name}_l{layer}"] for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")}
        names = [f"lstm{layer}.{name}" for name in "WRB"]
        bias = regated(part["bias_ih"], 1) + regated(part["bias_hh"], 1)
        initialisers += [
            tensor(names[0], FLOAT, [1, 4 * HIDDEN, width], regated(part["weight_ih"], width)),
            tensor(names[1], FLOAT, [1, 4 * HIDDEN, HIDDEN], regated(part["weight_hh"], HIDDEN)),
            tensor(names[2], FLOAT, [1, 8 * HIDDEN], bias),
        ]
        size = [("hidden_size", HIDDEN)]
        if layer + 1 < LAYERS:
            nodes.append(node("LSTM", [f"layer{layer}", *names], [f"all{layer}"], size))
            nodes.append(node("Squeeze", [f"all{layer}", "along"], [f"layer{layer + 1}"]))
        else:  # of the last layer, the state after the last frame only
            nodes.append(node("LSTM", [f"layer{layer}", *names], ["", "last"], size))
            nodes.append(node("Squeeze", ["last", "across"], ["hidden"]))
    heads = {"plain": (weights["linear.weight"], weights["linear.bias"]), "telephone": (telephone["w"], telephone["b"])}
    for name, (weight, bias) in heads.items():
        if len(weight) != 4 * HIDDEN * HIDDEN or len(bias) != 4 * HIDDEN:
            raise CannotConvert(f"the {name} head is not of {HIDDEN} by {HIDDEN} numbers")
        initialisers.append(tensor(f"{name}.W", FLOAT, [HIDDEN, HIDDEN], weight))
        initialisers.append(tensor(f"{name}.B", FLOAT, [HIDDEN], bias))
        nodes += [
            node("Gemm", ["hidden", f"{name}.W", f"{name}.B"], [f"{name}.raw"], [("transB", 1)]),
            node("Relu", [f"{name}.raw"], [f"{name}.positive"]),
            node("LpNormalization", [f"{name}.positive"], [name], [("axis", 1), ("p", 2)]),
        ]
    nodes.append(node("Add", list(heads), ["sum"]))
    nodes.append(node("LpNormalization", ["sum"], ["embed"], [("axis", 1), ("p", 2)]))
    inputs = [value_info("mel", FLOAT, ["batch", FRAMES, BANDS])]
    return model("ge2e", nodes, initialisers, inputs, [value_info("embed", FLOAT, ["batch", HIDDEN])], [("", 17)])


def regated(raw, width):
    """PyTorch's gates (input, forget, cell, output) in ONNX's order (input, output, forget, cell)."""
    size = 4 * HIDDEN * width
    if len(raw) != 4 * size:
        raise CannotConvert(f"four gates of {len(raw)} bytes where {4 * size} were wanted")
    gates = [raw[n * size:(n + 1) * size] for n in range(4)]
    return gates[0] + gates[3] + gates[1] + gates[2]


class Reader(pickle.Unpickler):
    """Reads a checkpoint's pickle with stand-ins for the only names that it may call."""

    def __init__(self, file):
        super().__init__(file)
        self.storages = {}

    def find_class(self, module, name):
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return lambda storage, offset, shape, strides, *_: (storage, offset, shape, strides)
        if module == "torch" and name in ITEM_BYTES:
            return name
        raise pickle.UnpicklingError(f"it wants to call {module}.{name}")

    def persistent_load(self, pid):
        _, kind, key, *_ = pid
        self.storages[key] = kind
        return key


ITEM_BYTES = {"FloatStorage": 4, "DoubleStorage": 8, "IntStorage": 4, "LongStorage": 8}


def read_checkpoint(data):
    """A file of PyTorch before 1.6, its model's tensors as little-endian bytes, f32, row by row.

    Five pickles (magic number, protocol, byte order, content, keys of the storages), then each
    storage: how many items, and the items.
    """
    file = io.BytesIO(data)
    if Reader(file).load() != 0x1950A86A20F9469CFC6C:
        raise CannotConvert("it is no checkpoint of PyTorch before 1.6")
    Reader(file).load()
    if not Reader(file).load()["little_endian"]:
        raise CannotConvert("its numbers are big-endian")
    reader = Reader(file)
    content = reader.load()
    storages = {}
    for key in Reader(file).load():
        count, = struct.unpack("<q", file.read(8))
        storages[key] = file.read(count * ITEM_BYTES[reader.storages[key]])
    tensors = {}
    for name, (storage, offset, shape, strides) in content["model_state"].items():
        if reader.storages[storage] != "FloatStorage":
            continue
        dense, size = [], 1
        for dim in reversed(shape):
            dense.insert(0, size)
            size *= dim
        if tuple(dense) != tuple(strides):
            raise CannotConvert(f"tensor {name} does not lie row by row")
        tensors[name] = storages[storage][4 * offset:4 * (offset + size)]
    return {"model_state": tensors}


def read_npy(data):
    """The f32 numbers of an array of NumPy's format 1.0 as little-endian bytes, row by row."""
    if data[:8] != b"\x93NUMPY\x01\x00":
        raise CannotConvert("an array is not in NumPy's format 1.0")
    length, = struct.unpack_from("<H", data, 8)
    header = ast.literal_eval(data[10:10 + length].decode("latin1"))
    raw = data[10 + length:]
    if header["descr"] != "<f4":
        raise CannotConvert(f"an array is of {header['descr']} where <f4 was wanted")
    if not header["fortran_order"] or len(header["shape"]) < 2:
        return raw
    rows, columns = header["shape"]
    items = [raw[n:n + 4] for n in range(0, len(raw), 4)]
    return b"".join(items[column * rows + row] for row in range(rows) for column in range(columns))
