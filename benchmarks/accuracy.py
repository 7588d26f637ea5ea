"""Accuracy at every width: which part of the training method brings what.

    python benchmarks/accuracy.py --data DIR [--minutes 90] [--only mnist] [--report]

Every experiment runs with several seeds, once: results are kept in docs/results.json, and what is
there already is not run again. At the end docs/results.md and its pictures are written from that
file; --report does only that. All experiments of a data set and seed start from the same FP32
network. Accuracy is that of the whole test part in integer arithmetic; roundings that no
accelerator has are judged in floating point. Of the autoencoder, "accuracy" is the share of the
images' variance that it explains.
"""

import argparse
import copy
import json
import platform
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Any

import torch
from accuracy_report import write_report
from torch import nn

from downshift.sw.atomic_write import write_atomically
from downshift.sw.data.images import Images
from downshift.sw.data.named import load_dataset
from downshift.sw.networks import build_network
from downshift.sw.quantization.double_rounding import DoubleRounding
from downshift.sw.quantization.freeze import freeze
from downshift.sw.search.allocation import Budget, allocate
from downshift.sw.search.candidates import candidate_accuracy
from downshift.sw.search.layer_costs import layer_costs
from downshift.sw.search.supernet import SupernetPhase
from downshift.sw.search.traces import layer_traces
from downshift.sw.training.config import Augmentation, Distillation, Stepping, TrainingConfig
from downshift.sw.training.evaluation import accuracies, accuracy
from downshift.sw.training.float_phase import FloatPhase
from downshift.sw.training.joint import JointPhase
from downshift.sw.training.run import learned_images, switchable
from downshift.sw.training.scale_optimizer import RateScaling

DOCS = Path(__file__).parents[1] / "docs"
RESULTS = DOCS / "results.json"
WIDTHS = (8, 6, 4, 2)
SEEDS = (0, 1, 2)


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """One way to train."""

    name: str
    changes: dict[str, Any] = field(default_factory=dict)
    """Of the configuration."""
    rounding: str = "double"
    """Or "floor", or "floor + half": how running weights come from the stored ones."""
    separate: bool = False
    """A network for each width, stored in so many bits, instead of one for all."""
    supernet: bool | None = None
    """Whether as many epochs follow as a supernet by the Hessian's traces, or as before; a network
    of mixed widths is judged as well. None leaves out both."""


@dataclass(frozen=True, kw_only=True)
class Suite:
    """A data set, and what is tried on it."""

    dataset: str
    config: TrainingConfig
    experiments: tuple[Experiment, ...]
    seeds: tuple[int, ...] = SEEDS


class Floor(DoubleRounding):
    """Running weights by an arithmetic shift, as cheap hardware would have them: a baseline."""

    offset = 0.0

    def forward(self, weight):
        """Straight through, like its parent; the scale's gradient by autograd."""
        step = self.scale * 2.0 ** (self.stored_width - self.width)
        top = 1 << (self.width - 1)
        stored = self.codes(weight).float()
        codes = torch.floor(stored / 2.0 ** (self.stored_width - self.width))
        offset = self.offset if self.width < self.stored_width else 0.0
        ramp = (weight / step).clamp(-top, top - 1)
        g = (weight.numel() // step.numel() * max(top - 1, 1)) ** -0.5
        slow = step * g + (step - step * g).detach()
        values = (ramp + (codes + offset - ramp).detach()) * slow
        return values, step.detach(), self._zero_point, torch.tensor(float(self.width))


class FloorHalf(Floor):
    """The same, with half a step added: what a bias could absorb."""

    offset = 0.5


ROUNDINGS = {"floor": Floor, "floor + half": FloorHalf}

PARTS = (
    Experiment(name="joint"),
    Experiment(name="separate", separate=True),
    Experiment(name="no ALRS", changes={"rate_scaling": RateScaling.NONE}),
    Experiment(name="floor", rounding="floor"),
    Experiment(name="floor + half", rounding="floor + half"),
    Experiment(name="constant ALRS", changes={"rate_scaling": RateScaling.CONSTANT}),
    Experiment(name="measured ALRS", changes={"rate_scaling": RateScaling.MEASURED}),
    Experiment(name="one step on the sum", changes={"stepping": Stepping.SUM}),
    Experiment(name="distilled, star", changes={"distillation": Distillation.STAR}),
    Experiment(name="distilled, chain", changes={"distillation": Distillation.CHAIN}),
    Experiment(name="scales per tensor", changes={"per_channel": False}),
    Experiment(name="scales corrected by width", changes={"corrected_scales": True}),
    Experiment(name="centred at 2 bits", changes={"centred_weights": True}),
)
"""What is changed, one at a time."""
FEW = tuple(
    part for part in PARTS if part.name in ("joint", "separate", "no ALRS", "distilled, star")
)
"""Where there is time for no more."""
THREE = Experiment(name="3 bits as well", changes={"widths": (8, 6, 4, 3, 2)})
"""What centred weights of 2 bits compete with: accelerators run both at 3 bits."""
GRID = tuple(
    Experiment(
        name=" / ".join(
            (rounding, scaling, stepping, distillation, "HASB" if supernet else "none")
        ),
        changes={
            "rate_scaling": scaling,
            "stepping": stepping,
            "distillation": distillation,
        },
        rounding=rounding,
        supernet=supernet,
    )
    for rounding, scaling, stepping, distillation, supernet in product(
        ("double", *ROUNDINGS),
        (RateScaling.INTENT, RateScaling.NONE),
        Stepping,
        Distillation,
        (False, True),
    )
)
"""Everything with everything."""
MIXED_BITS = 3
"""Average that networks of mixed widths are to keep to."""
SUITES = (
    Suite(
        dataset="digits",
        config=TrainingConfig(quantized_epochs=10),
        experiments=PARTS,
    ),
    Suite(
        dataset="digits",
        config=TrainingConfig(network="resnet8", float_epochs=10, quantized_epochs=2),
        experiments=GRID,
    ),
    Suite(
        dataset="digits",
        config=TrainingConfig(network="autoencoder", quantized_epochs=20),
        experiments=tuple(part for part in PARTS if part.rounding == "double"),
    ),
    *(
        Suite(
            dataset=name,
            config=TrainingConfig(
                network="lenet", batch_size=128, float_epochs=6, quantized_epochs=4
            ),
            experiments=(*PARTS, THREE),
        )
        for name in ("mnist", "fashion_mnist")
    ),
    Suite(
        dataset="keywords",
        config=TrainingConfig(
            network="ds-cnn", batch_size=128, float_epochs=10, quantized_epochs=4
        ),
        experiments=FEW,
    ),
    Suite(
        dataset="cifar10",
        config=TrainingConfig(
            network="resnet8", batch_size=128, float_epochs=120, quantized_epochs=2,
            augmentation=Augmentation.FLIP_CROP,
        ),
        experiments=FEW,
        seeds=(0,),
    ),
)  # fmt: skip


def float_start(suite: Suite, images: Images, seed: int, folder: Path) -> tuple[nn.Module, float]:
    """FP32 network of a seed, trained once, and its accuracy on the test part."""
    config = replace(suite.config, seed=seed)
    torch.manual_seed(seed)
    model = build_network(config.network, images.input_shape, images.classes)
    path = folder / f"{suite.dataset}-{config.network}-{config.float_epochs}-{seed}.pt"
    if path.exists():
        model.load_state_dict(torch.load(path, weights_only=True))
    else:
        phase = FloatPhase(model, images, config)
        for epoch in range(phase.epochs):
            row = phase.epoch(epoch)
            print(f"  FP32 {epoch + 1}/{phase.epochs} {row['accuracy']:.4f}", flush=True)
        folder.mkdir(parents=True, exist_ok=True)
        torch.save(model.state_dict(), path)
    model.eval()
    return model, accuracy(model, images.test, input_scale=images.input_scale)


def run(
    experiment: Experiment, config: TrainingConfig, images: Images, start: nn.Module
) -> dict[str, float]:
    """Train at all widths, and give the accuracy of each on the test part, and of mixed ones."""
    if not experiment.separate:
        return trained(experiment, config, images, start)
    shares = {}
    for width in config.widths:
        alone = replace(config, widths=(width,), stored_width=width, rate_scaling=RateScaling.NONE)
        shares |= trained(experiment, alone, images, start)
    return shares


def trained(
    experiment: Experiment, config: TrainingConfig, images: Images, start: nn.Module
) -> dict[str, float]:
    if experiment.supernet is False:
        config = replace(config, quantized_epochs=2 * config.quantized_epochs)
    torch.manual_seed(config.seed)
    model = switchable(copy.deepcopy(start), config, images.input_scale)
    for module in model.modules():
        if isinstance(module, DoubleRounding) and experiment.rounding in ROUNDINGS:
            module.__class__ = ROUNDINGS[experiment.rounding]
    phase = JointPhase(model, images, config)
    for epoch in range(phase.epochs):
        phase.epoch(epoch)
    phase.finish()
    shares = {}
    if experiment.supernet is not None:
        traces = layer_traces(start, images, probes=50)
        sensitivities = {path: trace.sensitivity for path, trace in traces.items()}
        if experiment.supernet:
            supernet = SupernetPhase(model, images, config, sensitivities=sensitivities)
            for epoch in range(supernet.epochs):
                supernet.epoch(epoch)
            supernet.finish()
        costs = layer_costs(model, config.widths, input_shape=images.input_shape)
        chosen = allocate(costs, sensitivities, {Budget.BITS: MIXED_BITS})[0]
        shares["mixed"] = candidate_accuracy(model, chosen.widths, images, images.test)
    if experiment.rounding in ROUNDINGS:
        same = accuracies(model, images.test, config.widths, input_scale=images.input_scale)
    else:
        frozen, test = freeze(model, input_shape=images.input_shape), images.test
        same = {width: frozen.accuracy(test.codes, test.labels, width) for width in config.widths}
    return {str(width): share for width, share in same.items()} | shares


def wanted(only: str | None) -> Iterator[tuple[Suite, Experiment, int]]:
    """Everything to be run: all experiments with one seed, then with the next."""
    for suite in SUITES:
        if only in (None, suite.dataset):
            for seed in suite.seeds:
                for experiment in suite.experiments:
                    yield suite, experiment, seed


def key(suite: Suite, experiment: Experiment, seed: int) -> dict[str, Any]:
    """What tells one result from all others."""
    config = suite.config
    return {
        "dataset": suite.dataset,
        "network": config.network,
        "experiment": experiment.name,
        "seed": seed,
        "float_epochs": config.float_epochs,
        "epochs": config.quantized_epochs,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder of data sets")
    parser.add_argument("--only", help="one data set")
    parser.add_argument("--minutes", type=float, default=1e9, help="begin nothing after so long")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--networks", type=Path, default=Path("build/accuracy"))
    parser.add_argument("--report", action="store_true", help="run nothing")
    arguments = parser.parse_args()
    path, began, loaded = arguments.results, time.monotonic(), {}
    results = json.loads(path.read_text()) if path.exists() else []
    for suite, experiment, seed in () if arguments.report else wanted(arguments.only):
        this = key(suite, experiment, seed)
        if any(this.items() <= result.items() for result in results):
            continue
        if time.monotonic() - began > 60 * arguments.minutes:
            break
        print(f"{suite.dataset}, seed {seed}: {experiment.name}", flush=True)
        torch.set_num_threads(1)
        if suite.dataset not in loaded:
            loaded = {suite.dataset: load_dataset(suite.dataset, folder=arguments.data)}
        images = learned_images(loaded[suite.dataset], suite.config)
        start, float_share = float_start(suite, images, seed, arguments.networks)
        started = time.monotonic()
        plain = replace(suite.config, seed=seed, distillation=Distillation.NONE)
        config = replace(plain, **experiment.changes)
        shares = run(experiment, config, images, start)
        print("  ", {width: round(share, 4) for width, share in shares.items()}, flush=True)
        result = this | {
            "fp32": float_share,
            "accuracy": shares,
            "seconds": round(time.monotonic() - started, 1),
            "machine": f"{platform.machine()} CPU, torch {torch.__version__}, one thread",
            "config": {name: value for name, value in asdict(config).items() if name != "seed"},
        }
        # Another process may have added to it.
        results = json.loads(path.read_text()) if path.exists() else []
        results.append(result)
        write_atomically(path, (json.dumps(results, indent=1) + "\n").encode())
    write_report(results, DOCS)


if __name__ == "__main__":
    main()
