import brevitas.nn as qnn
import numpy as np
import pytest
import torch
from brevitas.quant import Int8ActPerTensorFloat
from torch import nn

from downshift.hw.errors import DownshiftError
from downshift.sim import golden
from downshift.sw.importing.from_torch import import_module
from downshift.sw.importing.quantize import input_codes

X = torch.randn(64, 3, 8, 8, generator=torch.Generator().manual_seed(0))
pytestmark = pytest.mark.filterwarnings("ignore")


class Block(nn.Module):
    """A linear bottleneck, a residual, ReLU6, parts joined."""

    def __init__(self):
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU6())
        self.depth = nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.other = nn.Conv2d(8, 4, 3, padding=2, dilation=2)
        self.last = nn.Linear(12, 5)

    def forward(self, x):
        x = self.first(x)
        x = torch.relu(self.depth(x) + x)
        x = torch.cat([x, self.other(x)], 1)
        return self.last(nn.functional.avg_pool2d(x, 2).mean((2, 3)))


def settled(model, x=X):
    """The model after its statistics have seen the inputs."""
    torch.manual_seed(0)
    for _ in range(20):
        model(x)
    return model.eval()


def test_a_float_module():
    torch.manual_seed(1)
    model = settled(Block().train())
    graph = import_module(model, X[:1], calibration=X.numpy(), name="block")
    assert (graph.name, graph.widths, len(graph.layers)) == ("block", (8, 6, 4, 2), 7)
    wanted = model(X).detach().numpy()
    logits = golden.run(graph, input_codes(graph, X.numpy().transpose(0, 2, 3, 1)), 8).logits
    noise = np.mean((logits * graph.logit_scales[8] - wanted) ** 2) / wanted.var()
    assert noise < 0.01


class Quantized(nn.Module):
    def __init__(self, bits):
        super().__init__()
        self.entering = qnn.QuantIdentity(act_quant=Int8ActPerTensorFloat)
        self.first = qnn.QuantConv2d(3, 8, 3, padding=1, bias=False, weight_bit_width=bits)
        self.relu = qnn.QuantReLU(bit_width=bits, return_quant_tensor=True)
        self.shared = qnn.QuantIdentity(bit_width=bits, return_quant_tensor=True)
        self.second = qnn.QuantConv2d(8, 8, 3, padding=1, bias=False, weight_bit_width=bits)
        self.sum = qnn.QuantEltwiseAdd()
        self.after = qnn.QuantReLU(bit_width=bits)
        self.last = qnn.QuantLinear(8 * 64, 5, bias=False, weight_bit_width=8)

    def forward(self, x):
        x = self.shared(self.relu(self.first(self.entering(x))))
        x = self.after(self.sum(self.shared(self.second(x)), x))
        return self.last(torch.flatten(x, 1))


@pytest.mark.parametrize("bits", [8, 4])
def test_a_brevitas_module_keeps_its_bits(bits):
    torch.manual_seed(1)
    model = settled(Quantized(bits).train())
    graph = import_module(model, X[:1])
    assert graph.widths == (8,)
    by_name = {layer.name.split("/")[1]: layer.settings[8] for layer in graph.layers}
    assert by_name["first"].weight_width <= bits and by_name["first"].out_width == bits
    wanted = model(X).detach().numpy()
    codes = input_codes(graph, X.numpy().transpose(0, 2, 3, 1))
    logits = golden.run(graph, codes, 8).logits * graph.logit_scales[8]
    # Codes of both differ where float rescaling falls on the other side of a half.
    assert np.mean((logits - wanted) ** 2) / wanted.var() < (1e-3 if bits == 8 else 0.02)
    assert model.training is False


def test_a_module_that_torch_cannot_write():
    class Strange(nn.Module):
        def forward(self, x):
            raise RuntimeError("no\nway")

    with pytest.raises(
        DownshiftError, match=r"^Strange cannot be written as ONNX \(no\?way\)"
    ) as caught:
        import_module(Strange(), X[:1])
    assert "\n" not in str(caught.value)


class FewBits(nn.Module):
    """An input of six bits, and signed codes of four after a relu."""

    def __init__(self):
        super().__init__()
        self.entering = qnn.QuantIdentity(bit_width=6)
        self.first = qnn.QuantConv2d(3, 8, 3, bias=False)
        self.signed = qnn.QuantIdentity(bit_width=4)
        self.last = qnn.QuantLinear(8 * 36, 5, bias=False)

    def forward(self, x):
        x = self.signed(torch.relu(self.first(self.entering(x))))
        return self.last(torch.flatten(x, 1))


def test_quantizers_of_few_bits_keep_their_limits():
    torch.manual_seed(1)
    model = settled(FewBits().train())
    graph = import_module(model, X[:1])
    first = graph.layers[0].settings[graph.widths[0]]
    assert (first.in_width, first.out_width, first.zero_point_out) == (6, 3, 0)
    wanted = model(X).detach().numpy()
    logits = golden.run(
        graph, input_codes(graph, X.numpy().transpose(0, 2, 3, 1)), graph.widths[0]
    ).logits
    # Logits are whole numbers of steps; only what a step is worth is a float.
    assert np.array_equal(np.rint(wanted / graph.logit_scales[graph.widths[0]]), logits)
