"""Tables and pictures of what `accuracy.py` has measured."""

from collections import defaultdict
from math import nan
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import matplotlib

matplotlib.use("agg")
from matplotlib import pyplot as plt

__all__ = ["write_report"]

HEAD = """# Results

Written by `python benchmarks/accuracy.py` from `results.json` beside it: per cent of the whole test
part that are labelled right, mean over the seeds and standard deviation. Integer arithmetic, but
for the roundings `floor` and `floor + half`, which no accelerator here has. All experiments of a
data set and seed start from the same FP32 network; first and last layer have 8 bits. Of the
autoencoder it is the share of the images' variance that is explained.

`joint` has double rounding, ALRS as intended, a step after every width, and no distillation. The
rows below it change one thing each; `distilled, star` is what `downshift train` does by default.
`separate` trains a network for every width on its own, stored in so many bits. The last column
compares seed by seed, with the standard error of the mean difference.

`scales corrected by width` and `centred at 2 bits` are options of `prepare` and of a run's
settings, in integers to the last bit like everything else, and off by default: neither gains more
than the seeds differ, and centred weights of 2 bits cost what weights of 3 bits do.
"""

MIXED = """Written by `python benchmarks/mixed_precision.py`: test accuracy over cycles of the large
accelerator. Networks are chosen by the integer program, drawn at random within the same limits, or
of one width; they are taken from the network trained at all widths, and from supernets trained on
for as many epochs again, all of 20,000 images. The area under a front is given as a mean accuracy.
Batch norms have their statistics taken afresh for every network."""


def write_report(results: list[dict[str, Any]], docs: Path) -> None:
    """Write ``results.md`` and its pictures."""
    suites, mixed = defaultdict(list), defaultdict(list)
    for result in sorted(results, key=lambda entry: entry["seed"]):
        group = mixed if result.get("mixed") else suites
        group[(result["dataset"], result["network"], result["epochs"])].append(result)
    text = [HEAD]
    for (dataset, network, _), entries in suites.items():
        text += _suite(dataset, network, entries, docs)
    for (dataset, network, _), entries in mixed.items():
        text += _mixed(dataset, network, entries, docs)
    (docs / "results.md").write_text("\n".join(text))


def _suite(dataset: str, network: str, entries: list[dict], docs: Path) -> list[str]:
    groups = defaultdict(list)
    for entry in entries:
        groups[entry["experiment"]].append(entry)
    single = {name: group for name, group in groups.items() if " / " not in name}
    grid = {name: group for name, group in groups.items() if " / " in name}
    first = entries[0]
    names = {name for entry in entries for name in entry["accuracy"]} - {"mixed"}
    widths = sorted(names, key=int, reverse=True)
    seeds = sorted({entry["seed"] for entry in entries})
    fp32 = {entry["seed"]: entry["fp32"] for entry in entries}
    text = [f"## {dataset}, {network}", "", _how(first, fp32, seeds), ""]
    if single:
        picture = f"results-{dataset}-{network}.png"
        text += [*_single(single, widths), "", f"![Accuracy by width]({picture})", ""]
        _plot(single, widths, mean(fp32.values()), f"{dataset}, {network}", docs / picture)
    if grid:
        text += _grid(grid, widths)
    return text


def _single(groups: dict[str, list[dict]], widths: list[str]) -> list[str]:
    """A row for each experiment."""
    heads = [*(f"{width} bit" for width in widths), f"{widths[-1]} bit, against joint", "seeds"]
    text = ["| | " + " | ".join(heads) + " |", "|---" * (len(heads) + 1) + "|"]
    for name, group in groups.items():
        cells = [
            _share([e["accuracy"][width] for e in group if width in e["accuracy"]])
            for width in widths
        ]
        cells.append(_against(group, groups.get("joint", []), widths[-1]))
        text.append(f"| {name} | " + " | ".join(cells) + f" | {len(group)} |")
    return text


def _mixed(dataset: str, network: str, entries: list[dict], docs: Path) -> list[str]:
    """Fronts of accuracy over cycles."""
    first, names = entries[0], list(entries[0]["fronts"])
    picture = f"mixed-{dataset}-{network}.png"
    fp32 = {entry["seed"]: entry["fp32"] for entry in entries}
    text = [
        f"## Mixed precision: {dataset}, {network}",
        "",
        _how(first, fp32, sorted(fp32)),
        "",
        MIXED,
        "",
        "| networks | area under the front, % |",
        "|---|---|",
    ]
    text += [
        f"| {name} | {_share([entry['hypervolumes'][name] for entry in entries])} |"
        for name in names
    ]
    text += [
        "",
        "| drawn networks from | spread before settling | after | gain |",
        "|---|---|---|---|",
    ]
    for name in first["spreads"]:
        cells = [
            _share([entry["spreads"][name][part] for entry in entries])
            for part in ("before", "after", "gain")
        ]
        text.append(f"| {name} | " + " | ".join(cells) + " |")
    taus = ", ".join(f"{entry['kendall_tau']:.2f}" for entry in entries)
    text += [
        "",
        f"Kendall's tau of the program's error and test accuracy, by seed: {taus}.",
        "",
        f"![Fronts]({picture})",
        "",
    ]
    figure, axes = plt.subplots(figsize=(8, 4.5), layout="constrained")
    for index, name in enumerate(names):
        for entry in entries:
            points = sorted(entry["fronts"][name])
            axes.plot(
                [cost for cost, _ in points],
                [100 * share for _, share in points],
                "so^"[index % 3] if "program" not in name else "-o",
                color=f"C{index // 3}",
                markersize=4,
                alpha=0.9 if "program" in name else 0.4,
                label=name if entry is first else None,
            )
    axes.set_xlabel("cycles of a frame")
    axes.set_ylabel("test accuracy, %")
    axes.legend(fontsize=7, ncols=3)
    figure.savefig(docs / picture, dpi=110)
    plt.close(figure)
    return text


def _how(first: dict, fp32: dict[int, float], seeds: list[int]) -> str:
    return (
        f"{first['float_epochs']} epochs in FP32 ({_share(list(fp32.values()))} %), then "
        f"{first['epochs']} at all widths; seeds {', '.join(map(str, seeds))}; {first['machine']}."
    )


def _grid(grid: dict[str, list[dict]], widths: list[str]) -> list[str]:
    """Every combination, and the mean over all others of each choice."""
    parts = ("rounding", "ALRS", "stepping", "distillation", "supernet")
    columns = [*widths, "mixed"]
    heads = [*(f"{width} bit" for width in widths), "mixed"]
    effects = defaultdict(list)
    for name, group in grid.items():
        for part, choice in zip(parts, name.split(" / "), strict=True):
            effects[(part, choice)] += group
    text = [
        "Every combination of the parts: mean over all that share a choice. As many epochs again",
        "follow, with HASB as a supernet by the Hessian's traces, else as before; `mixed` is the",
        "network of 3 bits on average that the integer program chooses, judged in floating point",
        "with the statistics of batch norms taken afresh.",
        "",
        "| part | choice | " + " | ".join(heads) + " | runs |",
        "|---" * (len(heads) + 3) + "|",
    ]
    for (part, choice), group in sorted(effects.items()):
        cells = [_share([entry["accuracy"][column] for entry in group]) for column in columns]
        text.append(f"| {part} | {choice} | " + " | ".join(cells) + f" | {len(group)} |")
    text += [
        "",
        "<details><summary>All combinations</summary>",
        "",
        f"| {' / '.join(parts)} | " + " | ".join(heads) + " |",
        "|---" * (len(heads) + 1) + "|",
    ]
    for name, group in grid.items():
        cells = [_share([entry["accuracy"][column] for entry in group]) for column in columns]
        text.append(f"| {name} | " + " | ".join(cells) + " |")
    return [*text, "", "</details>", ""]


def _against(group: list[dict], joint: list[dict], width: str) -> str:
    """Mean difference, seed by seed, and its standard error."""
    theirs = {entry["seed"]: entry["accuracy"][width] for entry in joint}
    gains = [
        100 * (entry["accuracy"][width] - theirs[entry["seed"]])
        for entry in group
        if entry["seed"] in theirs
    ]
    if not gains or group is joint:
        return "–"
    error = f" ± {stdev(gains) / len(gains) ** 0.5:.2f}" if len(gains) > 1 else ""
    return f"{mean(gains):+.2f}{error}"


def _share(values: list[float]) -> str:
    if not values:
        return "–"
    spread = f" ± {100 * stdev(values):.2f}" if len(values) > 1 else ""
    return f"{100 * mean(values):.2f}{spread}"


def _plot(groups: dict[str, list[dict]], widths: list[str], fp32: float, title: str, path: Path):
    figure, axes = plt.subplots(figsize=(8, 4.5), layout="constrained")
    step = 0.8 / max(1, len(groups))
    for index, (name, group) in enumerate(groups.items()):
        places = [k + step * (index - (len(groups) - 1) / 2) for k in range(len(widths))]
        shown = [[100 * entry["accuracy"].get(w, nan) for w in widths] for entry in group]
        for shares in shown:
            axes.plot(places, shares, "o", markersize=3, color=f"C{index % 10}", alpha=0.6)
        means = [mean(shares) for shares in zip(*shown, strict=True)]
        mark = "_" if index < 10 else "x"
        axes.plot(places, means, mark, markersize=9, color=f"C{index % 10}", label=name)
    axes.axhline(100 * fp32, color="grey", linewidth=0.8, linestyle="--", label="FP32")
    axes.set_xticks(range(len(widths)), [f"{width} bit" for width in widths])
    axes.set_ylabel("test accuracy, %")
    axes.set_title(title)
    axes.legend(fontsize=7, ncols=2)
    figure.savefig(path, dpi=110)
    plt.close(figure)
