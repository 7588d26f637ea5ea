import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_graph import make_graph

from downshift.sw.cli import main
from downshift.sw.data.digits import load_digits
from downshift.sw.graph.graph_file import save_graph
from downshift.sw.networks.small import SmallNet
from downshift.sw.quantization.prepare import prepare
from downshift.sw.training.calibration import calibrate, recalibrate_norms
from downshift.sw.training.config import TrainingConfig
from downshift.sw.training.run import train

SHORT = TrainingConfig(float_epochs=3, quantized_epochs=2)


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """Threads cost more than they give on layers this small."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def saved(tmp_path_factory):
    """A graph file."""
    path = tmp_path_factory.mktemp("saved") / "tiny.safetensors"
    save_graph(make_graph(), path)
    return path.read_bytes()


@pytest.fixture(scope="session")
def digits():
    return load_digits()


@pytest.fixture(scope="session")
def few(digits):
    """Digits for runs of seconds."""
    return replace(digits, train=digits.train.take(320), validation=digits.validation.take(60))


@pytest.fixture(scope="session")
def short_training(digits):
    return train(SHORT, digits)


@pytest.fixture(scope="session")
def untrained(digits):
    """Random weights, calibrated: codes spread over the whole range."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        float_model = SmallNet(digits.input_shape, 10)
    model = prepare(float_model, widths=(8, 6, 4, 2), input_scale=digits.input_scale)
    images = digits.real(digits.train.codes)
    calibrate(model, images[:256], (8, 6, 4, 2))
    recalibrate_norms(model, images, (8, 6, 4, 2))
    return model.eval()


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    """Run the command line in an empty folder; status, standard output and error."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["downshift", *map(str, arguments)])
        with pytest.raises(SystemExit) as status:
            main()
        captured = capsys.readouterr()
        return status.value.code, captured.out, captured.err

    return call


@pytest.fixture(scope="session")
def lowered():
    """A network with residuals, a depthwise layer and a mean, at every width."""
    from onnx_models import make_model, whole_numbers

    from downshift.sw.importing.importer import import_graph

    constants = {
        "w": whole_numbers((16, 3, 3, 3)), "v": whole_numbers((16, 16, 3, 3), seed=1),
        "d": whole_numbers((16, 1, 3, 3), seed=2), "fc": whole_numbers((16, 10), seed=3),
    }  # fmt: skip
    nodes = [
        ("Conv", ["x", "w"], ["a"], {"pads": [1] * 4}), ("Relu", ["a"], ["b"]),
        ("Conv", ["b", "v"], ["c"], {"pads": [1] * 4}), ("Add", ["c", "b"], ["s"]),
        ("Relu", ["s"], ["e"]),
        ("Conv", ["e", "d"], ["f"], {"pads": [0, 0, 1, 1], "strides": [2, 2], "group": 16}),
        ("MaxPool", ["f"], ["p"], {"kernel_shape": [2, 2], "strides": [2, 2]}),
        ("GlobalAveragePool", ["p"], ["m"]), ("Flatten", ["m"], ["n"]),
        ("MatMul", ["n", "fc"], ["y"]),
    ]  # fmt: skip
    model = make_model(nodes, (3, 12, 12), constants=constants)
    images = np.random.default_rng(0).normal(size=(32, 3, 12, 12))
    return import_graph(model.SerializeToString(), calibration=images)
