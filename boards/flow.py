"""What yosys, nextpnr and the packers are told: constraint files and command lines."""

from downshift.boards.board import Board
from downshift.boards.families import FAMILIES
from downshift.boards.families.family import TOP, Config, RoutedFamily, Step, is_table

__all__ = [
    "build_script", "constraints", "place_step", "steps", "synthesis_script", "synthesis_steps",
]


def constraints(board: Board) -> tuple[str, str]:
    """Return name and text of the constraint file: pins and the frequency of ``clk``."""
    return FAMILIES[board.family].constraints(board)


def synthesis_script(board: Board, config: Config | None = None) -> str:
    """Return the Yosys script: the Verilog to a netlist of the family's cells.

    The netlist of a `TableConfig` is flat, so that each cell can be told where it stands.

    No memory of the accelerator is read where it is written in the same cycle, unless what was read
    does not count, so Yosys need not rebuild what Verilog says about that case.
    """
    lines = [
        f"read_verilog {TOP}.v",
        *FAMILIES[board.family].synthesis(),
        "check -noinit -assert",
        "tee -q -o synthesis.json stat -json",
    ]
    if config and is_table(config):
        lines += ["setattr -mod -unset keep_hierarchy *", "flatten", "delete t:$scopeinfo"]
    lines.append(f"write_json {TOP}.json")
    return "\n".join([*lines, ""])


def steps(board: Board, config: Config, *, seed: int) -> tuple[Step, ...]:
    """Return the tools of the flow, in order; the bitstream is the last argument of the last.

    Where only the maker's tools place and route, synthesis is all.
    """
    synthesis, family = synthesis_steps(board, config), FAMILIES[board.family]
    if not isinstance(family, RoutedFamily):
        return synthesis
    return (*synthesis, place_step(board, config, seed=seed), family.packing(board))


def synthesis_steps(board: Board, config: Config) -> tuple[Step, ...]:
    """Return the tools that give the netlist ``top.json`` and its cells, ``synthesis.json``."""
    synthesis = Step(
        title="Synthesising with yosys",
        tool="downshift.boards.synthesize",
        arguments=("synthesis.ys",),
        log="synthesis.log",
    )
    return (synthesis, *FAMILIES[board.family].after_synthesis(board, config))


def place_step(board: Board, config: Config, *, seed: int) -> Step:
    """Return the tool that places and routes the netlist, and writes ``report.json``."""
    family = FAMILIES[board.family]
    assert isinstance(family, RoutedFamily)
    return Step(
        title=f"Placing and routing with {family.nextpnr.removeprefix('yowasp-')}",
        tool=family.nextpnr,
        arguments=(
            *board.chip.options,
            *board.package,
            *("--json", f"{TOP}.json", "--freq", f"{board.clock_hz / 1e6:g}", "--seed", str(seed)),
            *("--timing-allow-fail", "--report", "report.json"),
            *family.placement(board, config),
            *family.files(board),
        ),
        log="place_and_route.log",
    )


def build_script(board: Board, config: Config, *, seed: int) -> str:
    """Return a shell script with exactly the commands of `steps`."""
    lines = [
        "#!/bin/sh",
        f"# Build the bitstream for {board.title} ({board.part}) from {TOP}.v.",
        "# Needs: pip install 'downshift[fpga]'; other builds of the same tools do as well.",
        "set -e",
        'cd "$(dirname "$0")"',
    ]
    for step in steps(board, config, seed=seed):
        lines += ["", f"# {step.title}.", step.command]
    if "build.tcl" in FAMILIES[board.family].project(board):
        lines += ["", "# The bitstream, by Vivado.", "vivado -mode batch -source build.tcl"]
    return "\n".join([*lines, ""])
