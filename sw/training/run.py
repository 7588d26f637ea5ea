"""A training run: both phases, what is kept of them on disk, and how they resume."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from downshift.hw.errors import DownshiftError
from downshift.sw.data.images import Images
from downshift.sw.networks import build_network
from downshift.sw.quantization.prepare import prepare
from downshift.sw.training.config import TrainingConfig
from downshift.sw.training.evaluation import accuracy
from downshift.sw.training.float_phase import FloatPhase
from downshift.sw.training.history import History
from downshift.sw.training.joint import JointPhase
from downshift.sw.training.phase import Phase
from downshift.sw.training.processes import Processes, joined_processes
from downshift.sw.training.run_state import RunState, begin_run, save_state

__all__ = ["Training", "learned_images", "switchable", "train"]

Progress = Callable[[int, int, str], None]
"""Called with epochs done, epochs in all, and what is going on."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Training:
    """What a training run gives."""

    model: nn.Module
    """Trained at all widths, in evaluation mode, at the highest; on the CPU."""
    float_model: nn.Module
    """The FP32 network it started from."""
    config: TrainingConfig
    input_shape: tuple[int, int, int]
    """(height, width, channels)."""
    input_scale: float
    """Real value of one input code."""
    classes: int
    """Outputs: classes, or values of an image that is given again."""
    rows: list[dict]
    """The log: one row an epoch."""
    float_accuracy: float
    """What `score` says of the FP32 network on the test images."""
    interrupted: bool
    """Whether the run was stopped before its last epoch."""
    named: bool
    """Whether the network is the one that `config` names, not one of the caller's."""
    leads: bool = True
    """Whether this process is the one of all to keep the result."""


def train(
    config: TrainingConfig,
    images: Images,
    *,
    model: nn.Module | None = None,
    folder: Path | None = None,
    resume: bool = False,
    device: str | torch.device = "cpu",
    progress: Progress | None = None,
) -> Training:
    """Train a network: in FP32, then one set of weights for all widths.

    No global state is left behind: torch's generator and threads are restored. Ctrl-C ends
    the second phase with what has been learned; the run can resume all the same, and then ends
    with the numbers it would have had.

    Parameters
    ----------
    config : TrainingConfig
    images : Images
    model : nn.Module, optional
        A network of your own, in FP32 on the CPU, instead of the one that `config` names; trained
        in place, unless ``config.float_epochs`` is 0.
    folder : Path, optional
        Where the run is kept: ``config.json``, ``log.csv``, ``events`` for TensorBoard, and
        ``state.pt`` after every epoch.
    resume : bool
        Whether to go on with what is kept in `folder`.
    device : str or torch.device
        Where to compute. Under ``torchrun`` every process takes its share of each batch.
    progress : callable, optional
        Called as ``progress(done, total, text)`` after every epoch; `total` counts both phases.

    Returns
    -------
    Training

    Raises
    ------
    DownshiftError
        If the loss stops being a number (names step and module), if `folder` holds a run already,
        or none that could resume.
    KeyboardInterrupt
        If stopped before there is anything at all widths.
    """
    images = learned_images(images, config)
    where = _device(device)
    processes = joined_processes(where)
    digest = images.digest if folder else ""
    with _surroundings(config):
        parts = {name: getattr(images, name).to(where) for name in ("train", "validation")}
        run = _Run(
            config=config,
            own_model=model,
            images=replace(images, **parts),
            digest=digest,
            folder=folder if processes.leads else None,
            device=where,
            processes=processes,
            progress=progress if processes.leads and progress else _silent,
        )
        state = begin_run(config, digest, folder, resume=resume)
        return run.whole(state, images)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Run:
    config: TrainingConfig
    own_model: nn.Module | None
    images: Images
    digest: str
    """Of the images, where states are kept."""
    folder: Path | None
    device: torch.device
    processes: Processes
    progress: Progress

    def whole(self, state: RunState | None, images: Images) -> Training:
        """Both phases, from the beginning or from a state."""
        config, shape = self.config, self.images.input_shape
        history = History(self.folder, state.rows if state else None)
        try:
            float_model = self.own_model or build_network(config.network, shape, images.classes)
            float_model.to(self.device)
            phase = FloatPhase(float_model, self.images, config, self.processes)
            if state is None or state.phase == FloatPhase.name:
                self._epochs(phase, history, state)
                state = None
            else:
                with self._same_network():
                    float_model.load_state_dict(state.float_model)
            float_model.eval()
            torch.manual_seed(config.seed)
            model = switchable(float_model.cpu(), config, images.input_scale).to(self.device)
            joint = JointPhase(model, self.images, config, self.processes)
            interrupted = self._joint_epochs(joint, history, state, float_model)
            joint.finish()
        finally:
            history.close()
        return Training(
            model=model.cpu(),
            float_model=float_model,
            config=config,
            input_shape=shape,
            input_scale=images.input_scale,
            classes=images.classes,
            rows=history.rows,
            float_accuracy=accuracy(float_model, images.test, input_scale=images.input_scale),
            interrupted=interrupted,
            named=self.own_model is None,
            leads=self.processes.leads,
        )

    def _joint_epochs(self, phase: JointPhase, history, state, float_model) -> bool:
        """Train at all widths; whether Ctrl-C ended it."""
        try:
            self._epochs(phase, history, state, float_model)
        except KeyboardInterrupt:
            return True
        return False

    def _epochs(
        self,
        phase: Phase,
        history: History,
        state: RunState | None,
        float_model: nn.Module | None = None,
    ) -> None:
        """Go through the epochs of a phase that are left, keeping a state after each."""
        begin = 0
        if state is not None:
            with self._same_network():
                phase.load_state_dict(state.content)
            begin = state.epoch
        for epoch in range(begin, phase.epochs):
            row = {"phase": phase.name, "epoch": epoch + 1} | phase.epoch(epoch)
            history.add(row)
            if self.folder is not None:
                save_state(
                    self.folder / "state.pt",
                    RunState(
                        phase=phase.name,
                        epoch=epoch + 1,
                        content=phase.state_dict(),
                        rows=history.rows,
                        float_model=float_model and float_model.state_dict(),
                        images=self.digest,
                    ),
                )
            self._report(phase, row)
            if self._stalled(history.rows):
                break

    @contextmanager
    def _same_network(self) -> Iterator[None]:
        """Explain states that are of another network."""
        try:
            yield
        except (KeyError, RuntimeError, ValueError):
            raise DownshiftError(
                f"The run in {self.folder} is of another network; give that one"
            ) from None

    def _report(self, phase: Phase, row: dict) -> None:
        config = self.config
        done = row["epoch"] + (config.float_epochs if phase.name == JointPhase.name else 0)
        if phase.name == FloatPhase.name:
            text = f"FP32, loss {row['loss']:.3f}, {row['accuracy']:.1%}"
        else:
            text = ", ".join(
                f"{width} bit {row[f'loss_{width}']:.3f} {row[f'accuracy_{width}']:.1%}"
                for width in config.widths
            )
        self.progress(done, config.float_epochs + config.quantized_epochs, text)

    def _stalled(self, rows: list[dict]) -> bool:
        """Whether the mean accuracy has not risen for as long as the configuration waits."""
        if self.config.patience is None:
            return False
        names = [f"accuracy_{width}" for width in self.config.widths]
        means = [
            sum(row[name] for name in names) for row in rows if row["phase"] == JointPhase.name
        ]
        return bool(means) and len(means) - 1 - means.index(max(means)) >= self.config.patience


def learned_images(images: Images, config: TrainingConfig) -> Images:
    """Images with what is to be learned of them.

    Raises
    ------
    DownshiftError
        If all images to train on are of one class, where classes are learned.
    """
    if config.reconstructs:
        return images.reconstruction()
    labels = images.train.labels
    if labels.min() == labels.max():
        raise DownshiftError(
            f"Images to train on must be of at least 2 classes, not only of label {labels[0]}"
        )
    return images


def switchable(float_model: nn.Module, config: TrainingConfig, input_scale: float) -> nn.Module:
    """Prepare an FP32 network as a configuration says."""
    return prepare(
        float_model,
        widths=config.widths,
        input_scale=input_scale,
        pin_ends=config.pin_ends,
        per_channel=config.per_channel,
        stored_width=config.stored_width,
        compat="paper" if config.paper_gradients else None,
        corrected=config.corrected_scales,
        centred=config.centred_weights,
        transitional=config.transitional_norms,
    )


def _device(device: str | torch.device) -> torch.device:
    try:
        where = torch.device(device)
        torch.empty(0, device=where)
    except (RuntimeError, AssertionError):
        raise DownshiftError(f"There is no device {str(device)!r} here; use cpu") from None
    return where


@contextmanager
def _surroundings(config: TrainingConfig) -> Iterator[None]:
    """Seed torch's global generator, which initial weights come from; restore all after."""
    threads = torch.get_num_threads()
    with torch.random.fork_rng():
        torch.manual_seed(config.seed)
        try:
            torch.set_num_threads(config.threads or threads)
            yield
        finally:
            torch.set_num_threads(threads)


def _silent(done: int, total: int, text: str) -> None:
    """Report nothing."""
