"""What the command line says, and with which status it ends."""

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from downshift.boards import find, names
from downshift.sim.random_networks import random_network
from downshift.sw.cli import COMMANDS
from downshift.sw.compile.config_file import config_text
from downshift.sw.graph.graph_file import save_graph
from downshift.sw.graph.integer_graph import IntegerGraph, Layer, Setting
from downshift.sw.training.float_phase import FloatPhase


def a_graph():
    return random_network(np.random.default_rng(3))


def a_large_graph():
    setting = Setting(
        weight_width=8, in_width=8, out_width=32, zero_point_in=0, zero_point_out=0,
        bias=np.zeros(10, np.int32), multiplier=np.zeros(10, np.uint16),
        shift=np.zeros(10, np.uint8),
    )  # fmt: skip
    layer = Layer(
        name="fc", weight=np.ones((10, 4000, 1, 1), np.int8), stride=(1, 1), padding=(0,) * 4,
        pool=None, settings={8: setting},
    )  # fmt: skip
    return IntegerGraph(name="large", input_shape=(1, 1, 4000), input_scale=1.0, layers=(layer,))


def test_boards(run):
    status, out, err = run("boards", "--json")
    assert (status, err) == (0, "")
    assert [board["name"] for board in json.loads(out)] == list(names())


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_an_example(run, command):
    status, out, _ = run(command, "--help")
    assert status == 0
    assert f"Example: downshift {command}" in out
    assert "--json" in out


@pytest.mark.parametrize("arguments", [["--help"], ["boards"]])
def test_starts_at_once(arguments):
    command = [str(Path(sys.executable).with_name("downshift")), *arguments]
    subprocess.run(command, check=True, capture_output=True)  # compiled by now
    began = time.process_time_ns(), time.monotonic()
    subprocess.run(command, check=True, capture_output=True)
    assert time.monotonic() - began[1] < 5  # a guard against torch; the goal is half a second
    loaded = subprocess.run(
        [sys.executable, "-c",
         "import sys; from downshift.sw.cli import main; sys.argv[1:] = " + repr(arguments) + "\n"
         "try: main()\nexcept SystemExit: pass\n"
         "assert not {'torch', 'amaranth', 'cocotb'} & set(sys.modules), sys.modules.keys()"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert loaded.returncode == 0, loaded.stderr


@pytest.mark.parametrize(
    ("arguments", "status", "sentence"),
    [
        (["build", "--board", "nope"], 1, "no board 'nope'; choose one of ecpix5-85f"),
        (["generate", "--board", "nope"], 1, "no board 'nope'"),
        (["simulate", "missing.safetensors"], 1, "missing.safetensors"),
        (["export", "missing.pt"], 1, "missing.pt"),
        (
            ["export", "m.onnx"],
            1,
            "m.onnx is a model of another tool; run `downshift import` first",
        ),
        (["export", "missing.safetensors"], 1, "missing.safetensors"),
        (["train", "--dataset", "missing.npz"], 1, "missing.npz"),
        (["train", "--dataset", "missing"], 1, "There is no data set 'missing'; name a .npz file"),
        (["train", "--dataset", "keywords", "--data", "."], 1, "no address to fetch it from"),
        (["train", "--network", "vgg"], 1, "There is no network 'vgg'; choose one of small, "),
        (["train", "--config", "missing.json"], 1, "Cannot read missing.json: No such file"),
        (["train", "--device", "gpu"], 1, "There is no device 'gpu' here; use cpu"),
        (["train", "--resume"], 2, "--resume needs --run-dir DIR, the folder of the run"),
        (["train", "--resume", "--run-dir", "there"], 1, "There is no run in there to resume: "),
        (["train", "--widths", "9,4"], 2, "Width must be in 1..8, not 9"),
        (["train", "--widths", "4,x"], 2, "Widths must be numbers separated by commas, not '4,x'"),
        (["train", "--widths", "4,4"], 2, "Widths must each be named once, not '4,4'"),
        (["train", "--widths", "4,8"], 1, "Widths must fall, each named once, as 8,4 "),
        (["train", "--seed", "-1"], 2, "'--seed'"),
        (["train", "--seed", "9" * 30], 2, "'--seed'"),
        (["simulate", "x.safetensors", "--images", "0"], 2, "'--images'"),
        (["nonsense"], 2, "No such command 'nonsense'"),
        (["build", "--bored"], 2, "No such option"),
    ],
)
def test_mistakes_get_one_sentence(run, tmp_path, arguments, status, sentence):
    ended, out, err = run(*arguments)
    assert (ended, out) == (status, "")
    assert err.startswith("downshift: ")
    assert sentence in err
    assert len(err.splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_a_damaged_model_is_refused(run, tmp_path):
    save_graph(a_graph(), tmp_path / "model.safetensors")
    content = bytearray((tmp_path / "model.safetensors").read_bytes())
    (tmp_path / "model.safetensors").write_bytes(content[:-7])
    for command in ("export", "simulate"):
        status, out, err = run(command, "model.safetensors")
        assert (status, out) == (1, "")
        assert "model.safetensors" in err
    assert [path.name for path in tmp_path.iterdir()] == ["model.safetensors"]


def test_a_network_that_does_not_fit_says_by_how_much(run, tmp_path):
    save_graph(a_large_graph(), tmp_path / "large.safetensors")
    status, _, err = run("export", "large.safetensors", "--board", "ulx3s-85f")
    assert status == 1
    depth = find("ulx3s-85f").config.weight_depth
    assert f"needs 8,000 words of 8 weights, the accelerator has {depth:,}: {8000 - depth:,}" in err
    assert [path.name for path in tmp_path.iterdir()] == ["large.safetensors"]


def test_a_width_that_the_network_lacks(run, tmp_path):
    save_graph(a_graph(), tmp_path / "model.safetensors")
    status, _, err = run("simulate", "model.safetensors", "--widths", "2")
    assert status == 1
    assert "runs at widths 8, 7, 6, not 2" in err


def test_without_a_compiler(run, tmp_path, monkeypatch):
    save_graph(a_graph(), tmp_path / "model.safetensors")
    monkeypatch.setenv("PATH", str(tmp_path))
    status, _, err = run("simulate", "model.safetensors")
    assert status == 1
    assert "Simulation needs g++; install it (apt-get install g++)" in err


@pytest.mark.parametrize(
    ("array", "sentence"),
    [
        (np.zeros((2, 3), np.uint8), "must hold uint8 codes of shape (images,"),
        (np.zeros((2, 5, 7, 2), np.float32), "not float32"),
        (b"no array", "is not a .npy file"),
        (b"PK\3\4 cut short", "is not a .npy file"),
        (b"\x93NUMPY\1\0\x10\0{('descr'       \n", "is not a .npy file"),
    ],
)
def test_inputs_that_do_not_fit(run, tmp_path, array, sentence):
    save_graph(a_graph(), tmp_path / "model.safetensors")
    if isinstance(array, bytes):
        (tmp_path / "x.npy").write_bytes(array)
    else:
        np.save(tmp_path / "x.npy", array)
    status, _, err = run("simulate", "model.safetensors", "--input", "x.npy")
    assert status == 1
    assert sentence in err


@pytest.mark.parametrize("command", ["simulate", "export"])
def test_a_folder_below_a_file(run, tmp_path, command):
    save_graph(a_graph(), tmp_path / "mine.safetensors")
    (tmp_path / "file").write_text("")
    status, out, err = run(command, "mine.safetensors", "-o", "file/out")
    assert (status, out) == (1, "")
    assert err.splitlines()[-1].startswith("downshift: Cannot write")
    assert err.rstrip().endswith("file is a file")


def test_ctrl_c_says_how_to_go_on(run, tmp_path, monkeypatch):
    learn, steps = FloatPhase.learn, []

    def interrupt(self, batch, share):
        steps.append(batch.step)
        if len(steps) == 25:
            raise KeyboardInterrupt
        return learn(self, batch, share)

    monkeypatch.setattr(FloatPhase, "learn", interrupt)
    options = ["--epochs", 2, "--run-dir", "run", "--json"]
    status, out, err = run("train", *options)
    assert (status, out) == (130, "")
    assert err.splitlines()[-1] == (
        "downshift: interrupted; add --resume to go on with the run in run"
    )
    assert not (tmp_path / "model.pt").exists()
    status, out, _ = run("train", *options, "--resume")
    assert status == 0 and json.loads(out)["accuracy"]["8"] > 0.9
    assert len((tmp_path / "run" / "log.csv").read_text().splitlines()) == 5


def test_train_looks_first_whether_it_can_write(run, tmp_path):
    (tmp_path / "file").write_text("")
    status, _, err = run("train", "-o", "file/model.pt")
    assert (status, err) == (1, "downshift: Cannot write file/model.pt: file is a file\n")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ["large.safetensors"],
            "large needs 55 block RAMs, icebreaker has 30 for it: 25 too many; ulx3s-25f would do",
        ),
        (["large.safetensors", "--config", "c.json"], "Layer fc at width 8 needs "),
        (["large.safetensors", "--tables", "--config", "c.json"], "leave --tables out"),
        (["large.safetensors", "--config", "none.json"], "Cannot read none.json"),
        (["none.pt"], "none.pt"),
        (["--widths-file", "w.json"], "w.json is about a network; name its checkpoint, too"),
    ],
)
def test_builds_for_what_cannot_run_do_not_begin(run, tmp_path, monkeypatch, arguments, sentence):
    save_graph(a_large_graph(), tmp_path / "large.safetensors")
    (tmp_path / "c.json").write_text(config_text(find("icebreaker").config))
    monkeypatch.setattr("downshift.boards.build.build", None)
    status, out, err = run("build", *arguments, "--board", "icebreaker")
    assert (status, out) == (1, "")
    assert sentence in err.splitlines()[-1]
    assert {path.name for path in tmp_path.iterdir()} == {"large.safetensors", "c.json"}


def test_export_writes_both_files_or_none(run, tmp_path):
    save_graph(a_graph(), tmp_path / "mine.safetensors")
    (tmp_path / "out" / "model.img").mkdir(parents=True)
    status, _, err = run("export", "mine.safetensors", "-o", "out")
    assert (status, err) == (1, "downshift: Cannot write out: model.img in it is a folder\n")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["model.img"]


def test_export_writes_both_files(run, tmp_path):
    save_graph(a_graph(), tmp_path / "mine.safetensors")
    status, out, _ = run("export", "mine.safetensors", "-o", "out", "--json")
    assert status == 0
    report = json.loads(out)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "model.img",
        "model.safetensors",
    ]
    assert report["image_bytes"] == (tmp_path / "out" / "model.img").stat().st_size
