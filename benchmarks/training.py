"""Time and memory of a training step at four widths, beside stock Brevitas at one and beside FP32.

The network is ResNet-8 on 32 x 32 pixels. Steps take turns in one process, so that whatever else
the machine does slows all of them; memory is that of processes of their own.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch
import torch.nn.functional as F
from brevitas.nn import QuantConv2d, QuantLinear, QuantReLU
from torch import nn

from downshift.sw.data.images import Images, Split
from downshift.sw.networks.resnet import ResNet8
from downshift.sw.training.batches import Batch
from downshift.sw.training.config import TrainingConfig
from downshift.sw.training.joint import JointPhase
from downshift.sw.training.processes import Processes
from downshift.sw.training.run import switchable

SHAPE, CLASSES, STOCK_WIDTH = (32, 32, 3), 10, 4


def batch_of(size: int) -> Batch:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (size, 3, 32, 32), generator=generator) / 255
    labels = torch.randint(0, CLASSES, (size,), generator=generator)
    return Batch(step=0, rate=1e-4, images=images, labels=labels)


def plain(model: nn.Module, batch: Batch) -> Callable[[], None]:
    """Make a step of a network at one precision."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)

    def step():
        F.cross_entropy(model(batch.images), batch.labels).backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def with_stock_quantizers(model: nn.Module) -> nn.Module:
    """Put Brevitas' own layers in the place of all convolutions, relus and linear layers."""
    for path, module in list(model.named_modules()):
        if isinstance(module, nn.Conv2d):
            new = QuantConv2d(
                module.in_channels, module.out_channels, module.kernel_size, stride=module.stride,
                padding=module.padding, bias=module.bias is not None, weight_bit_width=STOCK_WIDTH,
            )  # fmt: skip
        elif isinstance(module, nn.ReLU):
            new = QuantReLU(bit_width=STOCK_WIDTH)
        elif isinstance(module, nn.Linear):
            new = QuantLinear(
                module.in_features, module.out_features, bias=True, weight_bit_width=STOCK_WIDTH
            )
        else:
            continue
        model.set_submodule(path, new)
    return model


def joint(batch: Batch) -> Callable[[], None]:
    """Make a step of ours, at four widths, the highest teaching the others."""
    config = TrainingConfig(network="resnet8")
    codes = (batch.images * 255).round().byte()
    split = Split(codes=codes, labels=batch.labels)
    images = Images(train=split, validation=split, test=split, input_scale=1 / 255, classes=CLASSES)
    model = switchable(ResNet8(SHAPE, CLASSES), config, images.input_scale)
    phase = JointPhase(model, images, config, Processes())
    model.train()

    def step():
        phase.learn(batch, 0.5)

    return step


def steps(size: int) -> dict[str, Callable[[], Callable[[], None]]]:
    batch = batch_of(size)
    return {
        "fp32": lambda: plain(ResNet8(SHAPE, CLASSES), batch),
        "stock": lambda: plain(with_stock_quantizers(ResNet8(SHAPE, CLASSES)), batch),
        "joint": lambda: joint(batch),
    }


def seconds(size: int, rounds: int) -> dict[str, float]:
    """Median time of a step of each kind."""
    made = {name: make() for name, make in steps(size).items()}
    times: dict[str, list[float]] = {name: [] for name in made}
    for round_ in range(rounds + 2):
        for name, step in made.items():
            began = time.perf_counter()
            step()
            if round_ >= 2:  # the first ones allocate
                times[name].append(time.perf_counter() - began)
    return {name: median(values) for name, values in times.items()}


def peak_bytes(name: str, size: int) -> int:
    """What steps add to the largest resident size of a process of their own."""
    command = [sys.executable, __file__, "--peak", name, "--batch-size", str(size)]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def print_peak(name: str, size: int) -> None:
    # Networks and quantizers are made, and scales calibrated, on a small batch.
    steps(16)[name]()()
    step = steps(size)[name]()
    Path("/proc/self/clear_refs").write_text("5")  # the peak so far is forgotten
    before = resident("VmRSS")
    for _ in range(2):
        step()
    print(resident("VmHWM") - before)


def resident(field: str) -> int:
    """Bytes of this process in memory, now or at most, as Linux counts them."""
    (line,) = (x for x in Path("/proc/self/status").read_text().splitlines() if x.startswith(field))
    return int(line.split()[1]) * 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=7, help="steps of each kind")
    parser.add_argument("--json", action="store_true", help="print JSON for machines")
    parser.add_argument("--peak", choices=("fp32", "stock", "joint"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.peak:
        print_peak(arguments.peak, arguments.batch_size)
        return
    times = seconds(arguments.batch_size, arguments.rounds)
    peaks = {name: peak_bytes(name, arguments.batch_size) for name in times}
    report = {
        "step_ratio": times["joint"] / times["stock"],
        "memory_ratio": peaks["joint"] / peaks["stock"],
        "stock_over_fp32": times["stock"] / times["fp32"],
        "seconds": times,
        "peak_bytes": peaks,
        "threads": torch.get_num_threads(),
        "batch_size": arguments.batch_size,
    }
    if arguments.json:
        print(json.dumps(report, indent=2))
        return
    print(f"One step at 8, 6, 4 and 2 bits over one of stock Brevitas at {STOCK_WIDTH}:")
    print(f"  time   {report['step_ratio']:.2f}   (four of its steps: 4)")
    print(f"  memory {report['memory_ratio']:.2f}")
    print(f"One step of stock Brevitas over one in FP32: {report['stock_over_fp32']:.2f}")


if __name__ == "__main__":
    main()
