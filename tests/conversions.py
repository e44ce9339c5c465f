"""models/convert.py, on what it must not trust and what it must get right. Run by tests/conversions.rs."""

import io
import os
import pickle
import struct
import sys
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "models"))
import convert  # noqa: E402

MAGIC = 0x1950A86A20F9469CFC6C


class Intruder:
    def __reduce__(self):
        return os.mkdir, ("/nonexistent/intruder",)


def checkpoint(content):
    return b"".join(pickle.dumps(part, 2) for part in (MAGIC, 1001, {"little_endian": True}, content, []))


class Conversions(unittest.TestCase):
    def refused(self, step, data):
        with self.assertRaises(convert.CannotConvert) as refusal:
            convert.convert(step, data)
        sentence = str(refusal.exception)
        self.assertNotIn("\n", sentence)
        return sentence

    def test_a_checkpoint_calls_nothing(self):
        said = self.refused("ge2e", checkpoint({"model_state": Intruder()}))
        self.assertRegex(said, "wants to call (posix|nt|os).mkdir")
        self.assertRegex(self.refused("ge2e", pickle.dumps(Intruder(), 2)), "wants to call")

    def test_what_is_of_another_form_is_refused(self):
        said = self.refused("fold", b"nothing of the kind")
        self.assertIn("ORTM", said)
        self.refused("fold", b"\xff\xff\xff\x7fORTM" + bytes(64))
        self.refused("ge2e", b"PK\x03\x04")
        self.refused("ge2e", pickle.dumps(1, 2))
        self.assertIn("fold and ge2e", self.refused("melt", b""))

    def test_a_checkpoint_without_the_weights_is_refused(self):
        self.assertIn("lstm.weight_ih_l0", self.refused("ge2e", checkpoint({"model_state": {}})))

    def test_gates_change_places(self):
        size = 4 * convert.HIDDEN
        gates = b"".join(bytes([gate]) * size for gate in b"ifgo")
        self.assertEqual(convert.regated(gates, 1)[::size], b"iofg")

    def test_column_by_column_becomes_row_by_row(self):
        header = b"{'descr': '<f4', 'fortran_order': True, 'shape': (2, 3), }\n"
        array = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header
        array += struct.pack("<6f", 1, 4, 2, 5, 3, 6)
        self.assertEqual(struct.unpack("<6f", convert.read_npy(array)), (1, 2, 3, 4, 5, 6))

    def test_weights_are_rounded_as_the_graph_rounds_them(self):
        # After the product and again after the sum; once, at the end, would give 0.20000011.
        scale, offset = convert.as_f32(0.3), convert.as_f32(-1.3)
        packed = convert.Packed([1], bytes([5]), [float(n) for n in range(256)])
        weight = packed.applied(lambda value: value * scale).applied(lambda value: value + offset)
        self.assertEqual(struct.unpack("<f", weight.spelt()[2])[0], 0.20000004768371582)

    def test_a_node_stands_behind_those_it_hears_from(self):
        nodes = [("B", ["a"], ["b"], [], ""), ("A", ["x"], ["a"], [], "")]
        self.assertEqual([kind for kind, *_ in convert.in_order(nodes, {"x"})], ["A", "B"])
        with self.assertRaises(convert.CannotConvert):
            convert.in_order(nodes, set())

    def test_negative_numbers_are_ten_bytes_long(self):
        self.assertEqual(convert.varint(-1), b"\xff" * 9 + b"\x01")
        self.assertEqual(convert.varint(300), b"\xac\x02")


if __name__ == "__main__":
    unittest.main()
