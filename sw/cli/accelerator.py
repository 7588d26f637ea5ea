"""The accelerator that a command is about: a board's own, or the large one."""

from pathlib import Path

__all__ = ["accelerator_config", "built_config"]


def accelerator_config(board: str | None, *, tables: bool, graph=None, path: Path | None = None):
    """Return the configuration that --board, --tables and --config ask for.

    Parameters
    ----------
    board : str or None
        Name of a board; without one, its own accelerator is the default `AcceleratorConfig`.
    tables : bool
        The large accelerator instead of the board's own. It multiplies as exactly as `graph` asks.
    graph : IntegerGraph, optional
        If it is not a chain, the board's own accelerator is one that runs all layers, where it can
        be.
    path : Path, optional
        File that describes the accelerator.

    Returns
    -------
    AcceleratorConfig or TableConfig

    Raises
    ------
    DownshiftError
        If there is no such board, or the file describes no accelerator.
    """
    from downshift.boards import find
    from downshift.hw.config import AcceleratorConfig
    from downshift.hw.errors import DownshiftError
    from downshift.hw.table_config import TableConfig
    from downshift.sw.compile.compiler import suited
    from downshift.sw.compile.config_file import read_config

    own = AcceleratorConfig() if board is None else find(board).config
    if path is not None:
        if tables:
            raise DownshiftError(f"{path} is the accelerator to take; leave --tables out")
        return read_config(path)
    if not tables:
        return own if graph is None else suited(own, graph)
    return TableConfig() if graph is None else TableConfig(multiplier_width=graph.multiplier_width)


def built_config(board: str, *, tables: bool, graph, path: Path | None):
    """Return the configuration that `downshift build` gives a network; arguments as above.

    Raises
    ------
    DownshiftError
        Also if the board holds no accelerator that runs the network.
    """
    from downshift.boards import find
    from downshift.boards.fit import can_fit, fit

    if tables or path is not None or not can_fit(find(board)):
        return accelerator_config(board, tables=tables, graph=graph, path=path)
    return fit(find(board), graph).chosen.config
