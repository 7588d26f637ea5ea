"""Families of FPGAs, by the name that boards give them."""

from downshift.boards.families.ecp5 import Ecp5
from downshift.boards.families.family import Family
from downshift.boards.families.gowin import Gowin
from downshift.boards.families.ice40 import Ice40

__all__ = ["FAMILIES", "Family"]

FAMILIES: dict[str, Family] = {family.name: family for family in (Ecp5(), Ice40(), Gowin())}
"""By `Board.family`."""
