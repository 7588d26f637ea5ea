"""The frozen network: the integer graph's arithmetic in torch, written a second time."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from downshift.sw.data.targets import score
from downshift.sw.graph.integer_graph import INPUT, LOGIT_WIDTH, IntegerGraph, Layer
from downshift.sw.quantization.lowering import lower

__all__ = ["Frozen", "FrozenResult", "freeze"]

BATCH = 250
"""Images at once, where there are many: all their codes are kept."""


@dataclass(frozen=True, kw_only=True, eq=False)
class FrozenResult:
    """What a network computes, image by image."""

    codes: dict[str, Tensor]
    """uint8, (n, channels, height, width), by layer name; every layer but the last."""
    logits: Tensor
    """int32, (n, classes)."""

    @property
    def labels(self) -> Tensor:
        """Index of the largest logit, the first of equals; int64, (n,)."""
        return self.logits.argmax(dim=1)


class _FrozenLayer(nn.Module):
    """One layer; its integers are buffers, one set for each width."""

    def __init__(self, layer: Layer):
        super().__init__()
        self.layer = layer
        self.register_buffer("weight", torch.as_tensor(layer.weight.copy()))
        for width, setting in layer.settings.items():
            for name in ("bias", "multiplier", "shift", "residual_multiplier"):
                if (array := getattr(setting, name)) is not None:
                    values = torch.as_tensor(array.astype("int64"))
                    self.register_buffer(f"{name}_{width}", values.view(-1, 1, 1))

    def forward(self, x: Tensor, residual: Tensor | None, width: int) -> Tensor:
        setting = self.layer.settings[width]
        top, bottom, left, right = self.layer.padding
        weight = double_rounded(self.weight, setting.weight_width, centred=setting.centred)
        x = F.pad(x.double(), (left, right, top, bottom), value=setting.zero_point_in)
        # Every partial sum is an integer below 2**53: float64 is exact in any order.
        acc = F.conv2d(
            x, weight.double(), stride=self.layer.stride, groups=self.layer.groups
        ).long()
        if self.layer.average:
            acc = acc.sum(dim=(2, 3), keepdim=True)
        if residual is not None:
            added = residual.long() * self.get_buffer(f"residual_multiplier_{width}")
            acc = acc * (1 << setting.residual_shift) + added
        acc = acc + self.get_buffer(f"bias_{width}")
        if setting.out_width == LOGIT_WIDTH:
            return acc.int()
        scaled = acc * self.get_buffer(f"multiplier_{width}")
        codes = rounded_shift(scaled, self.get_buffer(f"shift_{width}")) + setting.zero_point_out
        codes = codes.clamp(0, setting.out_max)
        if self.layer.pool is not None:
            pool = self.layer.pool
            codes = F.max_pool2d(codes.double(), pool.size, pool.stride)
        return codes.to(torch.uint8)


class Frozen(nn.Module):
    """A network that computes in integers exactly what the accelerator does, at any width.

    Built from the same constants as the golden model, by other arithmetic: the two must agree on
    every code.

    Parameters
    ----------
    graph : IntegerGraph

    Attributes
    ----------
    graph : IntegerGraph
    """

    def __init__(self, graph: IntegerGraph):
        super().__init__()
        self.graph = graph
        self.layers = nn.ModuleList(_FrozenLayer(layer) for layer in graph.layers)

    def quantize(self, images: Tensor) -> Tensor:
        """Input codes of real images.

        Parameters
        ----------
        images : float tensor, shape (n, channels, height, width)

        Returns
        -------
        uint8 tensor, shape (n, channels, height, width)
        """
        top = (1 << self.graph.layers[0].settings[self.graph.widths[0]].in_width) - 1
        # In float32, as the input quantizer does.
        images = images - self.graph.input_offset
        return (images / self.graph.input_scale).round().clamp(0, top).to(torch.uint8)

    @torch.no_grad()
    def forward(self, x: Tensor, width: int) -> FrozenResult:
        """Run the network.

        Parameters
        ----------
        x : uint8 tensor, shape (n, channels, height, width)
            Input codes.
        width : int
            One of ``graph.widths``.

        Returns
        -------
        FrozenResult

        Raises
        ------
        DownshiftError
            If the network does not run at `width`.
        ValueError
            If `x` has the wrong shape or dtype.
        """
        self.graph.check_width(width)
        height, across, channels = self.graph.input_shape
        if x.dtype != torch.uint8 or tuple(x.shape[1:]) != (channels, height, across):
            raise ValueError(
                f"Input must be uint8 of shape (n, {channels}, {height}, {across}), "
                f"not {x.dtype} of shape {tuple(x.shape)}"
            )
        codes = {INPUT: x}
        for layer, frozen in zip(self.graph.layers, self.layers, strict=True):
            residual = None if layer.residual is None else codes[layer.residual]
            codes[layer.name] = frozen(codes[self.graph.source_of(layer)], residual, width)
        logits = codes.pop(self.graph.layers[-1].name).permute(0, 2, 3, 1)  # (n, h, w, channels)
        del codes[INPUT]
        return FrozenResult(logits=logits.flatten(1), codes=codes)

    def accuracy(self, codes: Tensor, targets: Tensor, width: int) -> float:
        """What `score` says of the outputs at `width`, from input codes; values are real ones."""
        logits = torch.cat([self(x, width).logits for x in codes.split(BATCH)])
        scale = self.graph.logit_scales.get(width, 1.0) if targets.is_floating_point() else 1
        return score(logits * scale, targets)


def freeze(
    model: nn.Module,
    *,
    input_shape: tuple[int, int, int],
    name: str = "network",
    assignments: Mapping[int, int | Mapping[str, int]] | None = None,
) -> Frozen:
    """Freeze a trained network: `Frozen` on what `lower` makes of it.

    Parameters
    ----------
    model : nn.Module
        A chain that `lower` takes; raises what that raises.
    input_shape : (height, width, channels)
        Shape of one input.
    name : str
        Name of the graph.
    assignments : mapping, optional
        What each of its widths means, as of `lower`.

    Returns
    -------
    Frozen
    """
    return Frozen(lower(model, input_shape=input_shape, name=name, assignments=assignments))


def double_rounded(stored: Tensor, width: int, *, centred: bool = False) -> Tensor:
    """Weights of `width` bits from stored ones, by add, shift and tie repair; of 1 bit by sign.

    Parameters
    ----------
    stored : int8 tensor
        Stored codes.
    width : int
        Bits of the result, 1…8.
    centred : bool
        As of `Setting`.

    Returns
    -------
    int8 tensor, the shape of `stored`

    Examples
    --------
    >>> double_rounded(torch.tensor([-128, -33, -32, 31, 32, 96, 127]), 2).tolist()
    [-2, -1, 0, 0, 0, 1, 1]
    """
    if centred:
        middles = torch.div(stored.long(), 64, rounding_mode="floor") * 2 + 1
        return torch.where(stored == 0, 0, middles).to(torch.int8)
    if width == 1:
        return torch.where(stored < 0, -1, 1).to(torch.int8)
    drop = torch.tensor(8 - width)
    top = 1 << (width - 1)
    return rounded_shift(stored.long(), drop).clamp(-top, top - 1).to(torch.int8)


def rounded_shift(values: Tensor, shift: Tensor) -> Tensor:
    """Divide by a power of two and round half to even.

    Parameters
    ----------
    values : int64 tensor
        Magnitudes below 2**62.
    shift : int64 tensor that broadcasts against `values`
        Bits to drop, 0…62; 63 is taken as 62.

    Returns
    -------
    int64 tensor

    Examples
    --------
    >>> rounded_shift(torch.tensor([-6, -3, -2, 2, 3, 6, 7]), torch.tensor(2)).tolist()
    [-2, -1, 0, 0, 1, 2, 2]
    """
    shift = shift.clamp(max=62)
    one = torch.ones_like(shift)
    raised = values + ((one << shift) >> 1)
    rounded = raised >> shift
    # The sum of a tie has no low bits left; its odd result belongs one lower.
    tie = (raised & ((one << shift) - 1) == 0) & (shift > 0)
    return rounded - (tie & (rounded & 1 == 1)).long()
