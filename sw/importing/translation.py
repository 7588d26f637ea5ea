"""Translation: the nodes of an ONNX graph, one after the other, to layers in real numbers."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from downshift.sw.graph.layer import INPUT
from downshift.sw.importing.axes import bare, is_layout
from downshift.sw.importing.constant_folding import Folding
from downshift.sw.importing.fates import Fate, unknown
from downshift.sw.importing.onnx_file import Node, OnnxModel
from downshift.sw.importing.real_layer import (
    RealLayer,
    RealNetwork,
    identity_weights,
)
from downshift.sw.importing.values import ConstantValue, EndValue, MapValue, Refused, Value

__all__ = ["OTHER_ORDER", "Translation"]

MAX_LAYERS = 1000
AFTER_ROUND = {"Cast", "Clip", "Identity", "Quant", "QuantizeLinear"}
"""What may follow a Round; a quantizer has to."""
WITH_FACTOR = {"Add", "Cast", "Div", "Identity", "MatMul", "Gemm", "Flatten", "Mul", "Reshape"}
"""What takes a map's factor along, or into its own numbers."""
OTHER_ORDER = "takes maps of axes N, C, H, W; these are in another order"


@dataclass(eq=False)
class Translation:
    """A network that grows node by node.

    Parameters
    ----------
    model : OnnxModel
    network : RealNetwork
        Without layers.
    """

    model: OnnxModel
    network: RealNetwork
    values: dict[str, Value] = field(default_factory=dict)
    fates: list[Fate] = field(default_factory=list)
    output: str = ""
    """The one that counts."""

    def __post_init__(self):
        self.uses = Counter(
            name for node in self.model.nodes if node.op != "Shape" for name in node.inputs
        )
        # Of several outputs the last counts: the others are to be the same in other forms.
        given = [name for node in self.model.nodes for name in node.outputs]
        self.output = max(self.model.outputs, key=given.index)
        self.uses[self.output] += 1
        self.folding = Folding(opset=self.model.opset)
        for name, array in self.model.constants.items():
            self.values[name] = ConstantValue(array=array)
        sizes = dict(zip("hwc", self.network.input_shape, strict=True))
        self.values[self.model.input_name] = MapValue(
            layer=None,
            axes=bare("".join(("n", *self.network.given)), sizes),
            exclusive=True,
            integer=self.model.input_offset is not None,
            offset=self.model.input_offset or 0,
        )

    # What a node takes.

    def sizes(self, value: MapValue) -> dict[str, int]:
        """Sizes of the axes of a map, or of its mean."""
        shape = self.network.input_shape if value.layer is None else value.layer.shape
        sizes = dict(zip("hwc", shape, strict=True))
        if value.layer is not None:
            sizes["c"] = value.layer.channels
        return {**sizes, "h": 1, "w": 1} if value.mean else sizes

    def value(self, node: Node, index: int) -> Value | None:
        """What a node takes there; None if it is left out."""
        if index >= len(node.inputs) or not node.inputs[index]:
            return None
        name = node.inputs[index]
        if name not in self.values:
            raise Refused(f"takes {name!r:.60}, which comes from a node that was refused")
        return self.values[name]

    def constant(self, node: Node, index: int, what: str) -> ConstantValue:
        """A constant that a node takes."""
        value = self.value(node, index)
        if not isinstance(value, ConstantValue):
            raise Refused(f"{what} must be a constant of the file")
        return value

    def numbers(self, node: Node, index: int, what: str) -> np.ndarray:
        """A constant that a node takes, finite, as float64."""
        array = self.constant(node, index, what).array
        if array.dtype.kind not in "biuf" or not np.isfinite(array).all():
            raise Refused(f"{what} must be finite numbers")
        return array.astype(np.float64)

    def map(self, node: Node, index: int = 0, *, integer: bool | None = False) -> MapValue:
        """A map that a node takes; as codes or as real numbers, or with None as either."""
        value = self.value(node, index)
        if isinstance(value, EndValue):
            raise Refused("nothing but a quantizer may follow the operation that ends a network")
        if not isinstance(value, MapValue):
            raise Refused("takes no map but a constant")
        if integer is not None and value.integer != integer:
            wanted = "codes, a QuantizeLinear" if integer else "real numbers, a DequantizeLinear"
            raise Refused(f"takes {wanted} is missing before it")
        if value.rounded and node.op not in AFTER_ROUND:
            raise Refused("takes what was rounded; only a quantizer of scale 1 may")
        exclusive = value.exclusive and self.uses[node.inputs[index]] <= 1
        value = replace(value, exclusive=exclusive)
        return value if node.op in WITH_FACTOR else self.multiplied(node, value)

    def multiplied(self, node: Node, value: MapValue) -> MapValue:
        """A map with its factor in it, by a layer that multiplies."""
        if value.factor is None:
            return value
        opened = self.identity(node, replace(value, factor=None))
        assert opened.layer is not None
        channels = len(opened.layer.bias)
        opened.layer.scale_by(np.broadcast_to(value.factor, channels), np.zeros(channels))
        return opened

    def pixels(self, node: Node, index: int = 0, *, integer: bool | None = False) -> MapValue:
        """A map that a node takes with its axes in ONNX's order: N, C, H, W."""
        return self.in_order(self.map(node, index, integer=integer))

    def in_order(self, value: MapValue) -> MapValue:
        """A map whose axes are in ONNX's order."""
        if not is_layout(value.axes, "nchw", self.sizes(value)):
            raise Refused(OTHER_ORDER)
        return value

    def affine(self, array: np.ndarray, value: MapValue) -> np.ndarray:
        """A constant that meets a map, by channel: float64, (channels,) or (1,)."""
        sizes = self.sizes(value)
        rank = len(value.axes)
        if array.ndim > rank:
            if any(size != 1 for size in array.shape[: array.ndim - rank]):
                raise Refused(f"cannot spread a constant of shape {array.shape} over a map")
            array = array.reshape(array.shape[array.ndim - rank :])
        shape = (1,) * (rank - array.ndim) + array.shape
        for axis, size in zip(value.axes, shape, strict=True):
            if size != 1 and axis != ("c",):
                raise Refused(
                    f"a constant of shape {array.shape} differs from pixel to pixel; constants by "
                    "channel work"
                )
        if array.size not in (1, sizes["c"]):
            raise Refused(f"a constant of shape {array.shape} does not fit {sizes['c']} channels")
        return array.reshape(-1)

    # What a node makes.

    def add_layer(self, layer: RealLayer, value: MapValue | None = None) -> MapValue:
        """Take a layer into the network; its map has the axes of `value`, or ONNX's order."""
        assert layer.thresholds is None
        if len(self.network.layers) >= MAX_LAYERS:
            raise Refused(f"networks of more than {MAX_LAYERS} layers are not supported")
        if min(layer.shape) < 1:
            raise Refused(f"gives a map of shape {layer.shape}: what enters is too small")
        taken = {INPUT, *(each.name for each in self.network.layers)}
        self._spread(layer)
        # Converters join the names of all that became one node.
        name, count = layer.name.split(";")[0] or "layer", 1
        layer.name = name
        while layer.name in taken:
            count += 1
            layer.name = f"{name}.{count}"
        self.network.layers.append(layer)
        given = MapValue(layer=layer, axes=(), exclusive=True)
        axes = bare("nchw", self.sizes(given)) if value is None else value.axes
        return given.turned(axes)

    def _spread(self, layer: RealLayer) -> None:
        """Let a layer take each threshold of what enters as a channel of its own."""
        source = next((x for x in self.network.layers if x.name == layer.source), None)
        if source is None or source.thresholds is None:
            return
        if layer.groups > 1 or any(layer.padding) or layer.residual is not None:
            raise Refused(
                "follows a quantizer that is no whole number of codes: only fully connected "
                "layers and convolutions without padding and groups can"
            )
        count = source.thresholds.count
        taps = layer.weight.sum(axis=(1, 2, 3))
        layer.bias = layer.bias + source.thresholds.base * taps
        layer.weight = np.repeat(layer.weight, count, axis=1)
        if layer.stored is not None:
            layer.stored = replace(layer.stored, codes=np.repeat(layer.stored.codes, count, axis=1))

    def identity(self, node: Node, value: MapValue) -> MapValue:
        """A layer that gives what `value` is, so that more can follow in it."""
        sizes = self.sizes(value)
        if any(value.padding):
            raise Refused("only convolutions may follow a Pad")
        whole = self.sizes(replace(value, mean=False))
        window = (whole["h"], whole["w"]) if value.mean else (1, 1)
        # The sum of a map by channel is a depthwise layer, or one of all channels if that is less.
        dense = value.mean and window[0] * window[1] > sizes["c"]
        window = (1, 1) if dense else window
        weight, stored = identity_weights(sizes["c"], dense=dense, window=window)
        layer = RealLayer(
            name=node.name,
            weight=weight,
            bias=np.zeros(sizes["c"]),
            source=self.name_of(value),
            shape=(sizes["h"], sizes["w"], sizes["c"]),
            groups=1 if dense else sizes["c"],
            average=dense,
            stored=stored,
        )
        return self.add_layer(layer, value)

    def can_open(self, value: MapValue, still: Callable[[RealLayer], bool]) -> bool:
        """Whether a map's own layer may still take something more in."""
        bound = not value.exclusive or value.mean or any(value.padding)
        return value.layer is not None and not bound and still(value.layer)

    def open(
        self, node: Node, value: MapValue, still: Callable[[RealLayer], bool]
    ) -> tuple[MapValue, RealLayer]:
        """A map whose layer may take something more in: itself, or an identity of it.

        `still` says whether a layer can, as far as it is known.
        """
        if not self.can_open(value, still):
            value = self.identity(node, value)
        assert value.layer is not None
        return value, value.layer

    def name_of(self, value: MapValue) -> str:
        """Name of a map in the network."""
        return INPUT if value.layer is None else value.layer.name

    # The nodes.

    def run(self, operators: Mapping[str, Callable[["Translation", Node], tuple[Value, str]]]):
        """Translate every node, and note its fate."""
        for node in self.model.nodes:
            before = len(self.network.layers)
            try:
                value, detail = self._translate(node, operators)
                if node.outputs:
                    self.values[node.outputs[0]] = value
                outcome = "supported" if len(self.network.layers) > before else "folded"
            except Refused as reason:
                outcome, detail = "refused", str(reason)
            self.fates.append(Fate(node=node.name, op=node.op, outcome=outcome, detail=detail))

    def _translate(self, node: Node, operators) -> tuple[Value, str]:
        given = [self.value(node, index) for index in range(len(node.inputs))]
        folded = self.folding.fold(node, given)
        if folded is not None:
            return folded, "a constant"
        if node.op not in operators:
            raise Refused(unknown(node.op))
        for name in node.outputs[1:]:
            if self.uses[name]:
                raise Refused(f"only its first output works, not {name!r:.60}")
        return operators[node.op](self, node)
