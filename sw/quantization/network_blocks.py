"""The structure of a network: its modules, traced, cut into the layers that an accelerator runs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from brevitas.nn import QuantConv2d, QuantIdentity, QuantLinear, QuantReLU
from torch import fx, nn

from downshift.hw.errors import DownshiftError
from downshift.sw.graph.layer import INPUT
from downshift.sw.quantization.activation_quantizer import ActivationQuantizer
from downshift.sw.quantization.switchable import SwitchableBatchNorm
from downshift.sw.quantization.tracing import ADDITIONS, FLATTENINGS, MEANS, trace

__all__ = ["Block", "network_blocks"]

QUANTIZERS = (QuantIdentity, QuantReLU)
LAYERS = (QuantConv2d, QuantLinear)
KNOWN = (*QUANTIZERS, *LAYERS, SwitchableBatchNorm)
"""Modules that are taken whole."""


@dataclass(kw_only=True, eq=False)
class Block:
    """One layer of the graph, as the modules it is made of."""

    path: str
    """Of the layer, which its map is named after."""
    layer: QuantConv2d | QuantLinear
    source: str
    """Map that enters."""
    entering: ActivationQuantizer
    """What quantizes it."""
    flat: bool
    """Whether it was flattened before it entered."""
    average: bool
    """Whether the mean of its pixels enters."""
    norm: SwitchableBatchNorm | None = None
    residual: str | None = None
    """Map that is added to the sums."""
    added: ActivationQuantizer | None = None
    """What quantizes the residual."""
    out: ActivationQuantizer | None = None
    """None for logits."""
    pool: nn.MaxPool2d | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class _Map:
    """A value that is a map of codes."""

    name: str
    quantizer: ActivationQuantizer
    block: Block | None = None
    """What gives it; None for the input."""
    flat: bool = False
    average: bool = False


@dataclass(frozen=True, kw_only=True, eq=False)
class _Sums:
    """A value that is what a layer gives before it is quantized."""

    block: Block


class _Input:
    """The value that enters the network."""


def network_blocks(model: nn.Module) -> tuple[ActivationQuantizer, list[Block]]:
    """Find the layers of a network.

    Layers are `QuantConv2d` and `QuantLinear`; behind each an optional `SwitchableBatchNorm`, an
    optional sum with a map that is quantized already, then `QuantReLU` or `QuantIdentity`, and an
    optional `MaxPool2d`. Before a `QuantLinear`, the mean over all pixels or a `Flatten`. Dropout
    and identities vanish. The last layer gives logits.

    Parameters
    ----------
    model : nn.Module
        `torch.fx` must be able to trace it.

    Returns
    -------
    quantizer of the input, list of Block
        In the order in which their maps are complete.

    Raises
    ------
    DownshiftError
        If a module is where it cannot be; names it by its path and type.
    """
    walk = _Walk(model)
    for node in walk.graph.nodes:
        walk.visit(node)
    return walk.source, walk.blocks


@dataclass(eq=False)
class _Walk:
    """Through the nodes of a traced network, in order."""

    model: nn.Module
    source: ActivationQuantizer = field(init=False)
    blocks: list[Block] = field(default_factory=list)
    values: dict[fx.Node, object] = field(default_factory=dict)

    def __post_init__(self):
        self.graph = trace(self.model, whole=KNOWN)

    def visit(self, node: fx.Node) -> None:
        """Give the node its value."""
        if node.op == "placeholder":
            if self.values:
                raise DownshiftError("A network must have one input")
            self.values[node] = _Input()
        elif node.op == "output":
            self._end(node.args[0])
        else:
            value = self.values.get(node.args[0]) if node.args else None
            self.values[node] = self._step(node)(node, value)

    def _step(self, node: fx.Node) -> Callable[[fx.Node, object], object]:
        """What gives a node its value, from that of its first argument."""
        if node.op == "call_module":
            module = self.model.get_submodule(node.target)
            where = f"Module {node.target} of type {type(module).__name__}"
            for kinds, step in MODULE_STEPS:
                if isinstance(module, kinds):
                    return partial(step, self, where, module)
        else:
            where = f"Operation {node.name}"
            for targets, step in OPERATION_STEPS:
                if node.target in targets:
                    return partial(step, self, where)
        raise _misplaced(where)

    def _quantize(self, where, module, node, value):
        quantizer = _quantizer(node.target, module)
        if isinstance(value, _Input):
            if not isinstance(module, QuantIdentity) or hasattr(self, "source"):
                raise DownshiftError(NO_ENTRANCE)
            self.source = quantizer
            return _Map(name=INPUT, quantizer=quantizer)
        if not isinstance(value, _Sums):
            raise _misplaced(where)
        self._only(node.args[0], where)
        if isinstance(module, QuantReLU) and quantizer.offset:
            raise DownshiftError(
                f"{where} gives nothing below zero: use act_quant=SwitchableActivations"
            )
        block = value.block
        block.out = quantizer
        self.blocks.append(block)
        return _Map(name=block.path, quantizer=quantizer, block=block)

    def _multiply(self, where, module, node, value):
        if isinstance(value, _Input):
            raise DownshiftError(NO_ENTRANCE)
        if not isinstance(value, _Map):
            raise _misplaced(where)
        block = Block(
            path=node.target, layer=module, source=value.name, entering=value.quantizer,
            flat=value.flat, average=value.average,
        )  # fmt: skip
        if isinstance(module, QuantConv2d) and (value.flat or value.average):
            raise _misplaced(where)
        return _Sums(block=block)

    def _normalise(self, where, module, node, value):
        if not isinstance(value, _Sums) or value.block.norm or value.block.residual:
            raise _misplaced(where)
        self._only(node.args[0], where)
        value.block.norm = module
        return value

    def _pool(self, where, module, node, value):
        # The largest of some sums has the largest code: a pool may come before the quantizer.
        block = value.block if isinstance(value, _Sums | _Map) else None
        if isinstance(value, _Map) and (value.flat or value.average):
            raise _misplaced(where)
        if block is None or block.pool or block.residual:
            raise _misplaced(where)
        self._only(node.args[0], where)
        if _pair(module.padding) != (0, 0) or _pair(module.dilation) != (1, 1) or module.ceil_mode:
            raise DownshiftError(f"{where} must have no padding, dilation or ceil_mode")
        block.pool = module
        return value

    def _mean(self, where, module, node, value):
        if module.output_size not in (1, (1, 1)):
            raise DownshiftError(f"{where} must give one pixel, not {module.output_size!r}")
        return self._average(where, node, value)

    def _average(self, where, node, value):
        if not isinstance(value, _Map) or value.flat:
            raise _misplaced(where)
        return _Map(name=value.name, quantizer=value.quantizer, block=value.block, average=True)

    def _mean_method(self, where, node, value):
        dims = node.args[1] if len(node.args) > 1 else node.kwargs.get("dim")
        if not isinstance(dims, Sequence) or sorted(d % 4 for d in dims) != [2, 3]:
            raise DownshiftError(f"{where} must take the mean of all pixels, over (2, 3)")
        return self._average(where, node, value)

    def _flatten_module(self, where, module, node, value):
        return self._flatten(where, node, value, module.start_dim, module.end_dim)

    def _flatten_method(self, where, node, value):
        dims = dict(zip(("start_dim", "end_dim"), node.args[1:], strict=False)) | node.kwargs
        return self._flatten(where, node, value, dims.get("start_dim", 0), dims.get("end_dim", -1))

    def _flatten(self, where, node, value, start, end):
        if (start, end) != (1, -1):
            raise DownshiftError(f"{where} must flatten all but the first dimension")
        if not isinstance(value, _Map):
            raise _misplaced(where)
        return _Map(
            name=value.name, quantizer=value.quantizer, block=value.block, flat=True,
            average=value.average,
        )  # fmt: skip

    def _pass(self, where, module, node, value):
        self._only(node.args[0], where)
        return value

    def _add(self, where, node, value):
        terms = [self.values.get(arg) for arg in node.args[:2]]
        sums = [term for term in terms if isinstance(term, _Sums)]
        maps = [term for term in terms if isinstance(term, _Map)]
        if len(sums) == 2:
            paths = " and ".join(term.block.path for term in sums)
            raise DownshiftError(
                f"{where} adds what {paths} give; quantize one of them before, by a QuantIdentity "
                "with OffsetActivations"
            )
        if node.kwargs or len(node.args) != 2:
            raise _misplaced(f"{where} with options")
        if not sums or not maps or sums[0].block.residual or maps[0].flat or maps[0].average:
            raise _misplaced(where)
        self._only(node.args[terms.index(sums[0])], where)
        sums[0].block.residual = maps[0].name
        sums[0].block.added = maps[0].quantizer
        return sums[0]

    def _end(self, node: fx.Node) -> None:
        value = self.values.get(node)
        if not hasattr(self, "source"):
            raise DownshiftError(NO_ENTRANCE)
        if not isinstance(value, _Sums) or value.block.norm or value.block.residual:
            raise DownshiftError("A network must end with a layer that gives logits")
        self.blocks.append(value.block)

    def _only(self, node: fx.Node, where: str) -> None:
        """Raise unless nobody else takes what a node gives."""
        if len(node.users) > 1:
            raise DownshiftError(
                f"{where} takes what {len(node.users) - 1} more take; quantize it before"
            )


MODULE_STEPS = (
    (QUANTIZERS, _Walk._quantize),
    (LAYERS, _Walk._multiply),
    (SwitchableBatchNorm, _Walk._normalise),
    (nn.MaxPool2d, _Walk._pool),
    (nn.AdaptiveAvgPool2d, _Walk._mean),
    (nn.Flatten, _Walk._flatten_module),
    ((nn.Identity, nn.Dropout), _Walk._pass),
)
OPERATION_STEPS = (
    (ADDITIONS, _Walk._add),
    (FLATTENINGS, _Walk._flatten_method),
    (MEANS, _Walk._mean_method),
)
"""What becomes of which modules, and of which functions and methods."""
NO_ENTRANCE = "A network must begin with a QuantIdentity that quantizes its input"
PLACES = (
    "a network is QuantIdentity, then layers: QuantConv2d or QuantLinear, SwitchableBatchNorm, a "
    "sum with a quantized map, QuantReLU or QuantIdentity, MaxPool2d, and before a QuantLinear "
    "AdaptiveAvgPool2d or Flatten"
)


def _misplaced(where: str) -> DownshiftError:
    return DownshiftError(f"{where} cannot be lowered in its place; {PLACES}")


def _quantizer(path: str, module: QuantIdentity | QuantReLU) -> ActivationQuantizer:
    fused = module.act_quant.fused_activation_quant_proxy
    quantizer = getattr(fused, "tensor_quant", None)
    if not isinstance(quantizer, ActivationQuantizer):
        raise DownshiftError(f"Module {path} must be quantized by SwitchableActivations or its kin")
    return quantizer


def _pair(value) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else tuple(value)
