"""Where the ports of a board's top module are: `board_pins`."""

from collections.abc import Mapping
from importlib import import_module

from downshift.boards.board import Board, Pin
from downshift.hw.errors import DownshiftError

__all__ = ["board_pins"]


def board_pins(board: Board, *, pull_up: Mapping[str, str]) -> dict[str, Pin]:
    """Return the pins of a board by port: ``clk``, ``rx``, ``tx``, and those of `Board.held_high`.

    What `Board.pins` does not tell, amaranth-boards does.

    Parameters
    ----------
    board : Board
    pull_up : mapping of str to str
        Settings of ``rx``, whose line is high when nobody drives it.

    Raises
    ------
    DownshiftError
        If neither knows a pin.
    """
    pins = {**_vendor_pins(board), **board.pins}
    ports = ("clk", "rx", "tx", *board.held_high)
    for port in ports:
        if port not in pins:
            raise DownshiftError(f"{board.name} has no pin for {port}; give it in pins")
    pins["rx"] = Pin(pins["rx"].site, {**pins["rx"].attributes, **pull_up})
    return {port: pins[port] for port in ports}


def _vendor_pins(board: Board) -> dict[str, Pin]:
    """The oscillator and the serial port, where amaranth-boards knows them."""
    if board.platform is None:
        return {}
    module, name = board.platform.split(":")
    platform = getattr(import_module(f"amaranth_boards.{module}"), name)
    pins = {}
    for resource in platform.resources:
        if (resource.name, resource.number) == (board.clock, 0):
            pins["clk"] = _pin(resource)
        elif (resource.name, resource.number) == ("uart", 0):
            pins.update((part.name, _pin(resource, part)) for part in resource.ios)
    return pins


def _pin(resource, *parts) -> Pin:
    """The only pin of a resource or of its part."""
    described = (resource, *parts)
    ((site,),) = (pins.names for pins in described[-1].ios)
    attributes = {key: value for item in described for key, value in item.attrs.items()}
    return Pin(site, {key: str(value) for key, value in attributes.items()})
