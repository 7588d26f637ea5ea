"""What `downshift search` writes, and what takes it."""

import json
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import torch

from downshift.boards import find
from downshift.boards.build_report import BuildReport
from downshift.sw.compile.config_file import config_text
from downshift.sw.graph.graph_file import load_graph
from downshift.sw.training.checkpoint import load_checkpoint, save_checkpoint


def a_report():
    used = {
        name: 0 for field in fields(BuildReport) if (name := field.name) not in ("board", "seed")
    }
    given = used | {"bitstream": Path("out/top.bit"), "fmax_mhz": 61.0, "clock_mhz": 50.0}
    return BuildReport(board="ulx3s-85f", seed=1, **given)


def test_search_writes_what_export_and_build_take(run, tmp_path, short_training, monkeypatch):
    save_checkpoint(tmp_path / "digits.pt", short_training)
    status, out, _ = run(
        "search", "digits.pt", "--budget", "bits=5", "--budget", "cycles=9000", "--probes", 4,
        "--front", 3, "--best", 2, "-o", "found", "--json",
    )  # fmt: skip
    report = json.loads(out)
    assert status == 0
    assert report == json.loads((tmp_path / "found" / "search.json").read_text())
    width = report["chosen"]["width"]
    assert report["chosen"]["widths"] == {"conv2": 4} and width == 3
    assert report["networks"][f"mixed, width {width}"]["cycles"] <= 9000
    assert len(report["front"]["points"]) == 3
    assert (tmp_path / "found" / "search.png").read_bytes().startswith(b"\x89PNG")
    for extra in ([], ["--dataset", "digits"]):
        status, _, _ = run(
            "export", "digits.pt", "--widths-file", "found/widths.json", "-o", "out", *extra
        )
        assert status == 0
    assert load_graph(tmp_path / "out" / "model.safetensors").widths == (8, 6, 4, 3, 2)
    image = (tmp_path / "out" / "model.img").read_bytes()
    built = []
    monkeypatch.setattr(
        "downshift.boards.build.build", lambda *_, files, **__: built.append(files) or a_report()
    )
    (tmp_path / "own.json").write_text(config_text(find("ulx3s-85f").config))
    widths = ("--widths-file", "found/widths.json", "--dataset", "digits")
    status, out, _ = run("build", "digits.pt", *widths, "--config", "own.json", "--json")
    assert status == 0 and json.loads(out)["fmax_mhz"] == 61.0
    assert built[0]["model.img"] == image
    # By itself, it looks for the fastest accelerator.
    status, out, _ = run("build", "digits.pt", *widths, "--json")
    assert status == 0 and 0 < json.loads(out)["fit"]["predicted"]["lut"] < 83_640
    assert built[1]["model.img"] != image
    whole = (tmp_path / "found" / "model.safetensors").read_bytes()
    assert (tmp_path / "out" / "model.safetensors").read_bytes() == whole


def test_search_keeps_the_supernet_that_it_trains(run, tmp_path, short_training):
    save_checkpoint(tmp_path / "digits.pt", short_training)
    status, out, _ = run(
        "search", "digits.pt", "--epochs", 1, "--threshold", "quantile", "--probes", 2,
        "--best", 1, "--budget", "bits=6", "-o", "found",
    )  # fmt: skip
    assert status == 0 and "found/model.pt" in out.split()
    found = load_checkpoint(tmp_path / "found" / "model.pt")
    before, after = (model.conv2.weight for model in (short_training.model, found.model))
    assert not torch.equal(before, after)
    status, _, _ = run("export", "found/model.pt", "--widths-file", "found/widths.json")
    assert status == 0


@pytest.mark.parametrize(
    ("arguments", "status", "sentence"),
    [
        (["--budget", "cycles=10"], 1, "A budget of 10 cycles is below the least possible, "),
        (["--budget", "bits=four"], 2, "A budget needs a positive number, as in bits=4"),
        (["--budget", "area=4"], 2, "Budgets are bits, bytes, bitops or cycles, not 'area'"),
        (["--dataset", "other.npz"], 1, "takes images of shape (8, 8, 1) in 10 classes, other.npz"),
    ],
)
def test_searches_that_cannot_be(run, tmp_path, short_training, arguments, status, sentence):
    save_checkpoint(tmp_path / "digits.pt", short_training)
    labels = np.arange(8) % 2
    x = np.zeros((8, 4, 4), np.uint8)
    np.savez(tmp_path / "other.npz", train_x=x, train_y=labels, test_x=x, test_y=labels)
    before = sorted(tmp_path.iterdir())
    ended, out, err = run("search", "digits.pt", *arguments)
    assert (ended, out) == (status, "")
    assert sentence in err.splitlines()[-1]
    assert sorted(tmp_path.iterdir()) == before
