"""Checkpoints: a trained network and the configuration it was trained with, on disk."""

import io
import math
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import nn

from downshift.hw.errors import DownshiftError
from downshift.sw.atomic_write import write_atomically
from downshift.sw.graph.integer_graph import IntegerGraph
from downshift.sw.networks import build_network
from downshift.sw.quantization.lowering import lower
from downshift.sw.training.config import TrainingConfig
from downshift.sw.training.run import Training, switchable
from downshift.sw.training.torch_file import read_torch_file

__all__ = ["Checkpoint", "load_checkpoint", "save_checkpoint"]

FORMAT = "downshift-checkpoint"
VERSION = 4


@dataclass(frozen=True, kw_only=True, eq=False)
class Checkpoint:
    """A trained network as it lay on disk."""

    name: str
    """Stem of its file."""
    model: nn.Module
    """In evaluation mode, at its highest width."""
    float_model: nn.Module
    """Its FP32 forerunner, in evaluation mode."""
    config: TrainingConfig
    """What it was trained with."""
    input_shape: tuple[int, int, int]
    """(height, width, channels)."""
    input_scale: float
    """Real value of one input code."""
    classes: int
    float_accuracy: float
    """What `score` said of its FP32 forerunner on the test images."""

    def graph(self, name: str | None = None) -> IntegerGraph:
        """Lower the network to integers, under its own name unless told another."""
        return lower(self.model, input_shape=self.input_shape, name=name or self.name)


def save_checkpoint(path: Path, training: Training) -> None:
    """Write a trained network; an interrupted write leaves what was there before.

    Parameters
    ----------
    path : Path
        Overwritten if it exists.
    training : Training

    Raises
    ------
    DownshiftError
        If the file cannot be written, or the network is one that no name stands for.
    """
    if not training.named:
        raise DownshiftError(
            "A checkpoint cannot hold a network of your own; freeze it, and keep its graph by "
            "save_graph"
        )
    config = asdict(training.config)
    content = {
        "format": FORMAT,
        "version": VERSION,
        "config": {name: _plain(value) for name, value in config.items()},
        "float_accuracy": training.float_accuracy,
        "input_shape": training.input_shape,
        "input_scale": training.input_scale,
        "classes": training.classes,
        "state": training.model.state_dict(),
        "float_state": training.float_model.state_dict(),
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
    content = read_torch_file(path, what="Checkpoint", again=again)
    if content.get("format") != FORMAT:
        raise DownshiftError(f"File {path} is no Downshift checkpoint; {again}")
    if content.get("version") != VERSION:
        raise DownshiftError(
            f"Checkpoint {path} has version {content.get('version')!r}, "
            f"this program reads {VERSION}; {again}"
        )
    try:
        checkpoint = _rebuilt(path.stem, content)
    except (KeyError, TypeError, ValueError, RuntimeError, AttributeError, DownshiftError):
        raise DownshiftError(
            f"Checkpoint {path} does not fit any network of this program; {again}"
        ) from None
    return checkpoint


def _rebuilt(name: str, content: dict) -> Checkpoint:
    """Network of a checkpoint, and what belongs to it; raises many things if they do not fit."""
    config = TrainingConfig.from_fields(content["config"])
    height, width, channels = (int(size) for size in content["input_shape"])
    shape, classes, state = (height, width, channels), int(content["classes"]), content["state"]
    scale = float(content["input_scale"])
    if not (math.isfinite(scale) and scale > 0):
        raise ValueError(scale)
    # Before sizes that no weights stand behind are allocated.
    with torch.device("meta"):
        sizes = build_network(config.network, shape, classes).named_parameters()
    for path, parameter in sizes:
        if parameter.ndim > 1 and tuple(state[path].shape) != tuple(parameter.shape):
            raise ValueError(path)
    # Initial weights are drawn, then overwritten: the caller's generator must not notice.
    with torch.random.fork_rng(devices=[]):
        float_model = build_network(config.network, shape, classes)
        model = switchable(float_model, config, scale)
    model.load_state_dict(state)
    float_model.load_state_dict(content["float_state"])
    return Checkpoint(
        name=name,
        model=model.eval(),
        float_model=float_model.eval(),
        config=config,
        input_shape=shape,
        input_scale=scale,
        classes=classes,
        float_accuracy=float(content["float_accuracy"]),
    )


def _plain(value):
    """Drop the class of an enumeration's member, which a safe load would refuse."""
    return str(value) if isinstance(value, str) else value
