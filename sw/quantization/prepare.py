"""Preparation: an ordinary FP32 network becomes one that runs at several widths."""

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from brevitas.nn import QuantConv2d, QuantIdentity, QuantReLU
from torch import fx, nn

from downshift.hw.errors import DownshiftError
from downshift.sw.quantization.graph_surgery import GraphSurgery, title, unsupported
from downshift.sw.quantization.quantized_layer import make_positive, quantized_layer
from downshift.sw.quantization.quantizers import (
    InputActivations,
    LogitWeights,
    OffsetActivations,
    PinnedActivations,
    PinnedOffsetActivations,
    PinnedWeights,
    SwitchableActivations,
    SwitchableWeights,
)
from downshift.sw.quantization.switchable import SwitchableBatchNorm1d, SwitchableBatchNorm2d
from downshift.sw.quantization.tracing import ADDITIONS, FLATTENINGS, MEANS, trace
from downshift.sw.quantization.width_list import check_widths

__all__ = ["prepare"]

RELUS = (nn.ReLU, nn.ReLU6)
NORMS = {nn.BatchNorm1d: SwitchableBatchNorm1d, nn.BatchNorm2d: SwitchableBatchNorm2d}
MODULES_OF = {
    F.relu: nn.ReLU, torch.relu: nn.ReLU, "relu": nn.ReLU, F.relu6: nn.ReLU6,
}  # fmt: skip
"""Functions and methods that become modules."""
VANISHING = (nn.Identity, nn.Dropout)


def prepare(
    model: nn.Module,
    *,
    widths: tuple[int, ...],
    input_scale: float,
    pin_ends: bool = True,
    per_channel: bool = True,
    stored_width: int = 8,
    compat: str | None = None,
    corrected: bool = False,
    centred: bool = False,
    transitional: bool = False,
) -> fx.GraphModule:
    """Give an FP32 network quantizers that switch between widths.

    Convolutions and linear layers get weights of `quantizers`, batch norms one norm for each width,
    and every relu a quantizer. What no relu follows, but a layer or a sum takes, gets a quantizer
    with a zero point. First and last layer have 8 bits at every width, and so has what enters the
    last one, unless told otherwise. A relu that ends at 6 becomes one whose end is learned.

    Parameters
    ----------
    model : nn.Module
        Of `Conv2d`, `Linear`, `BatchNorm1d`, `BatchNorm2d`, `ReLU`, `ReLU6`, `MaxPool2d`,
        `AdaptiveAvgPool2d`, `Flatten`, `Dropout`, sums, and their functions; `torch.fx` must be
        able to trace it. It is left as it is.
    widths : tuple of int
        Network widths, highest first.
    input_scale : float
        Real value of one input code, 8 bits.
    pin_ends : bool
        Whether first and last layer have 8 bits at every width.
    per_channel : bool
        One weight scale per output channel, or one per layer; logits always share theirs.
    stored_width : int
        Bits of the stored codes of layers that follow the width; none of `widths` is above it.
    compat : {None, "paper"}
        Whose gradient weight scales get, as of `DoubleRounding`.
    corrected : bool
        Whether weights of layers that follow the width have a factor of their own at every width
        below the stored one.
    centred : bool
        Whether weights of 2 bits of layers that follow the width are the middles of their steps, as
        of `DoubleRounding`.
    transitional : bool
        Whether batch norms are those of a layer's width and of the width before it, rather than of
        its own alone.

    Returns
    -------
    GraphModule
        Its modules have the names of those in `model`; their weights and statistics are copies.
        Activation scales are to be calibrated.

    Raises
    ------
    DownshiftError
        If the network holds what cannot be quantized; names it by its path and type. If the widths
        do not fall, or are out of range.
    """
    check_widths(widths, stored_width)
    network = fx.GraphModule(copy.deepcopy(model), trace(model))
    below = tuple(width for width in widths if width < stored_width)
    options = {
        "per_channel": per_channel,
        "stored_width": stored_width,
        "compat": compat,
        "corrected_widths": below if corrected else (),
        "centred": centred,
    }
    _Preparation(network, tuple(widths), input_scale, pin_ends, options, transitional).run()
    network.graph.lint()
    network.recompile()
    return network


@dataclass(eq=False)
class _Preparation(GraphSurgery):
    """Through the nodes of a traced network, in order."""

    widths: tuple[int, ...]
    input_scale: float
    pin_ends: bool
    options: dict[str, Any]
    """Of weights that follow the width."""
    transitional: bool = False
    maps: set[fx.Node] = field(default_factory=set)
    """Nodes that give codes; all others give sums, but for the input."""
    layers: list[fx.Node] = field(default_factory=list)

    def run(self) -> None:
        """Replace modules, and put quantizers between them."""
        self.separate()
        for node in list(self.network.graph.nodes):
            if node.op == "placeholder":
                self._enter(node)
            elif node.op == "output":
                self._leave(node)
            else:
                self._step(node)(node)

    def _step(self, node: fx.Node) -> Callable[[fx.Node], None]:
        if node.op in ("call_function", "call_method"):
            if node.target in MODULES_OF:
                self.as_module(node, MODULES_OF[node.target]())
            elif node.target in ADDITIONS:
                return self._add
            elif node.target in (*MEANS, *FLATTENINGS):
                return self._take_map
            else:
                raise unsupported(title(node, self.network))
        module = self.module(node)
        for kinds, step in (
            ((nn.Conv2d, nn.Linear), self._multiply),
            (tuple(NORMS), self._normalise),
            (RELUS, self._rectify),
            ((nn.AdaptiveAvgPool2d, nn.Flatten), self._take_map),
            ((nn.MaxPool2d, *VANISHING), self._pass),
        ):
            if isinstance(module, kinds):
                return step
        raise unsupported(title(node, self.network))

    def _enter(self, node: fx.Node) -> None:
        quantizer = QuantIdentity(
            act_quant=InputActivations, widths=self.widths, fixed_scale=self.input_scale
        )
        self.maps.add(self.insert(node, "input", quantizer))

    def _multiply(self, node: fx.Node) -> None:
        self._take_map(node)
        self.maps.discard(node)
        float_layer = self.module(node)
        self.replace(node, quantized_layer(float_layer, SwitchableWeights, **self.options))
        self.layers.append(node)

    def _normalise(self, node: fx.Node) -> None:
        (source,) = node.all_input_nodes
        if source in self.maps or len(source.users) > 1 or not self._is_bare(source):
            source = self._multiply_by_one(node, source)
        norm = self.module(node)
        if not norm.affine or norm.running_mean is None:
            raise unsupported(f"{title(node, self.network)} without factors and statistics")
        self._check_signs(norm, source)
        quantized = NORMS[type(norm)](
            norm.num_features, widths=self.widths, transitional=self.transitional
        )
        quantized.start_from(norm)
        make_positive(quantized, norm, self._layer_before(source))
        self.replace(node, quantized)

    def _rectify(self, node: fx.Node) -> None:
        (source,) = node.all_input_nodes
        if source in self.maps or len(source.users) > 1:
            self._multiply_by_one(node, source)
        self.replace(node, QuantReLU(act_quant=SwitchableActivations, widths=self.widths))
        self.maps.add(node)

    def _add(self, node: fx.Node) -> None:
        terms = list(node.all_input_nodes)
        if len(terms) != 2:
            raise unsupported(f"{title(node, self.network)} of anything but two maps")
        sums = [term for term in terms if term not in self.maps and len(term.users) == 1]
        kept = sums[-1] if sums else self._multiply_by_one(node, terms[0])
        for term in node.all_input_nodes:
            if term is not kept:
                self._as_map(term)

    def _take_map(self, node: fx.Node) -> None:
        self._as_map(node.all_input_nodes[0])
        self.maps.add(node)

    def _pass(self, node: fx.Node) -> None:
        if node.all_input_nodes[0] in self.maps:
            self.maps.add(node)

    def _leave(self, node: fx.Node) -> None:
        """The last layer gives logits; the one before it, and the first, have 8 bits."""
        last = node.all_input_nodes[0]
        if last not in self.layers:
            raise DownshiftError("A network must end with a Conv2d or Linear that gives logits")
        if not self.pin_ends:
            options = self.options | {"per_channel": False, "pinned_width": None}
            self._requantize_weights(last, LogitWeights, **options)
            return
        per_channel = self.options["per_channel"]
        self._requantize_weights(self.layers[0], PinnedWeights, per_channel=per_channel)
        self._requantize_weights(last, LogitWeights)
        entering = last.all_input_nodes[0]
        while not isinstance(self.module_or_none(entering), QuantReLU | QuantIdentity):
            (entering,) = entering.all_input_nodes
        module = self.module(entering)
        if isinstance(module, QuantReLU):
            pinned = QuantReLU(act_quant=PinnedActivations, widths=self.widths)
        elif entering.target == "input":
            return
        else:
            pinned = QuantIdentity(act_quant=PinnedOffsetActivations, widths=self.widths)
        self.replace(entering, pinned)

    def _as_map(self, node: fx.Node, act_quant=OffsetActivations) -> fx.Node:
        """The node, or what quantizes it for all that take it."""
        if node in self.maps:
            return node
        name = f"{node.target if node.op == 'call_module' else node.name}_codes".replace(".", "_")
        quantizer = QuantIdentity(act_quant=act_quant, widths=self.widths)
        codes = self.insert(node, name, quantizer)
        self.maps.add(codes)
        return codes

    def _multiply_by_one(self, node: fx.Node, source: fx.Node) -> fx.Node:
        """Put a layer between a map and a node that needs sums; it multiplies each channel by 1.

        What is quantized for its sake has 8 bits: so does a sum that goes on to the next block.
        """
        source = self._as_map(source, PinnedOffsetActivations)
        layer = self._layer_before(source)
        if not isinstance(layer, QuantConv2d):
            raise unsupported(f"{title(node, self.network)} behind what is quantized already")
        channels = layer.out_channels
        ones = QuantConv2d(
            channels, channels, 1, groups=channels, bias=False, weight_quant=PinnedWeights
        )
        nn.init.ones_(ones.weight)
        ones.weight_quant.tensor_quant.scale.data.fill_(1 / 64)
        name = f"{node.name}_ones"
        self.network.add_submodule(name, ones)
        with self.network.graph.inserting_before(node):
            sums = self.network.graph.call_module(name, (source,))
        node.replace_input_with(source, sums)
        self.layers.append(sums)
        return sums

    def _layer_before(self, node: fx.Node) -> nn.Module | None:
        """The layer whose channels a node has."""
        while node not in self.layers:
            if node.op == "placeholder":
                return None
            node = node.all_input_nodes[0]
        return self.module(node)

    def _is_bare(self, node: fx.Node) -> bool:
        """Whether a node gives what a layer gives, pooled at most."""
        while isinstance(self.module_or_none(node), (nn.MaxPool2d, *VANISHING)):
            node = node.all_input_nodes[0]
        return node in self.layers

    def _check_signs(self, norm: nn.Module, source: fx.Node) -> None:
        """Raise if a negative factor cannot move into the weights before it."""
        while source not in self.layers:
            if isinstance(self.module_or_none(source), nn.MaxPool2d) and (norm.weight < 0).any():
                raise DownshiftError(
                    f"A batch norm behind {title(source, self.network)} has negative factors; put "
                    "it before the pool"
                )
            source = source.all_input_nodes[0]

    def _requantize_weights(self, node: fx.Node, weight_quant, **options) -> None:
        self.replace(node, quantized_layer(self.module(node), weight_quant, **options))
