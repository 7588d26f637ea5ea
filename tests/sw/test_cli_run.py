"""`downshift run` and `downshift flash`, with a board that only pretends."""

import json
import os
import socketserver
import threading
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
from device_model import DeviceModel

from downshift.boards import find
from downshift.hw.protocol import Command, LinkError
from downshift.sim import golden
from downshift.sim.cycles import cycles
from downshift.sim.random_networks import random_codes, random_network
from downshift.sw.compile.compiler import compile_graph
from downshift.sw.graph.graph_file import save_graph

CONFIG = find("icebreaker").config
GRAPH = random_network(np.random.default_rng(5))
IMAGE = compile_graph(GRAPH, CONFIG)
X = random_codes(np.random.default_rng(0), GRAPH, 3)


@contextmanager
def board(model):
    """Serve a model over TCP; gives what --port takes."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self):
            waiting = b""
            while arrived := self.request.recv(4096):
                waiting += arrived
                whole, end, waiting = waiting.rpartition(b"\xc0")
                model.write(whole + end)
                while reply := model.read():
                    self.request.sendall(reply)

    with socketserver.TCPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"socket://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.fixture
def files(tmp_path):
    (tmp_path / "model.img").write_bytes(IMAGE.to_bytes())
    save_graph(GRAPH, tmp_path / "model.safetensors")
    np.save(tmp_path / "x.npy", X)
    return tmp_path


@pytest.mark.parametrize("model", ["model.img", "model.safetensors"])
def test_frames_run_on_a_board(run, files, model):
    device = DeviceModel(GRAPH, IMAGE)
    for width in (None, GRAPH.widths[1]):
        chosen = () if width is None else ("--width", width)
        expected = golden.run(GRAPH, X, width or GRAPH.widths[0])
        with board(device) as port:
            status, out, _ = run(
                "run", model, "--board", "icebreaker", "--port", port, "--input", "x.npy",
                "-o", "logits.npy", "--json", *chosen,
            )  # fmt: skip
        assert status == 0
        report = json.loads(out)
        assert {tuple(frame["widths"]) for frame in report["frames"]} == {
            (width or GRAPH.widths[0],)
        }
        assert [frame["label"] for frame in report["frames"]] == expected.labels.tolist()
        assert np.array_equal([frame["logits"] for frame in report["frames"]], expected.logits)
        logits = np.load(files / "logits.npy")
        assert logits.dtype == np.int32 and np.array_equal(logits, expected.logits)


def test_a_deadline_chooses_the_width(run, files):
    cost = {width: cycles(IMAGE, width).total for width in GRAPH.widths}
    fastest = min(cost, key=lambda width: (cost[width], -width))
    assert len(set(cost.values())) > 1
    clock_mhz = 10
    for width, milliseconds in [
        (GRAPH.widths[0], 1.001 * max(cost.values()) / clock_mhz / 1e3),
        (fastest, 1.001 * cost[fastest] / clock_mhz / 1e3),
        (fastest, 0.5 * cost[fastest] / clock_mhz / 1e3),
    ]:
        with board(DeviceModel(GRAPH, IMAGE)) as port:
            status, out, err = run(
                "run", "model.img", "--board", "icebreaker", "--port", port, "--input", "x.npy",
                "--deadline", milliseconds, "--clock", clock_mhz, "--json",
            )  # fmt: skip
        assert status == 0
        assert {tuple(each["widths"]) for each in json.loads(out)["frames"]} == {(width,)}
        late = milliseconds < cost[fastest] / clock_mhz / 1e3
        assert ("no width takes" in err) == late
    for arguments, code, sentence in [
        (("--deadline", 1, "--width", 8), 1, "leave --width and --policy out"),
        (("--deadline", "inf"), 2, "must be above 0 and finite"),
        (("--deadline", "soon"), 2, "'soon' is no number"),
        (("--clock", 1), 1, "--clock belongs to --deadline"),
    ]:
        status, _, err = run("run", "model.img", "--port", "x", "--input", "x.npy", *arguments)
        assert status == code and sentence in err


def test_frames_run_again_where_a_bit_flipped(run, files):
    device = DeviceModel(GRAPH, IMAGE)
    once, honest = [True], device.on_run

    def on_run(payload):
        answer = honest(payload)
        if len([c for c, _ in device.requests if c == Command.RUN]) == 2 and once:
            once.pop()
            device.loaded[2] = device.loaded[2][:-1] + bytes([device.loaded[2][-1] ^ 1])
            device.memory[:] = bytes(len(device.memory))
        return answer

    device.on_run = on_run
    with board(device) as port:
        status, out, err = run(
            "run", "model.img", "--port", port, "--input", "x.npy", "--scrub", 2, "--json"
        )
    assert status == 0
    assert "bits have flipped in the board (weights); frames 0 to 1 run again" in err
    expected = golden.run(GRAPH, X, GRAPH.widths[0]).logits.tolist()
    assert [frame["logits"] for frame in json.loads(out)["frames"]] == expected


def test_memory_that_stays_wrong_is_given_up(run, files):
    device = DeviceModel(GRAPH, IMAGE)
    device.on_scrub = lambda payload: LinkError.BAD_CHECKSUM
    with board(device) as port:
        status, out, err = run(
            "run", "model.img", "--port", port, "--input", "x.npy", "--scrub", 2, "--json"
        )
    assert (status, out) == (1, "")
    assert "memory (program, weights, parameters) is wrong after 3 times of loading" in err


def test_people_see_a_table(run, files):
    with board(DeviceModel(GRAPH, IMAGE)) as port:
        status, out, _ = run("run", "model.img", "--port", port, "--input", "x.npy")
    assert status == 0
    assert GRAPH.name in out and "1,234" in out


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--input", "none.npy"], "Cannot read input none.npy: No such file or directory"),
        (["--width", "3"], "model.img runs at widths 8, 7, 6, not 3"),
        (["--input", "float.npy"], "must hold uint8 codes of shape (images, "),
        (["--input", "shape.npy"], "must hold uint8 codes of shape (images, "),
        (["--input", "nan.npy"], "must hold uint8 codes of shape (images, "),
        (["--port", "/dev/none"], "Cannot open serial port /dev/none: No such file or directory; "),
        (["--port", "nonsense://"], "Cannot open serial port nonsense://: "),
        (["--board", "nope"], "There is no board 'nope'"),
        (["-o", "x.npy/out.npy"], "Cannot write x.npy/out.npy: x.npy is a file"),
    ],
)
def test_what_cannot_run_is_refused_before_the_board_is_touched(run, files, arguments, sentence):
    np.save(files / "float.npy", X.astype(np.float32))
    np.save(files / "nan.npy", np.full(X.shape, np.nan))
    np.save(files / "shape.npy", X[:, :-1])
    device = DeviceModel(GRAPH, IMAGE)
    with board(device) as port:
        given = ["--port", port, "--input", "x.npy", *arguments]
        status, out, err = run("run", "model.img", *given)
    assert (status, out) == (1, "")
    assert sentence in err.splitlines()[-1]
    assert device.requests == []


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"config": replace(CONFIG, weight_depth=32768)}, "compiled for another configuration"),
        ({"protocol": 9}, "The accelerator speaks protocol 9, this release "),
    ],
)
def test_another_accelerator_is_named(run, files, options, sentence):
    device = DeviceModel(GRAPH, IMAGE, **options)
    with board(device) as port:
        status, out, err = run("run", "model.img", "--port", port, "--input", "x.npy")
    assert (status, out) == (1, "") and sentence in err
    assert len(device.requests) == 1


def test_a_port_that_is_taken_is_named(run, files):
    """Opened twice: the second is told so."""
    master, slave = os.openpty()
    name = os.ttyname(slave)
    from downshift.sw.device.serial_transport import SerialTransport

    with SerialTransport(name, timeout=0.1):
        status, _, err = run("run", "model.img", "--port", name, "--input", "x.npy")
    assert status == 1
    assert f"Cannot open serial port {name}: " in err and "no other program at its port?" in err
    os.close(master)
    os.close(slave)


def test_a_board_that_is_unplugged_is_named(files):
    from downshift.hw.errors import DownshiftError
    from downshift.sw.device.serial_transport import SerialTransport

    master, slave = os.openpty()
    transport = SerialTransport(os.ttyname(slave), timeout=0.1)
    os.close(slave)
    os.close(master)
    with pytest.raises(DownshiftError, match=r"^Serial port /dev/pts/\d+ was lost: "):
        for _ in range(3):
            transport.write(b"x")
            transport.read()


def test_flash_runs_the_boards_tool(run, tmp_path, monkeypatch):
    (tmp_path / "bin").mkdir()
    tool = tmp_path / "bin" / "openFPGALoader"
    tool.write_text('#!/bin/sh\necho "$@" > args\ntest -n "$2"\n')
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    (tmp_path / "my top.bit").write_bytes(b"x")
    status, out, _ = run("flash", "my top.bit", "--board", "ulx3s-85f")
    assert status == 0
    assert out == "openFPGALoader -b ulx3s 'my top.bit'\n"
    status, out, _ = run("flash", "my top.bit", "--json")
    assert json.loads(out) == {"command": "openFPGALoader -b ulx3s 'my top.bit'"}
    assert (tmp_path / "args").read_text() == "-b ulx3s my top.bit\n"
    tool.write_text("#!/bin/sh\nexit 3\n")
    status, _, err = run("flash", "my top.bit", "--board", "ulx3s-85f")
    assert status == 1 and "openFPGALoader failed with status 3" in err


def test_flash_without_the_tool_prints_the_command(run, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "top.bin").write_bytes(b"x")
    status, out, err = run("flash", "top.bin", "--board", "icebreaker")
    assert (status, out) == (1, "")
    assert "openFPGALoader is not installed" in err
    assert err.strip().endswith("run: openFPGALoader -b ice40_generic top.bin")
    status, _, err = run("flash", "none.bin", "--board", "icebreaker")
    assert status == 1 and "There is no file none.bin" in err
