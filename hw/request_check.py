"""The request check: what a complete request asks for, judged before anything is done."""

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from downshift.hw.config import AcceleratorConfig
from downshift.hw.descriptor import PROFILES
from downshift.hw.protocol import ALL_FEATURES, IMAGE_FORMAT, Command, Feature, LinkError
from downshift.hw.region import Region
from downshift.hw.table_config import TableConfig

__all__ = ["ALL_SECTIONS", "RequestCheck"]

ALL_SECTIONS = 0b1110


class RequestCheck(wiring.Component):
    """Tell what is wrong with a request, `latency` cycles after its arguments are known.

    Parameters
    ----------
    config : AcceleratorConfig or TableConfig
    features : Feature
        Commands that it knows besides.

    Members
    -------
    command, arguments : ``In(Command)``, ``In(64)``
        The arguments end at the top.
    ended : ``In(1)``
        The request has no more bytes than its arguments.
    loading, loaded : ``In(1)``, ``In(4)``
        An image is being loaded; the sections that are.
    region, address, crc : ``In(Region)``, ``In(24)``, ``In(32)``
        What is being written, bytes of it so far, and their CRC-32.
    error : ``Out(LinkError)``
    refused : ``Out(1)``
        There is an error.
    other_length, other_crc : ``Out(1)``
        What CHECK and SCRUB ask for is not `address`, `crc`; a cycle after they are.
    """

    latency = 3

    def __init__(
        self, *, config: AcceleratorConfig | TableConfig, features: Feature = ALL_FEATURES
    ):
        self.config = config
        self.features = features
        super().__init__(
            {
                "command": In(Command),
                "arguments": In(64),
                "ended": In(1),
                "loading": In(1),
                "loaded": In(4),
                "region": In(Region),
                "address": In(24),
                "crc": In(32),
                "error": Out(LinkError),
                "refused": Out(1),
                "other_length": Out(1),
                "other_crc": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        argument = self.arguments
        within = exact_log2(self.config.activation_bytes)

        # What can be wrong, each on its own.
        more = (self.command == Command.WRITE) | (self.command == Command.DATA)
        read_from, read_count = argument[24:48], argument[48:]
        if Feature.CASCADE in self.features:
            cascade = self.command == Command.CASCADE
            read_from = Mux(cascade, argument[32:56], read_from)
            read_count = Mux(cascade, argument[56:] << 2, read_count)
        read_end = Signal(within + 2)
        faults = {
            "trailing": ~self.ended & ~more,
            "write_beyond": argument[-24:][within:].any(),
            "read_beyond": Cat(read_from[within + 1 :], read_count[within + 1 :]).any(),
            "other_format": argument[24:32] != IMAGE_FORMAT,
            "other_configuration": argument[32:] != self.config.fingerprint,
            "no_section": (argument[-8:] == 0) | (argument[-8:] >= len(Region)),
            "not_loading": ~self.loading,
            "not_in_section": self.region == Region.ACTIVATIONS,
            "other_length": argument[40:] != self.address,
            "incomplete": self.loaded != ALL_SECTIONS,
            "no_profile": argument[-8:] >= PROFILES,
            "no_profiles": (argument[:4] >= PROFILES) | (argument[4:8] >= PROFILES),
            "no_region": (argument[:8] == 0) | (argument[:8] >= len(Region)),
        }
        found = {name: Signal(name=name) for name in faults}
        m.d.sync += [found[name].eq(fault) for name, fault in faults.items()]
        m.d.sync += read_end.eq(read_from[: within + 1] + read_count[: within + 1])
        parts = [Signal(name=f"other_crc_{k}") for k in range(4)]
        for k, part in enumerate(parts):
            m.d.sync += part.eq(argument[8:40].word_select(k, 8) != self.crc.word_select(k, 8))

        # The first fault that matters to each command.
        beyond_end = read_end[within + 1] | (read_end[within] & read_end[:within].any())
        m.d.comb += [
            self.other_crc.eq(Cat(parts).any()),
            self.other_length.eq(found["other_length"]),
        ]
        section = found["not_loading"] | found["not_in_section"]
        matters = {
            Command.INFO: [],
            Command.WRITE: [(found["write_beyond"], LinkError.BAD_ADDRESS)],
            Command.READ: [(found["read_beyond"] | beyond_end, LinkError.BAD_ADDRESS)],
            Command.LOAD: [
                (found["other_format"], LinkError.WRONG_FORMAT),
                (found["other_configuration"], LinkError.WRONG_CONFIGURATION),
            ],
            Command.SECTION: [
                (found["not_loading"] | found["no_section"], LinkError.BAD_ADDRESS),
            ],
            Command.DATA: [(section, LinkError.BAD_ADDRESS)],
            Command.CHECK: [(section | self.other_crc | self.other_length, LinkError.BAD_CHECKSUM)],
            Command.RUN: [
                (found["incomplete"], LinkError.NO_IMAGE),
                (found["no_profile"], LinkError.NO_WIDTH),
            ],
        }
        if Feature.SCRUB in self.features:
            matters[Command.SCRUB] = [(found["no_region"], LinkError.BAD_ADDRESS)]
        if Feature.CASCADE in self.features:
            matters[Command.CASCADE] = [
                (found["incomplete"], LinkError.NO_IMAGE),
                (found["no_profiles"], LinkError.NO_WIDTH),
                (found["read_beyond"] | beyond_end, LinkError.BAD_ADDRESS),
            ]
        verdict = Signal(LinkError)
        m.d.sync += verdict.eq(LinkError.NONE)
        with m.Switch(self.command):
            for command, errors in matters.items():
                with m.Case(command):
                    for fault, error in reversed(errors):
                        with m.If(fault):
                            m.d.sync += verdict.eq(error)
        with m.If(found["trailing"]):
            m.d.sync += verdict.eq(LinkError.BAD_LENGTH)
        m.d.sync += [self.error.eq(verdict), self.refused.eq(verdict != LinkError.NONE)]

        return m
