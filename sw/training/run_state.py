"""Where a run stands after an epoch, on disk."""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from downshift.hw.errors import DownshiftError
from downshift.sw.atomic_write import write_atomically
from downshift.sw.training.config import TrainingConfig
from downshift.sw.training.torch_file import read_torch_file

__all__ = ["RunState", "begin_run", "load_state", "save_state"]

FORMAT = "downshift-run"
VERSION = 2


@dataclass(frozen=True, kw_only=True, eq=False)
class RunState:
    """A phase after an epoch, and what came before."""

    phase: str
    epoch: int
    """Epochs of the phase that are done."""
    content: dict[str, Any]
    """What the phase needs."""
    rows: list[dict]
    """The log."""
    float_model: dict[str, Any] | None
    """Parameters of the FP32 network, once its phase is over."""
    images: str
    """Digest of what it learns from."""


def save_state(path: Path, state: RunState) -> None:
    """Write a state; an interrupted write leaves the one before."""
    # Through memory: torch reports a full disk as a RuntimeError, a plain write as an OSError.
    buffer = io.BytesIO()
    fields = {name: getattr(state, name) for name in RunState.__dataclass_fields__}
    torch.save({"format": FORMAT, "version": VERSION} | fields, buffer)
    write_atomically(path, buffer.getvalue())


def load_state(path: Path) -> RunState:
    """Read a state; nothing in the file is executed.

    Raises
    ------
    DownshiftError
        If the file is missing, damaged or another one.
    """
    again = "start the run again in another folder"
    content = read_torch_file(path, what="State", again=again)
    if content.get("format") != FORMAT or content.get("version") != VERSION:
        raise DownshiftError(f"State {path} is of another program or version; {again}")
    try:
        fields = {name: content[name] for name in RunState.__dataclass_fields__}
    except KeyError as error:
        raise DownshiftError(f"State {path} lacks {error}; {again}") from None
    return RunState(**fields)


def begin_run(
    config: TrainingConfig, digest: str, folder: Path | None, *, resume: bool
) -> RunState | None:
    """Claim the folder of a run, or read what is in it."""
    if folder is None:
        return None
    kept = folder / "config.json"
    if not resume:
        if (folder / "state.pt").exists():
            raise DownshiftError(f"Folder {folder} holds a run; resume it, or choose another")
        write_atomically(kept, config.to_json().encode())
        return None
    try:
        before = kept.read_text()
    except OSError as error:
        raise DownshiftError(
            f"There is no run in {folder} to resume: {kept}: {error.strerror or error}"
        ) from None
    if before != config.to_json():
        raise DownshiftError(
            f"The run in {folder} was started with other settings; give those in {kept}"
        )
    path = folder / "state.pt"
    if not path.exists():
        return None
    state = load_state(path)
    if state.images != digest:
        raise DownshiftError(
            f"The run in {folder} was started with other images; give those, in the same order"
        )
    return state
