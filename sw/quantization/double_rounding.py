"""Double rounding: weights stored once, quantized to any width by a shift and a round."""

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from downshift.hw.errors import DownshiftError
from downshift.hw.precision_switch import CENTRED_WIDTH

__all__ = ["DoubleRounding"]


class DoubleRounding(nn.Module):
    """Quantize weights to `stored_width` bits, then derive the running width from those codes.

    Forward gives ``clip(rhe(clip(rhe(W / s)) / 2**d)) * s * 2**d`` with ``d = stored_width -
    width``: exactly what the precision switch computes from the stored codes. At 1 bit it is their
    sign. The gradient of the weights is straight-through inside the running range; that of the
    scale is exact. `centred`, weights of 2 bits are the middles of their steps, as the switch gives
    them in 3 bits.

    Parameters
    ----------
    tracked_parameter_list : list of one Tensor, shape (out_channels, ...)
        The float weights, which the initial scale is taken from.
    per_channel : bool
        One scale per output channel, or one per tensor: logits must share theirs.
    stored_width : int
        Bits of the stored codes, 2…8.
    pinned_width : int or None
        Width at which the layer always runs; None follows the network.
    compat : {None, "paper"}
        Whose gradient the scale gets; "paper" is for reproduction only.
    corrected_widths : tuple of int
        Widths whose scale has a learned factor of its own, beside what all share.
    centred : bool
        Read weights of 2 bits in the middle of their step; they then run at 3 bits.

    Attributes
    ----------
    scale : Parameter, float32, shape (out_channels, 1, ...) or ()
        Real value of one stored code, shared by all widths.
    correction : Parameter, float32, shape (len(corrected_widths), *scale.shape)
        Factors of the running scale, in the order of `corrected_widths`; None without them.
    width : int
        Running width in bits.

    Notes
    -----
    Huang et al., *Nearly Lossless Adaptive Bit Switching*, arXiv 2502.01199. Its released code
    drops the factor ``2**d`` of the scale's gradient, takes the residual of a single rounding and
    gives every channel the sum over all: ``compat="paper"`` does the same.
    """

    def __init__(
        self,
        tracked_parameter_list,
        per_channel,
        stored_width=8,
        pinned_width=None,
        compat=None,
        corrected_widths=(),
        centred=False,
    ):
        super().__init__()
        if not 2 <= stored_width <= 8:
            raise DownshiftError(f"Weights are stored in 2 to 8 bits, not {stored_width!r}")
        if compat not in (None, "paper"):
            raise DownshiftError(f'compat must be None or "paper", not {compat!r}')
        if centred and (stored_width < CENTRED_WIDTH or compat):
            what = f"compat={compat!r}" if compat else f"codes of {stored_width} bits"
            raise DownshiftError(f"There are no centred weights with {what}; leave one of them out")
        self.per_channel = per_channel
        self.stored_width = stored_width
        self.pinned_width = pinned_width
        self.compat = compat
        self.centred = centred
        self.width = pinned_width or stored_width
        (weight,) = tracked_parameter_list
        self.scale = nn.Parameter(self._initial_scale(weight.detach()))
        self.corrected_widths = tuple(corrected_widths)
        self.correction = None
        if self.corrected_widths:
            factors = torch.ones(len(self.corrected_widths), *self.scale.shape)
            self.correction = nn.Parameter(factors)
        self.register_buffer("_zero_point", torch.tensor(0.0), persistent=False)

    def select(self, width: int) -> None:
        """Run as the network's `width` asks: at `width` bits, unless pinned."""
        if self.pinned_width is None and not 1 <= width <= self.stored_width:
            raise DownshiftError(f"Weights run at 1 to {self.stored_width} bits, not {width!r}")
        self.width = self.pinned_width or width

    def start_from(self, weight: Tensor) -> None:
        """Set the scale from FP32 weights, as the constructor did, and the factors to the best."""
        weight = weight.detach()
        self.scale.data.copy_(self._initial_scale(weight))
        for index, width in enumerate(self.corrected_widths):
            values = self._rounded(weight, self.scale.detach(), width)
            dims = list(range(1, weight.ndim)) if self.per_channel else list(range(weight.ndim))
            overlap, square = (
                (values * other).sum(dims, keepdim=self.per_channel) for other in (weight, values)
            )
            # Of least squared error; a channel of zeros has none to choose by.
            factor = torch.where(square > 0, overlap / square, 1.0)
            self.correction.data[index] = factor.reshape(self.scale.shape)

    @property
    def is_centred(self) -> bool:
        """Whether running weights are the middles of their steps."""
        return self.centred and self.width == CENTRED_WIDTH - 1

    @property
    def running_width(self) -> int:
        """Bits of a running code."""
        return CENTRED_WIDTH if self.is_centred else self.width

    @property
    def running_scale(self) -> Tensor:
        """Real value of one running code, the shape of `scale`; has no gradient."""
        step = self.scale.detach() * 2.0 ** (self.stored_width - self.running_width)
        if self.width in self.corrected_widths:
            step = step * self.correction.detach()[self.corrected_widths.index(self.width)]
        return step

    @torch.no_grad()
    def codes(self, weight: Tensor) -> Tensor:
        """Stored codes of `weight`; int8, the shape of `weight`."""
        return _stored_codes(weight, self.scale, self.stored_width).to(torch.int8)

    def forward(self, weight):
        """Quantized weights, their scale, zero point and width, as Brevitas' proxies expect."""
        quantized = self._rounded(weight, self.scale, self.width)
        if self.width in self.corrected_widths:
            quantized = quantized * self.correction[self.corrected_widths.index(self.width)]
        return (
            quantized,
            self.running_scale,
            self._zero_point,
            torch.tensor(float(self.running_width)),
        )

    def _rounded(self, weight, scale, width):
        round_ = _PaperDoubleRound if self.compat else _DoubleRound
        centred = self.centred and width == CENTRED_WIDTH - 1
        return round_.apply(weight, scale, width, self.stored_width, centred)

    def _initial_scale(self, weight):
        """Three standard deviations about the mean fill the range."""
        rows = weight.flatten(1) if self.per_channel else weight.reshape(1, -1)
        mean, sigma = rows.mean(1), 3 * rows.std(1, correction=0)
        reach = torch.maximum((mean - sigma).abs(), (mean + sigma).abs())
        # A channel of zeros must still have a scale that can be divided by.
        reach = reach.clamp_min(float(reach.max()) / 1024 or 1.0)
        shape = (-1, *[1] * (weight.ndim - 1)) if self.per_channel else ()
        return (reach / (1 << (self.stored_width - 1))).reshape(shape)


class _DoubleRound(torch.autograd.Function):
    """Both roundings and the rescaling, with the exact gradient of the scale.

    Five elementwise passes forward instead of the dozen that autograd would record.
    """

    @staticmethod
    def forward(ctx, weight, scale, width, stored_width, centred):
        step = scale * 2.0 ** (stored_width - width)  # exact, as is every power of two below
        stored = _stored_codes(weight, scale, stored_width)
        codes = _running_codes(stored, width, stored_width, centred)
        ctx.save_for_backward(weight, step, codes)
        ctx.width, ctx.stored_width, ctx.limits = width, stored_width, _limits(width, centred)
        return codes * step

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        weight, step, codes = ctx.saved_tensors
        low, high = ctx.limits
        x = weight / step
        inside = (x >= low) & (x <= high)
        # LSQ's g = 1 / sqrt(N * Qp) beside the 2**Δ of the chain rule.
        n = weight.numel() // step.numel()
        factor = 2.0 ** (ctx.stored_width - ctx.width) * (n * high) ** -0.5
        residual = (codes - x * inside).mul_(grad)
        dims = list(range(1, weight.ndim)) if step.ndim else None
        grad_scale = residual.sum(dims, keepdim=step.ndim > 0).mul_(factor)
        return grad * inside, grad_scale, None, None, None


class _PaperDoubleRound(_DoubleRound):
    """The same numbers forward, and backward what the released code of the paper computes."""

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        weight, step, _ = ctx.saved_tensors
        low, high = ctx.limits
        x = weight / step
        inside = (x >= low) & (x <= high)
        residual = x.round().clamp_(low, high) - x * inside
        total = residual.mul_(grad).sum() * (weight.numel() * high) ** -0.5
        return grad * inside, total.expand_as(step), None, None, None


def _limits(width: int, centred: bool) -> tuple[int, int]:
    """How far weights reach that running codes stand for, in steps."""
    top = 1 << (width - 1)
    if centred:
        return -top, top
    return (-top, top - 1) if width > 1 else (-1, 1)


def _running_codes(stored: Tensor, width: int, stored_width: int, centred: bool) -> Tensor:
    """What the precision switch makes of stored codes, in steps; in place but for 1 bit."""
    if centred:
        anything = stored != 0
        return stored.mul_(2.0 ** (width - stored_width)).floor_().add_(0.5).mul_(anything)
    if width == 1:
        return torch.where(stored < 0, -1.0, 1.0).to(stored)
    low, high = _limits(width, centred)
    return stored.mul_(2.0 ** (width - stored_width)).round_().clamp_(low, high)


def _stored_codes(weight: Tensor, scale: Tensor, stored_width: int) -> Tensor:
    top = 1 << (stored_width - 1)
    return (weight / scale).round_().clamp_(-top, top - 1)
