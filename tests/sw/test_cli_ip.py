import json

import numpy as np
import pytest

from downshift.hw.config import AcceleratorConfig
from downshift.hw.table_config import TableConfig
from downshift.sim.random_networks import random_network
from downshift.sw.compile.config_file import config_text, read_config
from downshift.sw.compile.image import Image
from downshift.sw.graph.graph_file import save_graph


def test_ip_core_with_an_image_for_it(run, tmp_path):
    config = AcceleratorConfig(rows=4, requantizers=1)
    graph = random_network(np.random.default_rng(1))
    save_graph(graph, tmp_path / "tiny.safetensors")
    (tmp_path / "small.json").write_text(config_text(config))
    arguments = ["--config", "small.json", "-o", "core", "--json"]
    status, out, err = run("ip", "tiny.safetensors", *arguments)
    assert status == 0, err
    report = json.loads(out)
    assert report["fingerprint"] == config.fingerprint
    assert Image.load(tmp_path / "core" / "model.img").config == config
    files = {file.name for file in (tmp_path / "core").iterdir()}
    assert {f"core/{name}" for name in files} == set(report["files"])
    assert {"downshift_axi.v", "component.xml", "downshift_registers.h", "registers.md"} < files
    assert f"{config.fingerprint:x}" in (tmp_path / "core" / "downshift_axi.v").read_text()


def test_core_behind_spi_with_a_host_in_c(run, tmp_path):
    graph = random_network(np.random.default_rng(1))
    save_graph(graph, tmp_path / "tiny.safetensors")
    status, _, err = run("ip", "tiny.safetensors", "--link", "spi", "-o", "core")
    assert status == 0, err
    files = {file.name for file in (tmp_path / "core").iterdir()}
    assert files == {
        "config.json", "downshift.c", "downshift.h", "downshift_spi.v", "model.h", "model.img",
        "model.safetensors",
    }  # fmt: skip
    assert "const downshift_model" in (tmp_path / "core" / "model.h").read_text()


def test_default_accelerators(run, tmp_path):
    assert run("ip")[0] == run("ip", "--tables", "-o", "tables")[0] == 0
    assert read_config(tmp_path / "ip" / "config.json") == AcceleratorConfig()
    assert read_config(tmp_path / "tables" / "config.json") == TableConfig()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--tables", "--config", "c.json"], "c.json is the accelerator to take; leave --tables"),
        (["--config", "c.json"], "c.json"),
        (["nothing.safetensors"], "nothing.safetensors"),
        (["--widths-file", "w.json"], "w.json is about a network; name its checkpoint, too"),
        (["-o", "file/ip"], "file"),
    ],
)
def test_errors_are_one_sentence(run, tmp_path, arguments, message):
    (tmp_path / "file").write_text("")
    status, out, err = run("ip", *arguments)
    assert status == 1
    assert out == ""
    assert err.startswith("downshift: ")
    assert err.count("\n") == 1
    assert message in err
    assert [file.name for file in tmp_path.iterdir()] == ["file"]
