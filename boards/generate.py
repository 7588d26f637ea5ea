"""The Verilog of a whole board, its constraints and the script that builds it: `generate`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from downshift.boards.board import Board
from downshift.boards.families import FAMILIES
from downshift.boards.flow import build_script, constraints, synthesis_script
from downshift.hw.config import AcceleratorConfig
from downshift.hw.table_config import TableConfig
from downshift.sw.atomic_write import atomic_folder

__all__ = ["Core", "generate", "source_files"]

Core = Callable[..., Any]
"""Makes the accelerator from ``config``, ``divisor``, ``features`` and ``fabric``; see
`downshift.hw.top.Top`."""


def generate(
    board: Board,
    config: AcceleratorConfig | TableConfig | None,
    out: Path,
    *,
    seed: int = 1,
    core: Core | None = None,
) -> Path:
    """Write the Verilog of a whole board, its constraints, and the script that builds it.

    Parameters
    ----------
    board : Board
    config : AcceleratorConfig, TableConfig or None
        The board's own by default.
    out : Path
        Folder for ``top.v``, ``top.lpf`` or ``top.pcf``, ``synthesis.ys`` and ``build.sh``;
        created if it is missing.
    seed : int
        Of place and route, in ``build.sh``.
    core : callable, optional
        Another accelerator than `downshift.hw.top.Top`.

    Returns
    -------
    Path
        The Verilog.

    Raises
    ------
    DownshiftError
        If the PLL cannot make the clock of the board, or `out` cannot be written.
    """
    # Amaranth takes longer to load than a list of boards may.
    from downshift.boards.clocking import dividers
    from downshift.boards.verilog import board_verilog

    if core is None:
        from downshift.hw.top import Top

        core = Top
    config = config or board.config
    dividers(board)
    accelerator = core(
        config=config,
        divisor=board.divisor,
        features=board.features,
        fabric=FAMILIES[board.family].fabric(),
    )
    verilog = board_verilog(board, accelerator)
    name, pins = constraints(board)
    with atomic_folder(out) as folder:
        (folder / "top.v").write_text(verilog)
        (folder / name).write_text(pins)
        (folder / "synthesis.ys").write_text(synthesis_script(board, config))
        for script, text in FAMILIES[board.family].project(board).items():
            (folder / script).write_text(text)
        (folder / "build.sh").write_text(build_script(board, config, seed=seed))
        (folder / "build.sh").chmod(0o755)
    return Path(out) / "top.v"


def source_files(board: Board) -> tuple[str, ...]:
    """Return the names of what `generate` writes."""
    scripts = FAMILIES[board.family].project(board)
    return ("top.v", constraints(board)[0], "synthesis.ys", "build.sh", *scripts)
