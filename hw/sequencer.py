"""The sequencer: runs the program of a width, layer by layer."""

from amaranth import Cat, Module, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from downshift.hw.descriptor import PROFILES, LayerDescriptor, layer_words
from downshift.hw.store import read_port

__all__ = ["Sequencer", "program_layers"]


def program_layers(words, profile, layer=LayerDescriptor):
    """List the descriptors that a profile runs: the golden function of the sequencer.

    Parameters
    ----------
    words : sequence of int
        The program, 32-bit words.
    profile : int
        Entry of the table, 0…15.
    layer : type
        Struct of a descriptor, whose first field is `last`.

    Returns
    -------
    list of list of int
        Words of each descriptor; empty if the profile has no program.
    """
    layers = []
    count = layer_words(layer)
    address = words[profile]
    while address:
        layers.append(list(words[address : address + count]))
        address += count
        if layers[-1][0] & 1:  # last
            break
    return layers


class Sequencer(wiring.Component):
    """Look up the program of a profile, and run its descriptors one after the other.

    The twin of `program_layers`. `lookup_latency` cycles from `start` to the first word of a
    descriptor, `fetch_latency` from there to `start_layer`, and from each `layer_done` as well.

    Parameters
    ----------
    depth : int
        Words of the program store.
    layer : type
        Struct of a descriptor, whose first field is `last`.
    read_latency : int
        Cycles in which the program store gives a word.

    Members
    -------
    start : ``In(1)``
        Run a frame; ignored during one.
    profile : ``In(4)``
        Entry of the table of programs.
    busy : ``Out(1)``
    done : ``Out(1)``
        The frame is complete, for one cycle.
    missing : ``Out(1)``
        With `done`: the profile has no program, and nothing was run.
    layer : ``Out(layer)``
        In force from `start_layer` to `layer_done`.
    start_layer, layer_done : ``Out(1)``, ``In(1)``
    read : ``Out(read_port(depth, ...))``
        Port of the program store.
    """

    def __init__(
        self, *, depth: int, layer: type[data.Struct] = LayerDescriptor, read_latency: int = 1
    ):
        self.depth = depth
        self.words = layer_words(layer)
        self.read_latency = read_latency
        self.lookup_latency = self.lookup_latency_of(read_latency)
        self.fetch_latency = self.fetch_latency_of(layer, read_latency)
        super().__init__(
            {
                "start": In(1),
                "profile": In(range(PROFILES)),
                "busy": Out(1),
                "done": Out(1),
                "missing": Out(1),
                "layer": Out(layer),
                "start_layer": Out(1),
                "layer_done": In(1),
                "read": Out(read_port(depth, data.ArrayLayout(8, 4))),
            }
        )

    @staticmethod
    def lookup_latency_of(read_latency: int) -> int:
        """Cycles from `start` to the first word of a descriptor."""
        return 2 + read_latency

    @staticmethod
    def fetch_latency_of(layer: type[data.Struct], read_latency: int) -> int:
        """Cycles from the first word of a descriptor to `start_layer`."""
        return layer_words(layer) + 2 + read_latency

    def elaborate(self, platform):
        m = Module()
        address = Signal(range(self.depth))
        asked = self.words + self.read_latency
        left = Signal(range(asked + 1))
        word = Value.cast(self.read.data)
        places = [Value.cast(self.layer)[32 * k : 32 * k + 32] for k in range(self.words)]

        # The word asked for some cycles before goes to its place in the descriptor.
        held, due = Signal(32, reset_less=True), Signal(self.words)
        m.d.sync += [held.eq(word), due.eq(0)]
        for index, place in enumerate(places):
            with m.If(due[index]):
                m.d.sync += place.eq(held)

        with m.FSM() as fsm:
            m.d.comb += self.busy.eq(~fsm.ongoing("Idle"))

            with m.State("Idle"):
                m.d.comb += [
                    self.read.address.eq(self.profile),
                    self.read.enable.eq(self.start),
                ]
                m.d.sync += left.eq(self.read_latency - 1)
                with m.If(self.start):
                    m.next = "Lookup"

            with m.State("Lookup"):
                m.d.sync += left.eq(left - 1)
                with m.If(left == 0):
                    m.d.sync += [address.eq(word), left.eq(asked)]
                    m.next = "Entry"

            with m.State("Entry"):
                m.next = "Fetch"
                with m.If(address == 0):
                    m.d.comb += [self.done.eq(1), self.missing.eq(1)]
                    m.next = "Idle"

            with m.State("Fetch"):
                m.d.comb += [
                    self.read.address.eq(address),
                    self.read.enable.eq(1),
                ]
                m.d.sync += [
                    left.eq(left - 1),
                    due.eq(Cat(left == self.words - index for index in range(self.words))),
                ]
                with m.If(left == 0):
                    m.next = "Start"
                with m.If(left > self.read_latency):
                    m.d.sync += address.eq(address + 1)

            with m.State("Start"):
                m.d.comb += self.start_layer.eq(1)
                m.next = "Run"

            with m.State("Run"):
                m.d.sync += left.eq(asked)
                with m.If(self.layer_done):
                    m.next = "Fetch"
                    with m.If(self.layer.last):
                        m.d.comb += self.done.eq(1)
                        m.next = "Idle"

        return m
