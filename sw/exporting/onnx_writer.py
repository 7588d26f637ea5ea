"""The writer of ONNX graphs: nodes, constants and quantizers, in either dialect."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from downshift.hw.packing import pack_codes

__all__ = ["QONNX_DOMAIN", "Dialect", "OnnxWriter"]

QONNX_DOMAIN = "qonnx.custom_op.general"


class Dialect(StrEnum):
    """How quantizers are written."""

    QDQ = "qdq"
    """QuantizeLinear and DequantizeLinear, of ONNX itself."""
    QONNX = "qonnx"
    """Quant, of QONNX."""


class OnnxWriter:
    """Nodes and constants of a graph as it grows; names that are taken get a ``_`` at the end.

    Parameters
    ----------
    dialect : Dialect
    layers : iterable of str
        Names that are kept for the nodes of layers, which are given them as attributes.
    ends : iterable of str
        Names of the graph's inputs and outputs.
    """

    def __init__(self, dialect: Dialect, *, layers: Iterable[str], ends: Iterable[str]):
        self.dialect = dialect
        self.ends = frozenset(ends)
        self.tensors, self.names = set(self.ends), set(layers)
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[TensorProto] = []
        self.outputs: list[onnx.ValueInfoProto] = []
        self.infos: list[onnx.ValueInfoProto] = []

    def node(self, op: str, inputs: list[str], output: str, **attributes: Any) -> str:
        """Add a node, and return its output."""
        if output not in self.ends:
            output = _free(output, self.tensors)
        if "name" not in attributes:
            attributes["name"] = _free(output, self.names)
        self.nodes.append(helper.make_node(op, inputs, [output], **attributes))
        return output

    def constant(self, name: str, array: np.ndarray) -> str:
        """Add a constant, and return its name."""
        name = _free(name, self.tensors)
        self.constants.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def weights(self, name: str, codes: np.ndarray, width: int) -> str:
        """Weights as floats, stored in as few bits as the dialect allows."""
        if self.dialect is Dialect.QONNX:
            if width == 1:
                one = self.constant(f"{name}.one", np.float32(1))
                stored = self.constant(f"{name}.codes", codes.astype(np.float32))
                return self.node("BipolarQuant", [stored, one], name, domain=QONNX_DOMAIN)
            stored = self.constant(f"{name}.codes", codes.astype(np.float32))
            return self.quantized(name, stored, width, 0, signed=True)
        if width <= 4:
            stored = _free(f"{name}.codes", self.tensors)
            bits, kind = (2, TensorProto.INT2) if width <= 2 else (4, TensorProto.INT4)
            packed = pack_codes(codes.reshape(-1) & (1 << bits) - 1, width=bits).tobytes()
            self.constants.append(helper.make_tensor(stored, kind, codes.shape, packed, raw=True))
        else:
            stored = self.constant(f"{name}.codes", codes.astype(np.int8))
        one = self.constant(f"{name}.one", np.float32(1))
        return self.node("DequantizeLinear", [stored, one], name)

    def quantized(
        self,
        name: str,
        value: str,
        width: int,
        zero_point: int,
        *,
        signed: bool = False,
        largest: int | None = None,
    ) -> str:
        """Whole numbers as what a quantizer of scale 1 leaves of them, up to a largest code."""
        if largest is not None or (self.dialect is Dialect.QDQ and width < 8):
            most = (1 << width) - 1 if largest is None else largest
            value = self.node(
                "Clip",
                [value, self.constant(f"{name}.least", np.float32(-zero_point)),
                 self.constant(f"{name}.most", np.float32(most - zero_point))],
                f"{name}.clipped",
            )  # fmt: skip
        if self.dialect is Dialect.QONNX:
            parts = [
                value,
                self.constant(f"{name}.scale", np.float32(1)),
                self.constant(f"{name}.zero", np.float32(zero_point)),
                self.constant(f"{name}.bits", np.float32(width)),
            ]
            return self.node(
                "Quant", parts, name, domain=QONNX_DOMAIN, signed=int(signed), narrow=0,
                rounding_mode="ROUND",
            )  # fmt: skip
        scale = self.constant(f"{name}.scale", np.float32(1))
        zero = self.constant(f"{name}.zero", np.uint8(zero_point))
        codes = self.node("QuantizeLinear", [value, scale, zero], f"{name}.codes")
        return self.node("DequantizeLinear", [codes, scale, zero], name)


def _free(name: str, taken: set[str]) -> str:
    """A name that nothing has yet, from one that something may have."""
    while name in taken:
        name += "_"
    taken.add(name)
    return name
