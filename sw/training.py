"""Training: FP32 first, then one set of int8 weights for all widths at once."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from downshift.hw.errors import DownshiftError
from downshift.sw.calibration import calibrate, recalibrate_norms
from downshift.sw.datasets import Images
from downshift.sw.prepare import prepare
from downshift.sw.scale_optimizer import RateScaling, ScaleAdam, adapted_rate
from downshift.sw.small_net import FloatNet
from downshift.sw.switchable import scale_parameters
from downshift.sw.width_list import check_widths
from downshift.sw.widths import set_widths

__all__ = [
    "Training",
    "TrainingConfig",
    "float_accuracy",
    "train_float",
    "train_quantized",
    "train_small_net",
]

Progress = Callable[[int, int, str], None]
"""Called with epochs done, epochs in all, and what is going on."""


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """Everything that a training run depends on; equal configurations give equal networks.

    Raises
    ------
    DownshiftError
        If a value cannot work.
    """

    widths: tuple[int, ...] = (8, 6, 4, 2)
    """Network widths in bits, 1…8, highest first: the order in which a batch visits them."""
    seed: int = 0
    """Of initial weights and batch order."""
    batch_size: int = 64
    """Images; 21 batches an epoch on the digits."""
    float_epochs: int = 30
    """Passes in FP32; the digits are learned after 20."""
    float_rate: float = 5e-3
    """Peak learning rate of AdamW in FP32; falls to zero along a cosine."""
    quantized_epochs: int = 20
    """Passes at all widths; each costs as much as one in FP32 times the number of widths."""
    quantized_rate: float = 2e-3
    """Peak learning rate of AdamW on the weights at all widths; falls along a cosine."""
    weight_decay: float = 1e-3
    """Of convolution and linear weights; none on batch norms, biases and scales."""
    rate_scaling: RateScaling = RateScaling.INTENT
    """How the scales' learning rate follows the width."""
    calibration_images: int = 256
    """Images that set the initial activation scales."""
    threads: int | None = 1
    """Of torch, while training; None leaves them. One is fastest on networks this small, and sums
    in the same order on every machine."""

    def __post_init__(self):
        check_widths(self.widths)
        for name in (
            "batch_size",
            "float_epochs",
            "quantized_epochs",
            "calibration_images",
            "threads",
        ):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise DownshiftError(f"{name} must be positive, not {getattr(self, name)!r}")
        for name in ("float_rate", "quantized_rate"):
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) > 0):
                raise DownshiftError(f"{name} must be positive, not {getattr(self, name)!r}")


@dataclass(frozen=True, kw_only=True, eq=False)
class Training:
    """What a training run gives."""

    model: nn.Module
    """Trained at all widths, in evaluation mode, at the highest."""
    float_model: FloatNet
    """The FP32 network it started from."""
    input_shape: tuple[int, int, int]
    """(height, width, channels)."""
    input_scale: float
    """Real value of one input code."""
    classes: int
    scale_rates: dict[int, list[float]]
    """Mean learning rate of the scales in each epoch, by width."""
    float_accuracy: float
    """Share of the test images that the FP32 network labels right, 0…1."""


def train_small_net(
    config: TrainingConfig, *, data: Images, progress: Progress | None = None
) -> Training:
    """Train the small network: FP32, then all widths.

    No global state is left behind: torch's generator and threads are restored.

    Parameters
    ----------
    config : TrainingConfig
    data : Images
    progress : callable
        Called as ``progress(done, total, text)`` after every epoch; `total` counts both phases.

    Returns
    -------
    Training

    Raises
    ------
    DownshiftError
        If the loss stops being a number; names the step.
    """
    images, labels = data.train_images, data.train_labels
    total = config.float_epochs + config.quantized_epochs

    def report(done, text):
        if progress is not None:
            progress(done, total, text)

    with _surroundings(config):
        float_model = FloatNet(data.input_shape, data.classes)
        train_float(float_model, images, labels, config, report=report)
        model = prepare(float_model, widths=config.widths, input_scale=data.input_scale)
        rates = train_quantized(
            model,
            images,
            labels,
            config,
            report=lambda done, text: report(config.float_epochs + done, text),
        )
    return Training(
        model=model,
        float_model=float_model,
        input_shape=data.input_shape,
        input_scale=data.input_scale,
        classes=data.classes,
        scale_rates=rates,
        float_accuracy=float_accuracy(float_model, data.test_images, data.test_labels),
    )


def train_float(model: nn.Module, images, labels, config: TrainingConfig, *, report=None) -> None:
    """Train a network in FP32, in place; it is left in evaluation mode.

    Parameters
    ----------
    model : nn.Module
        Gives logits, (n, classes).
    images : float tensor, shape (n, channels, height, width)
    labels : int64 tensor, shape (n,)
    config : TrainingConfig
    report : callable
        Called as ``report(epochs_done, text)``.
    """
    model.train()
    optimizer = _weight_optimizer(model, config.float_rate, config)
    batches = _Batches(len(images), config, epochs=config.float_epochs)
    for epoch in range(config.float_epochs):
        for step, _, batch in batches.epoch(epoch, optimizer, peak=config.float_rate):
            loss = F.cross_entropy(model(images[batch]), labels[batch])
            _check_loss(loss, step, "in FP32")
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
        if report is not None:
            report(epoch + 1, f"FP32, loss {loss.item():.3f}")
    model.eval()


def train_quantized(
    model: nn.Module, images, labels, config: TrainingConfig, *, report=None
) -> dict[int, list[float]]:
    """Train a switchable network at all widths, in place; it is left in evaluation mode.

    Every batch visits the widths from high to low; at each, the weights step with the learning
    rate and the scales with the rate that `adapted_rate` gives. Activation scales are calibrated
    first, the running statistics of the batch norms at the end.

    Parameters
    ----------
    model : nn.Module
        Switchable at ``config.widths``; gives logits, (n, classes).
    images : float tensor, shape (n, channels, height, width)
    labels : int64 tensor, shape (n,)
    config : TrainingConfig
    report : callable
        Called as ``report(epochs_done, text)``.

    Returns
    -------
    dict of int to list of float
        Mean learning rate of the scales in each epoch, by width.

    Notes
    -----
    Multi-precision training of Huang et al., arXiv 2502.01199; there the activation scales start
    from percentiles, and Adam's moments are shared between the widths.
    """
    calibrate(model, images[: config.calibration_images], config.widths)
    model.train()
    optimizer = _weight_optimizer(model, config.quantized_rate, config)
    scales = ScaleAdam(scale_parameters(model))
    batches = _Batches(len(images), config, epochs=config.quantized_epochs)
    means: dict[int, list[float]] = {width: [] for width in config.widths}
    for epoch in range(config.quantized_epochs):
        rates, losses = {width: [] for width in config.widths}, {}
        for step, rate, batch in batches.epoch(epoch, optimizer, peak=config.quantized_rate):
            for width in config.widths:
                set_widths(model, width)
                loss = F.cross_entropy(model(images[batch]), labels[batch])
                losses[width] = _check_loss(loss, step, f"at width {width}")
                loss.backward()
                scale_rate = adapted_rate(
                    rate,
                    width=width,
                    stored_width=8,
                    gradients=scales.gradients,
                    scaling=config.rate_scaling,
                )
                optimizer.step()
                scales.step(width=width, rate=scale_rate)
                optimizer.zero_grad()
                scales.zero_grad()
                rates[width].append(scale_rate)
        for width, values in rates.items():
            means[width].append(sum(values) / len(values))
        if report is not None:
            text = ", ".join(f"{width} bit {loss:.3f}" for width, loss in losses.items())
            report(epoch + 1, f"All widths, loss {text}")
    recalibrate_norms(model, images, config.widths)
    set_widths(model, config.widths[0])
    model.eval()
    return means


@torch.no_grad()
def float_accuracy(model: nn.Module, images: Tensor, labels: Tensor) -> float:
    """Share of `images`, 0…1, that a network in evaluation mode labels right in floating point."""
    return (model(images).argmax(dim=1) == labels).double().mean().item()


class _Batches:
    """Shuffled batches with their step number and learning rate; a smaller last one is dropped."""

    def __init__(self, n_images: int, config: TrainingConfig, *, epochs: int):
        self.n_images = n_images
        self.size = min(config.batch_size, n_images)
        self.steps = epochs * (n_images // self.size)
        self.generator = torch.Generator().manual_seed(config.seed)

    def epoch(self, index: int, optimizer, *, peak: float) -> Iterator[tuple[int, float, Tensor]]:
        order = torch.randperm(self.n_images, generator=self.generator)
        batches = order.split(self.size)[: self.n_images // self.size]
        for step, batch in enumerate(batches, start=index * len(batches)):
            rate = peak * 0.5 * (1 + math.cos(math.pi * step / self.steps))
            for group in optimizer.param_groups:
                group["lr"] = rate
            yield step, rate, batch


def _weight_optimizer(model: nn.Module, rate: float, config: TrainingConfig):
    """AdamW on everything but the scales."""
    scales = {id(scale) for scale in scale_parameters(model)}
    others = [p for p in model.parameters() if id(p) not in scales]
    groups = [
        {"params": [p for p in others if p.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in others if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=rate, fused=True)


def _check_loss(loss: Tensor, step: int, where: str) -> float:
    value = loss.item()
    if not math.isfinite(value):
        raise DownshiftError(f"Loss became {value} at step {step} {where}: lower the learning rate")
    return value


@contextmanager
def _surroundings(config: TrainingConfig):
    """Seed torch's global generator, which initial weights come from; restore all after."""
    threads = torch.get_num_threads()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        try:
            torch.set_num_threads(config.threads or threads)
            yield
        finally:
            torch.set_num_threads(threads)
