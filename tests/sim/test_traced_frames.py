"""Toggles that Verilator's dump tells of a design so small that they are known."""

import pytest

from downshift.hw.config import AcceleratorConfig
from downshift.hw.errors import DownshiftError
from downshift.sim.runner import TRACED, build_simulation
from downshift.sim.traced_frames import ACCELERATOR, _counting

BEFORE, WORKS = 7, 200
"""Cycles of a high line: the last two bits and the stop bit of a request, and one until counting
begins; and until the reply is made."""
COUNTER = """
/*verilator tracing_off*/
module cell_with_insides(input clk, clear, output reg [7:0] q = 0);
  reg [7:0] hidden = 0;
  always @(posedge clk) begin q <= clear ? 0 : q + (q != 200); hidden <= ~hidden; end
endmodule
/*verilator tracing_on*/
module accelerator(input clk, rst, rx, output tx);
  // What the line is high for; then, a frame that is empty but for a byte.
  wire [7:0] count, again;
  wire ones;
  reg [59:0] reply = ~60'b0;
  reg sent = 0, flip = 1;
  cell_with_insides counter(.clk(clk), .clear(!rx), .q(count));
  assign again = count, ones = 1, tx = reply[0];
  always @(posedge clk) begin
    sent <= rx && count == 200;
    reply <= !rx || count != 200 || sent ? {1'b1, reply[59:1]} : FRAME;
    flip <= ~flip;
  end
endmodule
"""
WORK = """
def ask(accelerator):
    transport = accelerator.link.transport
    for watched in (True, False, True):
        transport.watch(watched)
        transport.write(bytes([0xC0, 0x55, 0xC0]))
        assert transport.read() == bytes([0xC0, 0x01, 0xC0])
"""


def frame(content):
    """Levels of the line, two cycles a bit, the first in the lowest bit."""
    bits = [bit for byte in content for bit in (0, *(byte >> k & 1 for k in range(8)), 1)]
    return f"60'b{''.join(f'{bit}{bit}' for bit in reversed(bits))}"


def test_known_toggles(tmp_path, monkeypatch):
    (tmp_path / "ask_thrice.py").write_text(WORK)
    monkeypatch.syspath_prepend(tmp_path)
    verilog = COUNTER.replace("FRAME", frame([0xC0, 0x01, 0xC0]))
    simulation = build_simulation(AcceleratorConfig(), tmp_path, verilog=verilog, link=TRACED)
    with _counting(tmp_path / "trace.vcd") as counting:
        simulation.run("ask_thrice:ask", {}, tmp_path)
    toggles = counting.result()

    # The second request is not watched; the third is as the first.
    cycles = WORKS - BEFORE + 1  # the last one begins the reply
    count = [WORKS // 2**bit - BEFORE // 2**bit for bit in range(8)]
    for name, bits in {
        "count": count, "again": count, "flip": [cycles], "clk": [2 * cycles + 1], "ones": [0],
        "rst": [0], "rx": [0], "tx": [1],
    }.items():  # fmt: skip
        columns = list(toggles.bits[f"{ACCELERATOR}.{name}"])
        assert toggles.counts[:, columns].tolist() == [bits, bits], name
    assert not any("hidden" in name or "counter" in name for name in toggles.bits)
    assert not (tmp_path / "trace.vcd").exists()


def test_a_trace_that_is_none_does_not_keep_its_writer_waiting(tmp_path):
    with _counting(tmp_path / "pipe") as counting, (tmp_path / "pipe").open("w") as pipe:
        pipe.write("nonsense\n" * 100_000)  # more than a pipe holds
    with pytest.raises(DownshiftError, match=r"^The trace is no value change dump that is read "):
        counting.result()


def test_a_simulation_that_fails_leaves_no_pipe(tmp_path):
    with pytest.raises(KeyError), _counting(tmp_path / "pipe"):
        raise KeyError
    assert not list(tmp_path.iterdir())


def test_where_no_pipe_can_be(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(DownshiftError, match=r"^Cannot make a pipe at .*file/pipe: Not a directory"),
        _counting(tmp_path / "file" / "pipe"),
    ):
        pass
