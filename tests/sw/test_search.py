import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch

from downshift.hw.errors import DownshiftError
from downshift.hw.table_config import TableConfig
from downshift.sim import golden
from downshift.sim.frame_profile import frame_profile
from downshift.sw.compile.compiler import compile_graph
from downshift.sw.networks import build_network
from downshift.sw.quantization.freeze import Frozen
from downshift.sw.quantization.lowering import lower
from downshift.sw.quantization.prepare import prepare
from downshift.sw.quantization.widths import kept_widths, set_widths, switchable_layers
from downshift.sw.search.allocation import (
    Budget,
    allocate,
    cost_of,
    exhaustive,
    least_cost,
    total_error,
)
from downshift.sw.search.candidates import candidate_accuracy, candidate_graph
from downshift.sw.search.choices import deciding_layers, expanded
from downshift.sw.search.compiled import compiled_allocations, compiled_cycles
from downshift.sw.search.layer_costs import layer_costs
from downshift.sw.search.mixed import front_budgets, judged, uniform
from downshift.sw.search.supernet import SupernetPhase
from downshift.sw.search.traces import layer_traces
from downshift.sw.training.calibration import kept_statistics, settle_norms
from downshift.sw.training.config import TrainingConfig
from downshift.sw.training.evaluation import accuracy
from downshift.sw.training.run import train

WIDTHS = (8, 4, 2)


@pytest.fixture(scope="module")
def trained(few):
    """A residual network that has seen a little."""
    config = TrainingConfig(
        network="resnet8", widths=WIDTHS, float_epochs=2, quantized_epochs=1, batch_size=32
    )
    return train(config, few)


def table_cycles(graph, width):
    image = compile_graph(graph, TableConfig())
    return {profile.name: profile.cycles for profile in frame_profile(graph, image, width)}


COMPILED = {"input_shape": (8, 8, 1), "cycles": table_cycles}


@pytest.fixture(scope="module")
def costs(trained):
    return layer_costs(trained.model, WIDTHS, input_shape=(8, 8, 1), cycles=table_cycles)


@pytest.fixture(scope="module")
def sensitivities(trained, few):
    traces = layer_traces(trained.float_model, few, probes=4, batch_size=32)
    return {path: trace.sensitivity for path, trace in traces.items()}


def test_skips_and_pinned_layers_take_the_width_of_others(trained):
    roots = deciding_layers(trained.model)
    assert roots["conv"] == roots["block1.conv1"] == "block1.conv1"
    assert roots["block2.skip"] == roots["block2.conv2"]
    assert "linear" not in roots
    assert len(set(roots.values())) == 6
    pre = prepare(build_network("resnet20", (8, 8, 1), 10), widths=(8, 2), input_scale=1.0)
    roots = deciding_layers(pre)
    assert roots["blocks_0_norm1_ones"] == roots["blocks.0.conv1"] == "blocks.0.conv1"


@pytest.mark.parametrize("kind", Budget)
@pytest.mark.parametrize("share", [0.0, 0.2, 0.55, 1.0])
def test_the_program_finds_what_trying_all_finds(kind, share, costs, sensitivities):
    least, most = (cost_of(costs, uniform(costs, width), kind) for width in (2, 8))
    budgets = {kind: least + share * (most - least), Budget.BYTES: 60_000}
    if kind is Budget.BYTES:
        budgets = {kind: budgets[kind]}
    ours, theirs = (
        allocate(costs, sensitivities, budgets, n=3),
        exhaustive(costs, sensitivities, budgets),
    )
    assert [a.error for a in ours] == [a.error for a in theirs[:3]]
    for allocation in ours:
        layers = [cost for cost in costs.values() if cost.root]
        errors = [sensitivities[c.path] * c.errors[c.own(allocation.widths)] for c in layers]
        assert allocation.error == pytest.approx(sum(errors))
        for budget, limit in budgets.items():
            assert cost_of(costs, allocation.widths, budget) <= limit
    assert len({tuple(a.widths.items()) for a in ours}) == len(ours)


@pytest.mark.parametrize("kind", [Budget.BIT_OPERATIONS, Budget.CYCLES, Budget.BYTES])
def test_budgets_are_kept_to_the_last_one(kind, costs, sensitivities):
    at = cost_of(costs, uniform(costs, 4), kind)
    (best,) = allocate(costs, sensitivities, {kind: at})
    spent = cost_of(costs, best.widths, kind)
    below = spent * (1 - 1e-10)
    assert below < spent
    (other,) = allocate(costs, sensitivities, {kind: below})
    assert cost_of(costs, other.widths, kind) < spent


def test_budgets_below_the_least_say_it(costs, sensitivities):
    least = least_cost(costs, Budget.CYCLES)
    message = rf"^A budget of 10 cycles is below the least possible, {least:,g}$"
    with pytest.raises(DownshiftError, match=message):
        allocate(costs, sensitivities, {Budget.CYCLES: 10.0})
    without = {path: replace(cost, cycles={}) for path, cost in costs.items()}
    with pytest.raises(DownshiftError, match=r"^A budget of cycles needs an accelerator; name its"):
        allocate(without, sensitivities, {Budget.CYCLES: 1e9})


@pytest.mark.parametrize("width", WIDTHS)
def test_costs_of_one_width_are_those_of_the_graph(width, costs, trained):
    graph = Frozen(candidate_graph_of(trained, width)).graph
    assignment = uniform(costs, width)
    bits = [layer.settings[8] for layer in graph.layers]
    bytes_ = sum(
        x.weight.size * s.weight_width / 8 for x, s in zip(graph.layers, bits, strict=True)
    )
    assert cost_of(costs, assignment, Budget.BYTES) == bytes_
    operations = sum(
        layer.macs(graph.shape_of(graph.source_of(layer))) * s.weight_width * s.in_width
        for layer, s in zip(graph.layers, bits, strict=True)
    )
    assert cost_of(costs, assignment, Budget.BIT_OPERATIONS) == operations
    # But for the last layer: nothing of it switches, and how long it waits depends on others.
    whole = table_cycles(graph, 8)
    own = {c.path: (c.own(assignment), c.entering(assignment)) for c in costs.values() if c.root}
    assert own.keys() == whole.keys() - {"linear"}
    assert all(costs[path].cycles[place] <= whole[path] for path, place in own.items())


def candidate_graph_of(trained, width):
    return lower(trained.model, input_shape=(8, 8, 1), assignments={8: width})


def test_candidates_are_judged_with_statistics_of_their_own(trained, few, costs):
    model = trained.model
    before = {name: value.clone() for name, value in model.state_dict().items()}
    mixed = {root: (8, 2)[k % 2] for k, root in enumerate(uniform(costs, 8))}
    shares = [candidate_accuracy(model, mixed, few, few.test, settle=s) for s in (True, False)]
    assert shares[0] != shares[1]
    with kept_statistics(model), kept_widths(model):
        set_widths(model, expanded(model, mixed))
        settle_norms(model, few.train.codes, input_scale=few.input_scale)
        assert shares[0] == accuracy(model.eval(), few.test, input_scale=few.input_scale)
        by_hand = lower(model, input_shape=(8, 8, 1), assignments={5: expanded(model, mixed)})
    graph = candidate_graph(model, {8: 8, 5: mixed}, few, name="mixed")
    frozen = Frozen(graph)
    for ours, theirs in zip(graph.layers, by_hand.layers, strict=True):
        for name in ("bias", "multiplier", "shift"):
            mine, other = (getattr(layer.settings[5], name) for layer in (ours, theirs))
            assert np.array_equal(mine, other)
    x = few.test.codes[:4]
    theirs = golden.run(graph, x.permute(0, 2, 3, 1).numpy(), 5)
    assert np.array_equal(frozen(x, 5).logits.numpy(), theirs.logits)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not model.training


def test_candidates_keep_to_their_cycles_as_a_whole(trained, few, costs, sensitivities):
    ends = [
        sum(compiled_cycles(trained.model, uniform(costs, width), **COMPILED).values())
        for width in (2, 8)
    ]
    for limit in front_budgets(*ends, points=3):
        found = judged(
            trained.model, costs, sensitivities, {Budget.CYCLES: limit}, few, n=2,
            cycles=table_cycles,
        )  # fmt: skip
        for candidate in found:
            graph = candidate_graph(trained.model, {8: candidate.widths}, few, name="x")
            assert candidate.costs[Budget.CYCLES] == sum(table_cycles(graph, 8).values()) <= limit
        assert [c.accuracy for c in found] == sorted((c.accuracy for c in found), reverse=True)


def test_a_supernet_draws_and_learns(trained, few, sensitivities):
    import copy

    model = copy.deepcopy(trained.model)
    config = replace(trained.config, quantized_epochs=2)
    phase = SupernetPhase(model, few, config, sensitivities=sensitivities, average_bits=3.0)
    assert phase.sensitive and phase.sensitive < set(deciding_layers(model).values())
    seen = []
    select = phase.select

    def watch(batch, width):
        select(batch, width)
        layers = switchable_layers(model)
        seen.append([layers[p].parts[0].width for p in sorted(set(phase.roots.values()))])
        assert layers["block2.skip"].parts[0].width == layers["block2.conv2"].parts[0].width

    phase.select = watch
    rows = [phase.epoch(epoch) for epoch in range(2)]
    assert len({tuple(widths) for widths in seen}) > 20
    assert rows[-1]["loss_8"] > 0
    mixed = {root: (8, 4, 2)[k % 3] for k, root in enumerate(sorted(set(phase.roots.values())))}
    set_widths(model, expanded(model, mixed))
    phase.finish()
    assert candidate_accuracy(model, mixed, few, few.validation) > 0.5


def test_programs_of_least_error_are_found_though_layers_depend_on_each_other(trained):
    widths = (4, 2)
    costs = layer_costs(trained.model, widths, input_shape=(8, 8, 1), cycles=table_cycles)
    roots = {cost.root for cost in costs.values() if cost.root}
    whole = [
        dict(zip(roots, given, strict=True))
        for given in itertools.product(widths, repeat=len(roots))
    ]
    taken = [sum(compiled_cycles(trained.model, a, **COMPILED).values()) for a in whole]
    sensitivities = {path: 1.0 + index for index, path in enumerate(costs)}
    errors = [total_error(costs, sensitivities, assignment) for assignment in whole]
    assert len(set(taken)) > 20
    predicted = [cost_of(costs, assignment, Budget.CYCLES) for assignment in whole]
    assert predicted != taken
    for limit in np.quantile(taken, [0, 0.1, 0.2, 0.4, 0.6, 0.8, 1]):
        budgets = {Budget.CYCLES: float(limit)}
        (found,) = compiled_allocations(trained.model, costs, sensitivities, budgets, **COMPILED)
        place = whole.index(dict(found.allocation.widths))
        assert found.cycles == taken[place] <= limit
        best = min(e for e, count in zip(errors, taken, strict=True) if count <= limit)
        assert errors[place] == best
    with pytest.raises(
        DownshiftError, match=rf"cycles is below the least possible, {min(taken):,}"
    ):
        below = {Budget.CYCLES: min(taken) - 1.0}
        compiled_allocations(trained.model, costs, sensitivities, below, **COMPILED)


def test_programs_that_are_too_large_are_passed_over(trained, costs):
    def cycles(graph, width):
        if [layer.settings[width].weight_width for layer in graph.layers[1:3]] == [4, 8]:
            raise DownshiftError("too large")
        return table_cycles(graph, width)

    def refuse(graph, width):
        raise DownshiftError("too large")

    options = COMPILED | {"cycles": cycles}
    given = layer_costs(trained.model, WIDTHS, **options)
    assert given["block1.conv2"].cycles[8, 4] > 10 * given["block1.conv2"].cycles[8, 8]
    # Of all that the program finds with the costs of another accelerator, what compiles is taken.
    wanted = {"block1.conv1": 4, "block1.conv2": 8}
    errors = {
        path: replace(cost, errors={w: float(w != wanted.get(cost.root, 8)) for w in cost.errors})
        for path, cost in costs.items()
    }
    budgets = {Budget.CYCLES: 1e9}
    best = allocate(errors, dict.fromkeys(costs, 1.0), budgets)[0]
    assert wanted.items() <= best.widths.items()
    found = compiled_allocations(
        trained.model, errors, dict.fromkeys(costs, 1.0), budgets, **options
    )[0]
    assert found.allocation.error == best.error + 1
    with pytest.raises(DownshiftError, match=r"^too large$"):
        layer_costs(trained.model, WIDTHS, input_shape=(8, 8, 1), cycles=refuse)


def test_sixty_layers_take_less_than_seconds(costs):
    rng = np.random.default_rng(0)
    template = costs["block1.conv2"]
    layers = {}
    for index in range(60):
        path, source = f"l{index}", f"l{index - 1}" if index else None
        table = {(a, b): int(rng.integers(10, 1000) * a * b) for a in WIDTHS for b in WIDTHS}
        layers[path] = replace(
            template, path=path, root=path, source_root=source,
            errors={w: float(rng.random() * 4.0 ** (8 - w)) for w in WIDTHS},
            cycles=table if source else {(a, 0): table[a, 8] for a in WIDTHS},
        )  # fmt: skip
    ends = [cost_of(layers, uniform(layers, width), Budget.CYCLES) for width in (2, 8)]
    sensitivities = {path: float(rng.random()) for path in layers}
    (found,) = allocate(layers, sensitivities, {Budget.CYCLES: sum(ends) / 2})
    assert found.status == "optimal"
    assert cost_of(layers, found.widths, Budget.CYCLES) <= sum(ends) / 2
