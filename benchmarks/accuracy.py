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
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from accuracy_report import write_report
from experiments import MIXED_BITS, ROUNDINGS, SUITES, Experiment, Suite
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
from downshift.sw.training.config import Distillation, TrainingConfig
from downshift.sw.training.evaluation import accuracies, accuracy
from downshift.sw.training.float_phase import FloatPhase
from downshift.sw.training.joint import JointPhase
from downshift.sw.training.run import learned_images, switchable
from downshift.sw.training.scale_optimizer import RateScaling

DOCS = Path(__file__).parents[1] / "docs"
RESULTS = DOCS / "results.json"


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
