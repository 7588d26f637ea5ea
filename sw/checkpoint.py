"""Checkpoints: a trained network and the configuration it was trained with, on disk."""

import io
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from downshift.hw.errors import DownshiftError
from downshift.sw.atomic_write import write_atomically
from downshift.sw.digits_model import QuantDigitsNet
from downshift.sw.scale_optimizer import RateScaling
from downshift.sw.training import Training, TrainingConfig

__all__ = ["Checkpoint", "load_checkpoint", "save_checkpoint"]

FORMAT = "downshift-checkpoint"
VERSION = 1
MODEL = "digits"


@dataclass(frozen=True, kw_only=True, eq=False)
class Checkpoint:
    """A trained network as it lay on disk."""

    model: QuantDigitsNet
    """In evaluation mode, at its highest width."""
    config: TrainingConfig
    """What it was trained with."""
    float_accuracy: float
    """Share of the test images that its FP32 forerunner labelled right, 0…1."""


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
        fields = dict(content["config"])
        fields |= {
            "widths": tuple(fields["widths"]),
            "rate_scaling": RateScaling(fields["rate_scaling"]),
        }
        config = TrainingConfig(**fields)
        accuracy = float(content["float_accuracy"])
        # Initial weights are drawn, then overwritten: the caller's generator must not notice.
        with torch.random.fork_rng(devices=[]):
            model = QuantDigitsNet(config.widths)
        model.load_state_dict(content["state"])
    except (KeyError, TypeError, ValueError, RuntimeError, AttributeError):
        raise DownshiftError(
            f"Checkpoint {path} does not fit the model {MODEL!r} of this program; {again}"
        ) from None
    model.eval()
    return Checkpoint(model=model, config=config, float_accuracy=accuracy)
