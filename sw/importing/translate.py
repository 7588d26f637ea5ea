"""An ONNX graph as a network in real numbers, and what became of each node."""

from dataclasses import dataclass, replace

import numpy as np

from downshift.hw.errors import DownshiftError
from downshift.sw.graph.layer import INPUT
from downshift.sw.importing.arithmetic_operators import ARITHMETIC_OPERATORS
from downshift.sw.importing.fates import Fate
from downshift.sw.importing.integer_operators import INTEGER_OPERATORS
from downshift.sw.importing.limit_operators import LIMIT_OPERATORS
from downshift.sw.importing.one_dimension import WINDOWED, over_one_dimension
from downshift.sw.importing.onnx_file import Node, OnnxModel
from downshift.sw.importing.onnx_tensors import shown
from downshift.sw.importing.pool_operators import POOL_OPERATORS
from downshift.sw.importing.product_operators import PRODUCT_OPERATORS
from downshift.sw.importing.qonnx_operators import QONNX_OPERATORS
from downshift.sw.importing.quantizer_operators import QUANTIZER_OPERATORS
from downshift.sw.importing.real_layer import RealLayer, RealNetwork, identity_weights
from downshift.sw.importing.shape_operators import SHAPE_OPERATORS
from downshift.sw.importing.translation import Translation
from downshift.sw.importing.values import EndValue, MapValue

__all__ = ["OPERATORS", "Translated", "translate"]

OPERATORS = {
    **ARITHMETIC_OPERATORS,
    **INTEGER_OPERATORS,
    **LIMIT_OPERATORS,
    **POOL_OPERATORS,
    **PRODUCT_OPERATORS,
    **QONNX_OPERATORS,
    **QUANTIZER_OPERATORS,
    **SHAPE_OPERATORS,
}
"""What each operator of a file becomes."""
OPERATORS |= {op: over_one_dimension(OPERATORS[op]) for op in WINDOWED}
LAYOUTS = {1: (("c",), ("w",)), 2: (("c", "w"), ("w", "c")), 3: (("c", "h", "w"), ("h", "w", "c"))}
"""Orders of axes that an input may have, by their number."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Translated:
    """A network, as far as it could be translated."""

    network: RealNetwork
    fates: tuple[Fate, ...]
    """Of every node, in order."""

    @property
    def refused(self) -> tuple[Fate, ...]:
        """Nodes that cannot be."""
        return tuple(fate for fate in self.fates if fate.outcome == "refused")


def translate(model: OnnxModel, *, name: str = "network") -> Translated:
    """Translate an ONNX graph; the order of the input's axes is what the graph makes work.

    Parameters
    ----------
    model : OnnxModel
    name : str
        Of the network.

    Returns
    -------
    Translated
        Its network is whole only if no node was refused.

    Raises
    ------
    DownshiftError
        If the network has no layers, or more than one output.
    """
    sizes = model.input_shape[1:]
    if not sizes:
        raise DownshiftError(f"input {shown(model.input_name)} has no axis but the batch's")
    tries = []
    for layout in LAYOUTS[len(sizes)]:
        by_label = {"h": 1, "w": 1, "c": 1, **dict(zip(layout, sizes, strict=True))}
        shape = (by_label["h"], by_label["w"], by_label["c"])
        given = dict(zip(layout, sizes, strict=True))
        network = RealNetwork(name=name, input_shape=shape, given=given)
        translation = Translation(model, network)
        translation.run(OPERATORS)
        if not any(fate.outcome == "refused" for fate in translation.fates):
            _finish(translation)
        tries.append(Translated(network=network, fates=tuple(translation.fates)))
        if not tries[-1].refused:
            break
    best = min(tries, key=lambda each: len(each.refused))
    if not best.refused and not best.network.layers:
        raise DownshiftError("the network has no layers that compute anything")
    return best


def _rescale_parts(network: RealNetwork) -> None:
    """Give the parts of joined channels the codes of the whole, by layers of their own.

    Where a file has quantized both, a part is rounded once; joined to others, each of which counts
    the same, it stays as it is.
    """
    by_name = {layer.name: layer for layer in network.layers}
    completing = {each.completed_by.name for each in network.layers if each.completed_by}
    layers = []
    for layer in network.layers:
        source, codes = by_name.get(layer.source), layer.given_codes
        given = network.input_codes if source is None else source.given_codes
        scaled = (layer.residual_gains != 1).any()
        if layer.name in completing and not scaled and codes and given not in (None, codes):
            channels = layer.weight.shape[1]
            weight, stored = identity_weights(channels)
            part = RealLayer(
                name=f"{layer.name}.part",
                weight=weight,
                bias=np.zeros(channels),
                source=layer.source,
                shape=(*layer.shape[:2], channels),
                groups=channels,
                stored=stored,
                codes=codes,
            )
            layers.append(part)
            layer.source = part.name
        layers.append(layer)
    network.layers[:] = layers


def _finish(translation: Translation) -> None:
    """Let the last layer give logits, and leave out what nothing takes."""
    network, output = translation.network, translation.output
    value = translation.values.get(output)
    if isinstance(value, EndValue):
        value = value.value
    if not isinstance(value, MapValue) or not (network.layers or value.mean):
        raise DownshiftError(f"output {shown(output)} does not depend on the input")
    layer = value.layer
    last = Node(op="Identity", name="logits", inputs=(), outputs=())
    value = translation.multiplied(last, value)
    layer = value.layer
    if layer is None or value.mean or any(value.padding):
        layer = translation.identity(last, replace(value, padding=(0, 0, 0, 0))).layer
    elif layer.is_clipped or layer.pool is not None or layer.residual is not None:
        layer = translation.identity(last, value).layer
    elif layer.codes is not None and _has_scales(layer):
        # Logits share a scale, the codes that the file makes of them need none.
        network.output_codes = layer.codes
        layer = translation.identity(last, value).layer
    assert layer is not None
    for other in translation.model.outputs:
        given = translation.values.get(other)
        if not isinstance(given, MapValue | EndValue):
            raise DownshiftError(f"output {shown(other)} does not depend on the input")
        inner = given.value if isinstance(given, EndValue) else given
        if inner.layer is not value.layer:
            raise DownshiftError(
                f"a network must have one output, but {shown(other)} is another than "
                f"{shown(output)}; remove it"
            )
    _prune(network, layer.name)
    _rescale_parts(network)
    _flatten(network)
    if network.layers[-1] is not layer:
        network.layers.remove(layer)
        network.layers.append(layer)
    if translation.fates and layer.codes is not None and np.isfinite(layer.codes.scale):
        network.output_codes = layer.codes
        layer.codes = None


def _has_scales(layer: RealLayer) -> bool:
    """Whether the file's weights have scales that differ from channel to channel."""
    return layer.stored is not None and bool(np.ptp(layer.stored.scale))


def _flatten(network: RealNetwork) -> None:
    """Let an input that one fully connected layer takes be one pixel: it fills the array then."""
    takers = [each for each in network.layers if INPUT in (each.source, each.residual)]
    (height, width, channels), first = network.input_shape, takers[0]
    if len(takers) > 1 or first.weight.shape[1:] != (channels, height, width) or first.groups > 1:
        return
    if any(first.padding) or first.average:
        return

    def flat(weight: np.ndarray) -> np.ndarray:
        return weight.transpose(0, 2, 3, 1).reshape(len(weight), -1, 1, 1)

    network.input_shape = (1, 1, height * width * channels)
    first.weight, first.stride = flat(first.weight), (1, 1)
    if first.stored is not None:
        first.stored = replace(first.stored, codes=flat(first.stored.codes))


def _prune(network: RealNetwork, last: str) -> None:
    """Leave out layers whose maps nothing takes."""
    needed = {last}
    for layer in reversed(network.layers):
        if layer.name in needed:
            needed |= {layer.source, layer.residual or layer.source}
    network.layers[:] = [layer for layer in network.layers if layer.name in needed]
