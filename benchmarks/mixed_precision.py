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
from accuracy import RESULTS, float_start
from accuracy_report import write_report
from experiments import Suite

from downshift.hw.table_config import TableConfig
from downshift.sim.frame_profile import frame_profile
from downshift.sw.atomic_write import write_atomically
from downshift.sw.compile.compiler import compile_graph
from downshift.sw.data.images import Images
from downshift.sw.data.named import load_dataset
from downshift.sw.search.allocation import Budget, cost_of, lowest_widths
from downshift.sw.search.candidates import candidate_accuracy
from downshift.sw.search.compiled import compiled_allocations, compiled_cycles
from downshift.sw.search.front import hypervolume, rank_correlation
from downshift.sw.search.layer_costs import layer_costs
from downshift.sw.search.mixed import front_budgets, uniform
from downshift.sw.search.supernet import SupernetPhase
from downshift.sw.search.traces import layer_traces
from downshift.sw.training.config import Distillation, TrainingConfig
from downshift.sw.training.joint import JointPhase
from downshift.sw.training.run import switchable

CONFIG = TrainingConfig(
    network="resnet8", batch_size=128, float_epochs=3, quantized_epochs=2,
    distillation=Distillation.NONE,
)  # fmt: skip
TRAIN = 20_000
"""Images of an epoch that quantizes, to keep an experiment under an hour of one core."""
POINTS, DRAWN = 8, 2
"""Limits of cycles, and networks drawn at random for each."""
DRAWS = 50_000


def cycles(graph, width: int) -> dict[str, int]:
    image = compile_graph(graph, TableConfig())
    return {profile.name: profile.cycles for profile in frame_profile(graph, image, width)}


def whole_cycles(model, widths, images: Images) -> int:
    shape = images.input_shape
    return sum(compiled_cycles(model, widths, input_shape=shape, cycles=cycles).values())


def drawn(model, costs, limit: float, images: Images, rng: np.random.Generator) -> dict[str, int]:
    """Widths drawn evenly, until they fit; after long, the lowest."""
    choices = {cost.root: tuple(cost.errors) for cost in costs.values() if cost.root}
    for _ in range(DRAWS):
        widths = {root: int(rng.choice(given)) for root, given in choices.items()}
        # What layers are known to take at least is looked up, the whole is compiled.
        if cost_of(costs, widths, Budget.CYCLES) <= limit:
            if whole_cycles(model, widths, images) <= limit:
                return widths
    return lowest_widths(costs)


def seed_results(dataset: str, images: Images, seed: int, networks: Path) -> dict:
    config = replace(CONFIG, seed=seed)
    began = time.monotonic()
    suite = Suite(dataset=dataset, config=config, experiments=())
    start, fp32 = float_start(suite, images, seed, networks)
    images = replace(images, train=images.train.take(TRAIN))
    traces = layer_traces(start, images, probes=50)
    sensitivities = {path: trace.sensitivity for path, trace in traces.items()}
    models = trained(start, images, config, sensitivities, networks / f"{dataset}-mixed-{seed}")
    joint = models["joint"]
    costs = layer_costs(joint, config.widths, input_shape=images.input_shape, cycles=cycles)
    shape, (highest, *_, lowest) = images.input_shape, config.widths
    ends = [whole_cycles(joint, uniform(costs, width), images) for width in (lowest, highest)]
    limits = front_budgets(*ends, points=POINTS)
    program = [
        compiled_allocations(
            joint, costs, sensitivities, {Budget.CYCLES: limit}, input_shape=shape, cycles=cycles
        )[0].allocation
        for limit in limits
    ]
    rng = np.random.default_rng(seed)
    random = [drawn(joint, costs, limit, images, rng) for limit in limits for _ in range(DRAWN)]
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


def trained(start, images: Images, config, sensitivities, kept: Path) -> dict:
    """Networks to choose from, by name; trained once, and kept as files."""
    torch.manual_seed(config.seed)
    joint = switchable(copy.deepcopy(start), config, images.input_scale)
    models = {"joint": joint}
    for name, phase, options in (
        ("joint", JointPhase, {}),
        ("even supernet", SupernetPhase, {}),
        ("Hessian supernet", SupernetPhase, {"sensitivities": sensitivities}),
    ):
        models[name] = model = joint if name == "joint" else copy.deepcopy(joint)
        path = kept.with_name(f"{kept.name}-{name.split()[0]}.pt")
        if path.exists():
            model.load_state_dict(torch.load(path, weights_only=True))
            model.eval()
            continue
        training = phase(model, images, config, **options)
        for epoch in range(training.epochs):
            print(f"  {name}", training.epoch(epoch)["accuracy_2"], flush=True)
        training.finish()
        torch.save(model.state_dict(), path)
    return models


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
