"""AXI4-Lite: a subordinate port, as single accesses to registers."""

from amaranth import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["OKAY", "SLVERR", "AxiLitePort", "axi_lite_members"]

OKAY, SLVERR = 0b00, 0b10
"""Responses."""


def axi_lite_members(prefix: str, address_width: int) -> dict:
    """Members of a subordinate with 32 bits of data, by the names of the AXI specification."""
    channels = {
        "aw": {"addr": address_width, "prot": 3},
        "w": {"data": 32, "strb": 4},
        "ar": {"addr": address_width, "prot": 3},
    }
    members: dict = {}
    for channel, signals in channels.items():
        members |= {f"{prefix}{channel}{name}": In(width) for name, width in signals.items()}
        members |= {f"{prefix}{channel}valid": In(1), f"{prefix}{channel}ready": Out(1)}
    members |= {f"{prefix}bresp": Out(2), f"{prefix}bvalid": Out(1), f"{prefix}bready": In(1)}
    members |= {f"{prefix}rdata": Out(32), f"{prefix}rresp": Out(2)}
    return members | {f"{prefix}rvalid": Out(1), f"{prefix}rready": In(1)}


class AxiLitePort(wiring.Component):
    """Turn the channels of AXI4-Lite into single accesses; no path leads from input to output.

    One write and one read are under way at most. `prot` is ignored.

    Parameters
    ----------
    address_width : int
        Bits of a byte's address.

    Members
    -------
    awaddr, ... rready
        The channels.
    write : ``Out(1)``
        Write now: bytes `write_strobe` of `write_data`, to the word of `write_address`.
    write_refused : ``In(1)``
        In the same cycle: it does not happen, and is answered with an error.
    read : ``Out(1)``
        Read now: what `read_data` is in the same cycle, from the word of `read_address`.
    read_refused : ``In(1)``
        In the same cycle: there is nothing to read.
    """

    def __init__(self, *, address_width: int):
        self.address_width = address_width
        super().__init__(
            {
                **axi_lite_members("", address_width),
                "write": Out(1),
                "write_address": Out(address_width - 2),
                "write_data": Out(32),
                "write_strobe": Out(4),
                "write_refused": In(1),
                "read": Out(1),
                "read_address": Out(address_width - 2),
                "read_data": In(32),
                "read_refused": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()

        # Write: address and data may come in any order.
        have_address, have_data = Signal(), Signal()
        m.d.comb += [
            self.awready.eq(~have_address),
            self.wready.eq(~have_data),
            self.write.eq(have_address & have_data & ~self.bvalid),
        ]
        with m.If(self.awvalid & self.awready):
            m.d.sync += [have_address.eq(1), self.write_address.eq(self.awaddr[2:])]
        with m.If(self.wvalid & self.wready):
            m.d.sync += [
                have_data.eq(1),
                self.write_data.eq(self.wdata),
                self.write_strobe.eq(self.wstrb),
            ]
        with m.If(self.bready):
            m.d.sync += self.bvalid.eq(0)
        with m.If(self.write):
            m.d.sync += [
                have_address.eq(0),
                have_data.eq(0),
                self.bvalid.eq(1),
                self.bresp.eq(OKAY),
            ]
            with m.If(self.write_refused):
                m.d.sync += self.bresp.eq(SLVERR)

        # Read.
        asked = Signal()
        m.d.comb += [self.arready.eq(~asked), self.read.eq(asked & ~self.rvalid)]
        with m.If(self.arvalid & self.arready):
            m.d.sync += [asked.eq(1), self.read_address.eq(self.araddr[2:])]
        with m.If(self.rready):
            m.d.sync += self.rvalid.eq(0)
        with m.If(self.read):
            m.d.sync += [
                asked.eq(0),
                self.rvalid.eq(1),
                self.rdata.eq(self.read_data),
                self.rresp.eq(OKAY),
            ]
            with m.If(self.read_refused):
                m.d.sync += [self.rdata.eq(0), self.rresp.eq(SLVERR)]

        return m
