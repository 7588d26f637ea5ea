"""Families of FPGAs, by the name that boards give them."""

from downshift.boards.families.ecp5 import Ecp5
from downshift.boards.families.family import Family
from downshift.boards.families.gowin import Gowin
from downshift.boards.families.ice40 import Ice40
from downshift.boards.families.xilinx7 import Xilinx7

__all__ = ["FAMILIES", "Family"]

FAMILIES: dict[str, Family] = {
    family.name: family for family in (Ecp5(), Gowin(), Ice40(), Xilinx7())
}
"""By `Board.family`."""
