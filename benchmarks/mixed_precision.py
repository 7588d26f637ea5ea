"""Mixed precision: fronts of accuracy over cycles, from supernets and without, and their area.

    python benchmarks/mixed_precision.py --data DIR [--seeds 0,1,2] [--dataset fashion_mnist]

Every seed trains ResNet-8 in FP32 and then at all widths. From there: nothing more; a supernet that
draws widths evenly; one that draws by the Hessian's traces. At equal limits of cycles on the large
accelerator, networks are then chosen by the integer program, or drawn at random, and judged on the
test part with batch norms settled. Results are added to docs/results.json.
"""

import argparse
import copy
import json
import platform
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import mean

import numpy as np
import torch
from accuracy import RESULTS, Suite, float_start
from accuracy_report import write_report

from downshift.hw.table_config import TableConfig
from downshift.sim.frame_profile import frame_profile
from downshift.sw.atomic_write import write_atomically
from downshift.sw.compile.compiler import compile_graph
from downshift.sw.data.images import Images
from downshift.sw.data.named import load_dataset
from downshift.sw.search.allocation import Budget, allocate, cost_of
from downshift.sw.search.candidates import candidate_accuracy, settled_graph
from downshift.sw.search.choices import expanded
from downshift.sw.search.front import hypervolume, rank_correlation
from downshift.sw.search.layer_costs import layer_costs
from downshift.sw.search.mixed import front_budgets, uniform
from downshift.sw.search.supernet import SupernetPhase
from downshift.sw.search.traces import layer_traces
from downshift.sw.training.config import TrainingConfig
from downshift.sw.training.joint import JointPhase
from downshift.sw.training.run import switchable

CONFIG = TrainingConfig(network="resnet8", batch_size=128, float_epochs=3, quantized_epochs=2)
TRAIN = 20_000
"""Images of an epoch that quantizes, to keep an experiment under an hour of one core."""
POINTS, DRAWN = 6, 2
"""Limits of cycles, and networks drawn at random for each."""


def cycles(graph, width: int) -> dict[str, int]:
    image = compile_graph(graph, TableConfig())
    return {profile.name: profile.cycles for profile in frame_profile(graph, image, width)}


def whole_cycles(model, widths, images: Images) -> int:
    whole = {8: expanded(model, widths)}
    graph = settled_graph(model, whole, None, input_shape=images.input_shape, name="mixed")
    return sum(cycles(graph, 8).values())


def drawn(costs, limit: float, rng: np.random.Generator) -> dict[str, int]:
    """Widths drawn evenly, until they fit."""
    choices = {cost.root: tuple(cost.errors) for cost in costs.values() if cost.root}
    while True:
        widths = {root: int(rng.choice(given)) for root, given in choices.items()}
        if cost_of(costs, widths, Budget.CYCLES) <= limit:
            return widths


def seed_results(dataset: str, images: Images, seed: int, networks: Path) -> dict:
    config = replace(CONFIG, seed=seed)
    began = time.monotonic()
    suite = Suite(dataset=dataset, config=config, experiments=())
    start, fp32 = float_start(suite, images, seed, networks)
    images = replace(images, train=images.train.take(TRAIN))
    torch.manual_seed(seed)
    joint = switchable(copy.deepcopy(start), config, images.input_scale)
    phase = JointPhase(joint, images, config)
    for epoch in range(phase.epochs):
        print("  joint", phase.epoch(epoch)["accuracy_2"], flush=True)
    phase.finish()
    traces = layer_traces(start, images, probes=50)
    sensitivities = {path: trace.sensitivity for path, trace in traces.items()}
    models = {"joint": joint}
    for name, given in (("even supernet", None), ("Hessian supernet", sensitivities)):
        models[name] = copy.deepcopy(joint)
        supernet = SupernetPhase(models[name], images, config, sensitivities=given)
        for epoch in range(supernet.epochs):
            print(f"  {name}", supernet.epoch(epoch)["accuracy_2"], flush=True)
        supernet.finish()

    costs = layer_costs(joint, config.widths, input_shape=images.input_shape, cycles=cycles)
    limits = front_budgets(costs, Budget.CYCLES, points=POINTS, highest=config.widths[0])
    rng = np.random.default_rng(seed)
    program = [allocate(costs, sensitivities, {Budget.CYCLES: limit})[0] for limit in limits]
    random = [drawn(costs, limit, rng) for limit in limits for _ in range(DRAWN)]
    fronts, spreads = {}, {}
    for name, model in models.items():
        judge = judged(model, images)
        same = [judge(uniform(costs, width)) for width in config.widths]
        ends = [same[0], same[-1]]  # of every front, so that areas compare
        fronts[f"{name}, one width"] = same
        fronts[f"{name}, program"] = [*ends, *(judge(found.widths) for found in program)]
        fronts[f"{name}, drawn"] = [*ends, *(judge(widths) for widths in random)]
        unsettled = [
            candidate_accuracy(model, widths, images, images.test, settle=False)
            for widths in random
        ]
        settled = [share for _, share in fronts[f"{name}, drawn"][len(ends) :]]
        spreads[name] = {"before": float(np.std(unsettled)), "after": float(np.std(settled)),
                         "gain": mean(settled) - mean(unsettled)}  # fmt: skip
    costs_seen = [cost for points in fronts.values() for cost, _ in points]
    least, most = min(costs_seen), max(costs_seen)
    shares = [share for _, share in fronts["joint, program"][len(ends) :]]
    return {
        "dataset": dataset,
        "network": config.network,
        "mixed": True,
        "seed": seed,
        "float_epochs": config.float_epochs,
        "epochs": config.quantized_epochs,
        "fp32": fp32,
        "fronts": fronts,
        "hypervolumes": {
            # Per cent times cycles, over what the longest network takes: a mean accuracy.
            name: hypervolume(points, most=most) / (most - least)
            for name, points in fronts.items()
        },
        "spreads": spreads,
        "kendall_tau": rank_correlation([found.error for found in program], shares),
        "seconds": round(time.monotonic() - began, 1),
        "machine": f"{platform.machine()} CPU, torch {torch.__version__}, one thread",
    }


def judged(model, images: Images) -> Callable:
    """Cycles and accuracy on the test part of networks taken from a model."""

    def judge(widths) -> tuple[int, float]:
        share = candidate_accuracy(model, widths, images, images.test)
        return whole_cycles(model, widths, images), share

    return judge


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder of data sets")
    parser.add_argument("--dataset", default="fashion_mnist")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--networks", type=Path, default=Path("build/accuracy"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    path = arguments.results
    images = load_dataset(arguments.dataset, folder=arguments.data)
    for seed in map(int, arguments.seeds.split(",")):
        print(f"{arguments.dataset}, seed {seed}", flush=True)
        result = seed_results(arguments.dataset, images, seed, arguments.networks)
        print("  ", result["hypervolumes"], result["spreads"], flush=True)
        results = json.loads(path.read_text()) if path.exists() else []
        this = {name: result[name] for name in ("dataset", "network", "mixed", "seed")}
        results = [r for r in results if not this.items() <= r.items()] + [result]
        write_atomically(path, (json.dumps(results, indent=1) + "\n").encode())
    write_report(json.loads(path.read_text()), path.parent)


if __name__ == "__main__":
    main()
