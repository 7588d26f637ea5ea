"""The accelerator that a command is about: a board's own, or the large one."""

__all__ = ["accelerator_config"]


def accelerator_config(board: str, *, tables: bool, graph=None):
    """Return the configuration that --board and --tables ask for.

    Parameters
    ----------
    board : str
        Name of a board.
    tables : bool
        The large accelerator instead of the board's own. It multiplies as exactly as `graph` asks.
    graph : IntegerGraph, optional

    Returns
    -------
    AcceleratorConfig or TableConfig

    Raises
    ------
    DownshiftError
        If there is no such board.
    """
    from downshift.boards import find
    from downshift.hw.table_config import TableConfig

    own = find(board).config
    if not tables:
        return own
    return TableConfig() if graph is None else TableConfig(multiplier_width=graph.multiplier_width)
