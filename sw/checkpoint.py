"""Checkpoints: a trained network and the configuration it was trained with, on disk."""

import io
import math
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import nn

from downshift.hw.errors import DownshiftError
from downshift.sw.atomic_write import write_atomically
from downshift.sw.integer_graph import IntegerGraph
from downshift.sw.lowering import lower
from downshift.sw.prepare import prepare
from downshift.sw.scale_optimizer import RateScaling
from downshift.sw.small_net import FloatNet, linear_inputs
from downshift.sw.training import Training, TrainingConfig

__all__ = ["Checkpoint", "load_checkpoint", "save_checkpoint"]

FORMAT = "downshift-checkpoint"
VERSION = 2
MODEL = "small net"


@dataclass(frozen=True, kw_only=True, eq=False)
class Checkpoint:
    """A trained network as it lay on disk."""

    name: str
    """Stem of its file."""
    model: nn.Module
    """In evaluation mode, at its highest width."""
    config: TrainingConfig
    """What it was trained with."""
    input_shape: tuple[int, int, int]
    """(height, width, channels)."""
    float_accuracy: float
    """Share of the test images that its FP32 forerunner labelled right, 0…1."""

    def graph(self, name: str | None = None) -> IntegerGraph:
        """Lower the network to integers, under its own name unless told another."""
        return lower(self.model, input_shape=self.input_shape, name=name or self.name)


def save_checkpoint(path: Path, training: Training, config: TrainingConfig) -> None:
    """Write a trained network; an interrupted write leaves what was there before.

    Parameters
    ----------
    path : Path
        Overwritten if it exists.
    training : Training
    config : TrainingConfig
        What it was trained with.

    Raises
    ------
    DownshiftError
        If the file cannot be written.
    """
    content = {
        "format": FORMAT,
        "version": VERSION,
        "model": MODEL,
        "config": asdict(config) | {"rate_scaling": config.rate_scaling.value},
        "float_accuracy": training.float_accuracy,
        "input_shape": training.input_shape,
        "input_scale": training.input_scale,
        "classes": training.classes,
        "state": training.model.state_dict(),
    }
    # Through memory: torch reports a full disk as a RuntimeError, a plain write as an OSError.
    buffer = io.BytesIO()
    torch.save(content, buffer)
    write_atomically(path, buffer.getvalue())


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a trained network; nothing in the file is executed.

    Parameters
    ----------
    path : Path

    Returns
    -------
    Checkpoint

    Raises
    ------
    DownshiftError
        If the file is missing, damaged, no checkpoint, of another version or of another model.
    """
    path = Path(path)
    again = "run `downshift train` to make one"
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DownshiftError(
            f"Checkpoint {path} cannot be read: {error.strerror or error}; {again}"
        ) from None
    try:
        # torch does not look at the checksums that it writes.
        if (member := zipfile.ZipFile(io.BytesIO(data)).testzip()) is not None:
            raise ValueError(member)
        content = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception:  # whatever unpickling meets in a damaged file
        raise DownshiftError(f"Checkpoint {path} is damaged or no checkpoint; {again}") from None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise DownshiftError(f"File {path} is no Downshift checkpoint; {again}")
    if content.get("version") != VERSION:
        raise DownshiftError(
            f"Checkpoint {path} has version {content.get('version')!r}, "
            f"this program reads {VERSION}; {again}"
        )
    if content.get("model") != MODEL:
        raise DownshiftError(
            f"Checkpoint {path} holds the model {content.get('model')!r}, not {MODEL!r}; {again}"
        )
    try:
        checkpoint = _rebuilt(path.stem, content)
    except (KeyError, TypeError, ValueError, RuntimeError, AttributeError, DownshiftError):
        raise DownshiftError(
            f"Checkpoint {path} does not fit the model {MODEL!r} of this program; {again}"
        ) from None
    return checkpoint


def _rebuilt(name: str, content: dict) -> Checkpoint:
    """Network of a checkpoint, and what belongs to it; raises many things if they do not fit."""
    fields = dict(content["config"])
    fields |= {
        "widths": tuple(fields["widths"]),
        "rate_scaling": RateScaling(fields["rate_scaling"]),
    }
    config = TrainingConfig(**fields)
    height, width, channels = (int(size) for size in content["input_shape"])
    shape, classes, state = (height, width, channels), int(content["classes"]), content["state"]
    scale = float(content["input_scale"])
    if not (math.isfinite(scale) and scale > 0):
        raise ValueError(scale)
    # Before sizes that no weights stand behind are allocated.
    sizes = {"conv1": (16, channels, 3, 3), "linear": (classes, linear_inputs(shape, classes))}
    for layer, size in sizes.items():
        if tuple(state[f"{layer}.weight"].shape) != size:
            raise ValueError(size)
    # Initial weights are drawn, then overwritten: the caller's generator must not notice.
    with torch.random.fork_rng(devices=[]):
        model = prepare(FloatNet(shape, classes), widths=config.widths, input_scale=scale)
    model.load_state_dict(state)
    return Checkpoint(
        name=name,
        model=model.eval(),
        config=config,
        input_shape=shape,
        float_accuracy=float(content["float_accuracy"]),
    )
