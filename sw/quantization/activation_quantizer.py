"""Activation codes with a learned scale, and zero point if need be, for every width."""

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from downshift.hw.errors import DownshiftError

__all__ = ["ActivationQuantizer", "least_squares_range", "least_squares_scale"]

CALIBRATION_SAMPLES = 1 << 14
"""Activations that the search for an initial scale looks at: its cost stays in milliseconds."""
RANGES = 24
"""Places of either end of the range that the search for an initial zero point looks at."""


class ActivationQuantizer(nn.Module):
    """Quantize activations to codes, with a scale of their own for every network width.

    Codes are unsigned, and zero has the code 0. With `offset` it has one that is learned as well,
    for activations that may be negative: bottlenecks without a relu, and what is only added.

    Parameters
    ----------
    widths : tuple of int
        Network widths, 1…8.
    pinned_width : int or None
        Bits of the codes at every network width; None follows the network. The scales stay
        separate: each width normalises its batches by itself.
    fixed_scale : float or None
        Real value of one code where it is given rather than learned: that of the input.
    offset : bool
        Zero has a code of its own.

    Attributes
    ----------
    scale : Parameter, float32, shape (len(widths),)
        Real value of one code, in the order of `widths`; a buffer where it is fixed.
    zero : Parameter, float32, shape (len(widths),)
        With `offset`: where zero is in the range of the codes, 0…1; not yet rounded to a code.
    width : int
        Bits of the codes.
    calibrating : bool
        While true, forward first sets the running width's scale, and zero, to those of least mean
        squared error on its input.

    Notes
    -----
    Gradient of the scale: Esser et al., *Learned Step Size Quantization*, arXiv 1902.08153, with
    ``g = 1 / sqrt(numel * (2**width - 1))``; of the zero point: Bhalgat et al., *LSQ+*, arXiv
    2004.09576, where it is a real offset instead of a code.
    """

    def __init__(self, widths, pinned_width=None, fixed_scale=None, offset=False):
        super().__init__()
        self.widths = tuple(widths)
        self.pinned_width = pinned_width
        self.calibrating = False
        if fixed_scale is None:
            self.scale = nn.Parameter(torch.ones(len(self.widths)))
        else:
            self.register_buffer("scale", torch.full((len(self.widths),), float(fixed_scale)))
        self.offset = offset
        if offset:
            self.zero = nn.Parameter(torch.full((len(self.widths),), 0.5))
        self.register_buffer("_zero_point", torch.tensor(0.0), persistent=False)
        self.select(self.widths[0])

    def select(self, width: int) -> None:
        """Run as the network's `width` asks: with that width's scale, unless pinned in its bits."""
        if width not in self.widths:
            have = ", ".join(map(str, self.widths))
            raise DownshiftError(f"Activations were trained at widths {have}, not {width!r}")
        self.index = self.widths.index(width)
        self.width = self.pinned_width or width

    @property
    def zero_point(self) -> int:
        """Code of zero at the running width."""
        if not self.offset:
            return 0
        top = (1 << self.width) - 1
        return int((self.zero.detach()[self.index] * top).round().clamp(0, top))

    def forward(self, x):
        """Quantized activations, their scale, zero point and width, as Brevitas' proxies expect."""
        top = (1 << self.width) - 1
        if x.dtype in (torch.bfloat16, torch.float16):
            x = x.float()  # eight bits of a mantissa would round before the codes do
        if self.calibrating:
            self._calibrate(x.detach(), top)
        scale = self.scale[self.index]
        if self.offset:
            quantized, zero_point = _LsqOffset.apply(x, scale, self.zero[self.index], top)
        else:
            quantized, zero_point = _Lsq.apply(x, scale, top), self._zero_point
        return quantized, scale.detach(), zero_point, torch.tensor(float(self.width))

    def _calibrate(self, x: Tensor, top: int) -> None:
        if self.offset:
            scale, zero_point = least_squares_range(x, top)
            self.zero.data[self.index] = zero_point / top
        elif isinstance(self.scale, nn.Parameter):
            scale = least_squares_scale(x, top)
        else:
            return
        self.scale.data[self.index] = scale


def least_squares_scale(x: Tensor, top: int) -> Tensor:
    """Find the scale of least mean squared error for unsigned codes.

    Parameters
    ----------
    x : float tensor
        Activations; a tensor without positive values gives 1.
    top : int
        Largest code.

    Returns
    -------
    float tensor, shape ()
        Best of 200 scales, down to 1/200 of the one that clips nothing.

    Examples
    --------
    >>> least_squares_scale(torch.tensor([0.0, 1.0, 2.0, 3.0]), 3).item()
    1.0
    """
    x = _samples(x)
    largest = x.max()
    if not largest > 0:
        return torch.ones(())
    scales = largest / top * torch.arange(200, 0, -1, device=x.device) / 200
    errors = torch.stack(
        [((x / s).round_().clamp_(0, top) * s - x).square_().sum() for s in scales]
    )
    return scales[errors.argmin()]


def least_squares_range(x: Tensor, top: int) -> tuple[Tensor, Tensor]:
    """Find the scale and zero point of least mean squared error.

    Parameters
    ----------
    x : float tensor
        Activations; a tensor of zeros gives 1 and the middle code.
    top : int
        Largest code.

    Returns
    -------
    float tensors, shape ()
        Best of 24 x 24 ranges, each end from a 24th of the way out to all of it.

    Examples
    --------
    >>> [float(value) for value in least_squares_range(torch.tensor([-1.0, 0.0, 1.0, 2.0]), 3)]
    [1.0, 1.0]
    """
    x = _samples(x)
    low, high = x.min().clamp(max=0), x.max().clamp(min=0)
    if not high > low:
        return torch.ones(()), torch.tensor(float((top + 1) // 2))
    steps = torch.arange(RANGES, 0, -1, device=x.device) / RANGES
    best = None
    for lower in low * steps if low < 0 else low[None]:
        for upper in high * steps if high > 0 else high[None]:
            scale = (upper - lower) / top
            zero_point = (-lower / scale).round_().clamp_(0, top)
            codes = (x / scale).round_().add_(zero_point).clamp_(0, top)
            error = (codes - zero_point).mul_(scale).sub_(x).square_().sum()
            if best is None or error < best[0]:
                best = error, scale, zero_point
    return best[1], best[2]


def _samples(x: Tensor) -> Tensor:
    x = x.reshape(-1)
    return x[:: max(1, x.numel() // CALIBRATION_SAMPLES)]


class _Lsq(torch.autograd.Function):
    """Unsigned quantization of a tensor with LSQ's gradient of the scale."""

    @staticmethod
    def forward(ctx, x, scale, top):
        codes = (x / scale).round_().clamp_(0, top)
        ctx.save_for_backward(x, scale, codes)
        ctx.top = top
        return codes * scale

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        x, scale, codes = ctx.saved_tensors
        # In place where it can be: fresh memory costs as much as the arithmetic.
        x = x / scale
        inside = (x >= 0).logical_and_(x <= ctx.top)
        residual = torch.sub(codes, x.mul_(inside), out=x)
        factor = (x.numel() * ctx.top) ** -0.5
        grad_scale = torch.dot(residual.reshape(-1), grad.reshape(-1)) * factor
        return grad * inside, grad_scale, None


class _LsqOffset(torch.autograd.Function):
    """Quantization of a tensor whose zero has a code of its own, learned with the scale."""

    @staticmethod
    def forward(ctx, x, scale, zero, top):
        zero_point = (zero * top).round().clamp(0, top)
        codes = (x / scale).round_().add_(zero_point).clamp_(0, top)
        ctx.save_for_backward(x, scale, codes, zero_point)
        ctx.top = top
        ctx.mark_non_differentiable(zero_point)
        return (codes - zero_point) * scale, zero_point

    @staticmethod
    @once_differentiable
    def backward(ctx, grad, _):
        x, scale, codes, zero_point = ctx.saved_tensors
        place = x / scale
        inside = (place >= -zero_point) & (place <= ctx.top - zero_point)
        factor = (x.numel() * ctx.top) ** -0.5
        residual = torch.sub(codes - zero_point, place.mul_(inside), out=place)
        grad_scale = torch.dot(residual.reshape(-1), grad.reshape(-1)) * factor
        # Only what is clipped moves with the zero point; that is rounded straight through.
        grad_zero = (grad * ~inside).sum() * (-ctx.top * factor) * scale
        return grad * inside, grad_scale, grad_zero, None
