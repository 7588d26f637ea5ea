"""What yosys, nextpnr and the packers are told: constraint files and command lines."""

import shlex
from dataclasses import dataclass

from downshift.boards.board import Board
from downshift.boards.verilog import TOP
from downshift.hw.config import AcceleratorConfig
from downshift.hw.table_config import TableConfig

__all__ = [
    "Step", "build_script", "constraints", "place_step", "steps", "synthesis_script",
    "synthesis_steps",
]


ECP5_LUTS = ("check -latchonly -assert", "abc -lut 4", "clean")
ICE40_LUTS = (
    "check -latchonly -assert",
    "abc -lut 4",
    "ice40_wrapcarry -unwrap",
    "techmap -map +/ice40/ff_map.v",
    "clean",
    "opt_lut -tech ice40",
)
"""What ``synth_ecp5`` and ``synth_ice40`` do at ``map_luts``, but for abc9."""

FLOORPLANNED = "LFE5U-85F"
"""Device on which `downshift.boards.floorplan` knows where hard blocks are."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """One tool of the flow, run in the folder of the Verilog."""

    title: str
    """What it does, for a progress line."""
    tool: str
    """Name of its command, or of a Python module with ``-m`` before it."""
    arguments: tuple[str, ...]
    log: str
    """File that takes what it prints."""

    @property
    def command(self) -> str:
        """Shell command."""
        program = ["python3", "-m", self.tool] if "." in self.tool else [self.tool]
        return shlex.join([*program, *self.arguments]) + f" > {self.log} 2>&1"


def constraints(board: Board) -> tuple[str, str]:
    """Return name and text of the constraint file: pins and the frequency of ``clk``."""
    mhz = f"{board.oscillator_hz / 1e6:g}"
    if board.family == "ice40":
        lines = [
            " ".join(["set_io", *pin.attributes, port, pin.site])
            for port, pin in board.pins.items()
        ]
        return f"{TOP}.pcf", "\n".join([*lines, f"set_frequency clk {mhz}", ""])
    lines = ["BLOCK ASYNCPATHS;", "BLOCK RESETPATHS;"]
    for port, pin in board.pins.items():
        lines.append(f'LOCATE COMP "{port}" SITE "{pin.site}";')
        lines.append(f'IOBUF PORT "{port}" {" ".join(pin.attributes)};')
    return f"{TOP}.lpf", "\n".join([*lines, f'FREQUENCY PORT "clk" {mhz} MHZ;', ""])


def synthesis_script(board: Board, config: AcceleratorConfig | TableConfig | None = None) -> str:
    """Return the Yosys script: the Verilog to a netlist of the family's cells.

    The netlist of a `TableConfig` is flat, so that each cell can be told where it stands.

    Look-up tables are mapped by abc instead of the default abc9: in a third of the time to fewer of
    them, and abc9 of Yosys 0.70 has been seen to tie outputs of two block memories together.

    No memory of the accelerator is read where it is written in the same cycle, unless what was read
    does not count, so Yosys need not rebuild what Verilog says about that case.
    """
    synth, map_luts, finish = {
        "ecp5": ("synth_ecp5 -no-rw-check", ECP5_LUTS, ()),
        # Registers that a multiplier took in start at zero, as their wires still ask for.
        "ice40": (
            "synth_ice40 -no-rw-check -device u -dsp -spram",
            ICE40_LUTS,
            ("setattr -unset init */w:*",),
        ),
    }[board.family]
    lines = [
        f"read_verilog {TOP}.v",
        f"{synth} -top {TOP} -run begin:map_luts",
        *map_luts,
        f"{synth} -top {TOP} -run map_cells:",
        *finish,
        "check -noinit -assert",
        "tee -q -o synthesis.json stat -json",
    ]
    if isinstance(config, TableConfig):
        lines += ["setattr -mod -unset keep_hierarchy *", "flatten", "delete t:$scopeinfo"]
    lines.append(f"write_json {TOP}.json")
    return "\n".join([*lines, ""])


def steps(
    board: Board, config: AcceleratorConfig | TableConfig, *, seed: int
) -> tuple[Step, ...]:
    """Return the tools of the flow, in order, with ``top.bit`` or ``top.bin`` at the end."""
    return (
        *synthesis_steps(board, config),
        place_step(board, config, seed=seed),
        _pack_step(board),
    )


def synthesis_steps(board: Board, config: AcceleratorConfig | TableConfig) -> tuple[Step, ...]:
    """Return the tools that give the netlist ``top.json`` and its cells, ``synthesis.json``."""
    synthesis = Step(
        title="Synthesising with yosys",
        tool="downshift.boards.synthesize",
        arguments=("synthesis.ys",),
        log="synthesis.log",
    )
    if not isinstance(config, TableConfig) or board.family != "ecp5":
        return (synthesis,)
    return (
        synthesis,
        Step(
            title="Sparing nextpnr what carry chains do not need",
            tool="downshift.boards.carry_cells",
            arguments=(f"{TOP}.json",),
            log="carry_cells.log",
        ),
        *_floorplan_steps(board),
    )


def _floorplan_steps(board: Board) -> tuple[Step, ...]:
    if not board.device.startswith(FLOORPLANNED):
        return ()
    return (
        Step(
            title="Giving block memories and multipliers their places",
            tool="downshift.boards.floorplan",
            arguments=(f"{TOP}.json",),
            log="floorplan.log",
        ),
    )


def place_step(
    board: Board, config: AcceleratorConfig | TableConfig, *, seed: int
) -> Step:
    """Return the tool that places and routes the netlist, and writes ``report.json``.

    The table style is placed by nextpnr's static placer: with an eighth less wire than by its
    default, which makes the difference between designs that route and designs that do not.
    """
    name, _ = constraints(board)
    place = [
        *board.place_options,
        *("--json", f"{TOP}.json", "--freq", f"{board.clock_hz / 1e6:g}", "--seed", str(seed)),
        *("--timing-allow-fail", "--report", "report.json"),
    ]
    if isinstance(config, TableConfig):
        place += ["--placer", "static", "--router", "router2"]
    if board.family == "ecp5":
        place += ["--lpf", name, "--textcfg", f"{TOP}.config"]
    else:
        place += ["--pcf", name, "--asc", f"{TOP}.asc"]
    return Step(
        title=f"Placing and routing with nextpnr-{board.family}",
        tool=f"yowasp-nextpnr-{board.family}",
        arguments=tuple(place),
        log="place_and_route.log",
    )


def _pack_step(board: Board) -> Step:
    if board.family == "ecp5":
        tool, arguments = "yowasp-ecppack", ("--compress", f"{TOP}.config", f"{TOP}.bit")
    else:
        tool, arguments = "yowasp-icepack", (f"{TOP}.asc", f"{TOP}.bin")
    return Step(title="Packing the bitstream", tool=tool, arguments=arguments, log="pack.log")


def build_script(
    board: Board, config: AcceleratorConfig | TableConfig, *, seed: int
) -> str:
    """Return a shell script with exactly the commands of `steps`."""
    lines = [
        "#!/bin/sh",
        f"# Build the bitstream for {board.title} ({board.device}) from {TOP}.v.",
        "# Needs: pip install 'downshift[fpga]'; other builds of the same tools do as well.",
        "set -e",
        'cd "$(dirname "$0")"',
    ]
    for step in steps(board, config, seed=seed):
        lines += ["", f"# {step.title}.", step.command]
    return "\n".join([*lines, ""])
