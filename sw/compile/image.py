"""The image: what the accelerator loads, compiled for one configuration, as a file."""

import json
import math
import struct
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import IntEnum
from pathlib import Path

import numpy as np

from downshift.hw.config import AcceleratorConfig, DspConfig
from downshift.hw.errors import DownshiftError
from downshift.hw.protocol import IMAGE_FORMAT
from downshift.hw.region import Region
from downshift.hw.table_config import TableConfig
from downshift.sw.compile.input_fold import InputFold
from downshift.sw.compile.memory_plan import Map
from downshift.sw.compile.word_map import WordMap

__all__ = ["Image", "Section", "section_table"]

MAGIC = b"DWNSHIFT"
HEADER = struct.Struct("<8sIII")  # magic, version, fingerprint, number of sections
ENTRY = struct.Struct("<IIII")  # section, offset, length, CRC-32
MAX_SECTIONS = 16
STYLES = {
    "brick": (AcceleratorConfig, Map),
    "dsp": (DspConfig, Map),
    "table": (TableConfig, WordMap),
}
"""Configuration and maps, by name of the style."""
STYLE_NAMES = {config: name for name, (config, _) in STYLES.items()}


class Section(IntEnum):
    """Parts of an image; the first three go to the regions of the same numbers."""

    PROGRAM = 1
    WEIGHTS = 2
    PARAMETERS = 3
    PLAN = 16
    """JSON for the host: configuration, network, maps; never sent."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Image:
    """A compiled network.

    Parameters
    ----------
    config : AcceleratorConfig or TableConfig
    network : str
    input_scale : float
        Real value of one input code.
    macs : int
        Multiply-accumulates of one image.
    maps : mapping of int to tuple of Map or WordMap
        By width: the input and every layer's output.
    program, weights, parameters : bytes
        Contents of the stores.
    input_fold : InputFold, optional
        How inputs are folded into the map that enters.
    input_offset : float
        Real value of input code 0.
    """

    config: AcceleratorConfig | TableConfig
    network: str
    input_scale: float
    macs: int
    maps: Mapping[int, tuple[Map, ...]] | Mapping[int, tuple[WordMap, ...]]
    program: bytes
    weights: bytes
    parameters: bytes
    input_fold: InputFold | None = None
    input_offset: float = 0.0

    @property
    def widths(self) -> tuple[int, ...]:
        """Widths the network runs at, highest first."""
        return tuple(sorted(self.maps, reverse=True))

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(height, width, channels) of the codes that enter."""
        fold = self.input_fold
        return self.maps[self.widths[0]][0].shape if fold is None else fold.shape

    @property
    def input_bits(self) -> int:
        """Bits of the codes that enter, at the width that takes the fewest."""
        return min(maps[0].width for maps in self.maps.values())

    def sections(self) -> dict[Section, bytes]:
        """What the accelerator loads, by section."""
        return {
            Section.PROGRAM: self.program,
            Section.WEIGHTS: self.weights,
            Section.PARAMETERS: self.parameters,
        }

    def checksum(self, section: Section) -> int:
        """CRC-32 of a section."""
        return zlib.crc32(self.sections()[section])

    def claim(self, section: Section) -> bytes:
        """Checksum and length of a section, as CHECK and SCRUB have them."""
        length = len(self.sections()[section])
        return self.checksum(section).to_bytes(4, "little") + length.to_bytes(3, "little")

    def to_bytes(self) -> bytes:
        """Encode as a file: header, section table, CRC-32 of both, sections."""
        plan = {
            "style": STYLE_NAMES[type(self.config)],
            "config": asdict(self.config),
            "network": self.network,
            "input_scale": self.input_scale,
            "input_offset": self.input_offset,
            "macs": self.macs,
            "input_fold": self.input_fold and asdict(self.input_fold),
            "maps": {str(w): [asdict(entry) for entry in maps] for w, maps in self.maps.items()},
        }
        bodies = {**self.sections(), Section.PLAN: json.dumps(plan, sort_keys=True).encode()}
        header = HEADER.pack(MAGIC, IMAGE_FORMAT, self.config.fingerprint, len(bodies))
        offset = HEADER.size + len(bodies) * ENTRY.size + 4
        for section, body in bodies.items():
            header += ENTRY.pack(section, offset, len(body), zlib.crc32(body))
            offset += len(body)
        return header + struct.pack("<I", zlib.crc32(header)) + b"".join(bodies.values())

    @classmethod
    def from_bytes(cls, content: bytes, *, name: str = "image") -> "Image":
        """Decode a file.

        Parameters
        ----------
        content : bytes
        name : str
            What to call it in an error.

        Raises
        ------
        DownshiftError
            If it is not a whole and undamaged image of this format version.
        """
        bodies = _read_sections(content, name)
        if missing := [section.name for section in Section if section not in bodies]:
            raise DownshiftError(f"{name} lacks its section {missing[0]}; export it again")
        try:
            plan = json.loads(bodies[Section.PLAN])
            config_type, map_type = STYLES[plan["style"]]
            image = cls(
                config=config_type(**plan["config"]),
                network=str(plan["network"]),
                input_scale=float(plan["input_scale"]),
                macs=int(plan["macs"]),
                maps={
                    int(width): tuple(
                        map_type(**{**entry, "shape": tuple(entry["shape"])}) for entry in maps
                    )
                    for width, maps in plan["maps"].items()
                },
                program=bodies[Section.PROGRAM],
                weights=bodies[Section.WEIGHTS],
                parameters=bodies[Section.PARAMETERS],
                input_fold=_fold(plan["input_fold"]),
                input_offset=float(plan.get("input_offset", 0.0)),  # the first had none
            )
            _check_plan(image)
        except (ArithmeticError, LookupError, RecursionError, TypeError, ValueError) as error:
            raise DownshiftError(f"{name} has no valid plan ({error}); export it again") from None
        except AttributeError:  # a list where an object belongs, or the like
            raise DownshiftError(f"{name} has no valid plan; export it again") from None
        if image.config.fingerprint != HEADER.unpack_from(content)[2]:
            raise DownshiftError(f"{name} contradicts its own fingerprint; export it again")
        return image

    @classmethod
    def load(cls, path: Path) -> "Image":
        """Read a file; see `from_bytes`."""
        try:
            content = path.read_bytes()
        except OSError as error:
            raise DownshiftError(f"Cannot read image {path}: {error.strerror}") from None
        return cls.from_bytes(content, name=str(path))

    def map(self, name: str, width: int) -> "Map | WordMap":
        """The map that a layer gives at a width."""
        for entry in self.maps.get(width, ()):
            if entry.name == name:
                return entry
        raise DownshiftError(f"The image has no map {name!r} at width {width!r}")

    def encode_input(self, codes: np.ndarray, width: int) -> bytes:
        """Lay out one input, uint8 of (height, width, channels), as the accelerator reads it."""
        source, fold, shape = self.maps[width][0], self.input_fold, self.input_shape
        if codes.dtype != np.uint8 or codes.shape != shape:
            raise DownshiftError(
                f"Input must be uint8 of shape {shape}, not {codes.dtype} of shape {codes.shape}"
            )
        if isinstance(source, WordMap) and fold is not None:
            codes = fold.fold(codes, zero_point=source.zero_point)
        return source.encode(codes)


def _fold(fields: dict | None) -> InputFold | None:
    """The fold that a plan describes."""
    return None if fields is None else InputFold(**{k: tuple(v) for k, v in fields.items()})


def _check_plan(image: Image) -> None:
    """Raise ValueError unless the accelerator of the configuration can hold what the plan says."""
    config = image.config
    if not (math.isfinite(image.input_scale) and image.input_scale > 0):
        raise ValueError(f"input_scale must be positive, not {image.input_scale!r}")
    if not math.isfinite(image.input_offset):
        raise ValueError(f"input_offset must be finite, not {image.input_offset!r}")
    if image.macs < 0:
        raise ValueError(f"macs must not be negative, not {image.macs!r}")
    for section, body in image.sections().items():
        word_bytes, depth = config.regions[Region(section)]
        size = len(body)
        if size % word_bytes or size > depth * word_bytes:
            raise ValueError(
                f"section {section.name} must be up to {depth} words of {word_bytes} bytes, "
                f"not {size} bytes"
            )
    if not image.maps or not set(image.maps) <= set(range(2, 9)):
        raise ValueError(f"widths must be in 2..8, not {sorted(image.maps)!r}")
    names = [[entry.name for entry in maps] for maps in image.maps.values()]
    if len(names[0]) < 2 or any(other != names[0] for other in names):
        raise ValueError("maps must be the same at every width, an input and more")
    if len({maps[0].shape for maps in image.maps.values()}) > 1:
        raise ValueError("the input must have the same shape at every width")
    fold = image.input_fold
    if fold is not None:
        fold.check(capacity=config.activation_bytes)
        entering = {maps[0].shape for maps in image.maps.values()}
        if not isinstance(config, TableConfig) or entering != {fold.folded}:
            raise ValueError("input fold must make the map that enters, for a table accelerator")
    for maps in image.maps.values():
        for entry in maps:
            entry.check(
                entering=entry is maps[0],
                logits=entry is maps[-1],
                capacity=config.activation_bytes,
            )


def _read_sections(content: bytes, name: str) -> dict[int, bytes]:
    """Sections by number, each checked against its CRC."""
    if len(content) < HEADER.size or content[: len(MAGIC)] != MAGIC:
        raise DownshiftError(f"{name} is not a Downshift image; make one with `downshift export`")
    _, version, _, count = HEADER.unpack_from(content)
    if version != IMAGE_FORMAT:
        raise DownshiftError(
            f"{name} has image format {version}, this release reads {IMAGE_FORMAT}; export it again"
        )
    end = HEADER.size + count * ENTRY.size
    if count > MAX_SECTIONS or len(content) < end + 4:
        raise DownshiftError(f"{name} is truncated; export it again")
    if zlib.crc32(content[:end]) != struct.unpack_from("<I", content, end)[0]:
        raise DownshiftError(f"{name} is damaged: its section table fails its checksum")
    bodies: dict[int, bytes] = {}
    for section, offset, length, crc in section_table(content):
        body = content[offset : offset + length]
        if len(body) != length:
            raise DownshiftError(f"{name} is truncated; export it again")
        if zlib.crc32(body) != crc:
            raise DownshiftError(f"{name} is damaged: section {section} fails its checksum")
        bodies[section] = body
    return bodies


def section_table(content: bytes) -> list[tuple[int, int, int, int]]:
    """Section, offset in the file, bytes and CRC-32, of every section of a whole file."""
    count = HEADER.unpack_from(content)[3]
    places = range(HEADER.size, HEADER.size + count * ENTRY.size, ENTRY.size)
    return [ENTRY.unpack_from(content, place) for place in places]
