"""The accelerator as an IP core: AXI4-Lite for control, AXI4-Stream for data."""

from amaranth import Cat, ClockDomain, Const, DomainRenamer, Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect

from downshift.hw.axi_lite import AxiLitePort, axi_lite_members
from downshift.hw.config import AcceleratorConfig
from downshift.hw.fabric import Fabric
from downshift.hw.protocol import ALL_FEATURES, IMAGE_FORMAT, Command, Feature
from downshift.hw.register_map import IDENTITY, MAP_BYTES, MAP_VERSION, REGISTERS, register
from downshift.hw.skid_buffer import SkidBuffer
from downshift.hw.streamed_executor import Beat, StreamedExecutor
from downshift.hw.table_config import TableConfig

__all__ = ["CONTROL", "DATA_IN", "DATA_OUT", "AxiCore"]

CONTROL, DATA_IN, DATA_OUT = "s_axi_control_", "s_axis_data_", "m_axis_data_"
"""Beginnings of the ports' names."""
ADDRESS_WIDTH = (MAP_BYTES - 1).bit_length()


def _stream(prefix, forth, back):
    members = {f"{prefix}{name}": forth(width) for name, width in _BEAT.items()}
    return members | {f"{prefix}tready": back(1)}


in_bus = DomainRenamer("bus")
_BEAT = {"tdata": 8, "tlast": 1, "tvalid": 1}


class AxiCore(wiring.Component):
    """Do commands that are written to registers; their bytes come and go over streams.

    The commands are those of the link protocol, their arguments stand in registers: see
    `register_map` and `StreamedExecutor`. No path leads from an input to an output.

    Parameters
    ----------
    config : AcceleratorConfig or TableConfig
    fabric : Fabric
        What an accelerator of the table style is made of.
    features : Feature
        Commands that it knows besides.

    Members
    -------
    aclk, aresetn : ``In(1)``
    s_axi_control_... :
        AXI4-Lite, 32 bits of data.
    s_axis_data_..., m_axis_data_... :
        AXI4-Stream, 8 bits of data, with `last`.
    interrupt : ``Out(1)``
        High while there is something to tell.
    """

    def __init__(
        self,
        *,
        config: AcceleratorConfig | TableConfig,
        fabric: Fabric | None = None,
        features: Feature = ALL_FEATURES,
    ):
        self.config = config
        self.fabric = fabric or Fabric()
        self.features = features & ~Feature.QUEUE
        super().__init__(
            {
                "aclk": In(1),
                "aresetn": In(1),
                **axi_lite_members(CONTROL, ADDRESS_WIDTH),
                **_stream(DATA_IN, In, Out),
                **_stream(DATA_OUT, Out, In),
                "interrupt": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        # Registers and what is offered outlive a reset by command; all else is in the domain sync.
        m.domains.bus = bus = ClockDomain()
        m.domains.sync = sync = ClockDomain()
        reset = Signal()
        m.d.comb += [
            bus.clk.eq(self.aclk),
            bus.rst.eq(~self.aresetn),
            sync.clk.eq(self.aclk),
            sync.rst.eq(~self.aresetn | reset),
        ]

        # Ports.
        self._port = port = AxiLitePort(address_width=ADDRESS_WIDTH)
        m.submodules.port = in_bus(port)
        for name, member in axi_lite_members("", ADDRESS_WIDTH).items():
            ours, its = getattr(self, CONTROL + name), getattr(port, name)
            m.d.comb += its.eq(ours) if member.flow is In else ours.eq(its)
        m.submodules.beats_in = beats_in = SkidBuffer(shape=Beat)
        beats_out = SkidBuffer(shape=Beat)
        m.submodules.beats_out = in_bus(beats_out)  # what is offered stays so
        m.d.comb += [
            beats_in.i.p.data.eq(getattr(self, f"{DATA_IN}tdata")),
            beats_in.i.p.last.eq(getattr(self, f"{DATA_IN}tlast")),
            beats_in.i.valid.eq(getattr(self, f"{DATA_IN}tvalid")),
            getattr(self, f"{DATA_IN}tready").eq(beats_in.i.ready),
            getattr(self, f"{DATA_OUT}tdata").eq(beats_out.o.p.data),
            getattr(self, f"{DATA_OUT}tlast").eq(beats_out.o.p.last),
            getattr(self, f"{DATA_OUT}tvalid").eq(beats_out.o.valid),
            beats_out.o.ready.eq(getattr(self, f"{DATA_OUT}tready")),
        ]

        # Registers that are written.
        self._kept = {
            entry.name: Signal(entry.mask.bit_length(), init=entry.reset, name=entry.name.lower())
            for entry in REGISTERS
            if entry.access == "read-write"
        }
        strobe = Cat(bit.replicate(8) for bit in port.write_strobe)
        fresh = port.write_data & strobe
        with m.Switch(port.write_address):
            for entry in REGISTERS:
                with m.Case(entry.offset // 4):
                    if entry.access == "read-only":
                        m.d.comb += port.write_refused.eq(1)
                    elif entry.access == "read-write":
                        kept = self._kept[entry.name]
                        with m.If(port.write):
                            m.d.bus += kept.eq(kept & ~strobe | fresh)
            with m.Default():
                m.d.comb += port.write_refused.eq(1)

        # Commands.
        unit = StreamedExecutor(config=self.config, fabric=self.fabric, features=self.features)
        m.submodules.unit = unit
        m.d.bus += reset.eq(self._written("RESET") & fresh[0])
        connect(m, beats_in.o, unit.i)
        connect(m, unit.o, beats_out.i)
        command = Signal(8)
        m.d.bus += unit.start.eq(0)
        with m.If(self._written("COMMAND") & port.write_strobe[0]):
            with m.If(unit.busy | unit.start):
                m.d.comb += port.write_refused.eq(1)
            with m.Else():
                m.d.bus += [command.eq(port.write_data), unit.start.eq(1)]
        m.d.comb += [
            unit.command.eq(command),
            unit.arguments.eq(self._arguments(m, command)),
            unit.length.eq(self._kept["LENGTH"]),
        ]

        # Interrupt.
        happened = Signal()
        with m.If(unit.ended):
            m.d.bus += happened.eq(1)
        with m.Elif(self._written("INTERRUPT_STATUS") & fresh[0]):
            m.d.bus += happened.eq(0)
        m.d.bus += self.interrupt.eq(happened & self._kept["INTERRUPT_ENABLE"])

        self._read(m, unit, happened)
        return m

    def _written(self, name):
        return self._port.write & (self._port.write_address == register(name).offset // 4)

    def _read(self, m, unit, happened):
        """What each register says."""
        values = {
            **self._kept,
            "ID": IDENTITY,
            "VERSION": MAP_VERSION | IMAGE_FORMAT << 8 | self.features << 16,
            "FINGERPRINT": self.config.fingerprint,
            "COMMAND": 0,
            "STATUS": Cat(
                unit.busy | unit.start, Const(0, 7), Value.cast(unit.error), Const(0, 4),
                unit.loaded,
            ),
            "INTERRUPT_STATUS": happened,
            "RESET": 0,
            "CYCLES": unit.counters.cycles,
            "BUSY_CYCLES": unit.counters.busy,
            "TILE_LOAD_CYCLES": unit.counters.tile_load,
            "FETCH_CYCLES": unit.counters.fetch,
            "WEIGHT_WORDS": unit.counters.weight_words,
            "CASCADED": Cat(unit.first_cycles, unit.raised),
        }  # fmt: skip
        with m.Switch(self._port.read_address):
            for entry in REGISTERS:
                with m.Case(entry.offset // 4):
                    m.d.comb += self._port.read_data.eq(values[entry.name])
            with m.Default():
                m.d.comb += self._port.read_refused.eq(1)

    def _arguments(self, m, command):
        """The arguments as a request would have them."""
        kept = self._kept
        of = {
            Command.WRITE: [kept["ADDRESS"]],
            Command.READ: [kept["ADDRESS"], kept["LENGTH"][:16]],
            Command.LOAD: [kept["IMAGE_FORMAT"], kept["IMAGE_FINGERPRINT"]],
            Command.SECTION: [kept["SECTION"]],
            Command.CHECK: [kept["CHECKSUM"], kept["LENGTH"]],
            Command.RUN: [kept["WIDTH"]],
            Command.CASCADE: [kept["CASCADE"], kept["ADDRESS"], kept["LENGTH"][:8]],
            Command.SCRUB: [kept["SECTION"], kept["CHECKSUM"], kept["LENGTH"]],
        }
        arguments = Signal(64)
        with m.Switch(command):
            for code, parts in of.items():
                with m.Case(code):
                    packed = Cat(*parts)
                    m.d.comb += arguments.eq(Cat(Const(0, 64 - len(packed)), packed))
        return arguments
