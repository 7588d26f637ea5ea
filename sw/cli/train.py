"""`downshift train`."""

from pathlib import Path

import click

from downshift.sw.cli.console import print_json, print_table, progress_bars
from downshift.sw.cli.options import json_option, widths_option

__all__ = ["train"]


@click.command(epilog="Example: downshift train -o digits.pt --widths 8,4,2 --seed 1")
@click.option(
    "-o", "--out", type=click.Path(path_type=Path, dir_okay=False), default=Path("model.pt"),
    show_default=True, metavar="FILE", help="Checkpoint to write.",
)  # fmt: skip
@click.option(
    "--data", type=click.Path(path_type=Path), metavar="FILE.npz",
    help="Arrays train_x, train_y, test_x, test_y; images uint8 of (n, height, width[, channels]). "
    "Default: scikit-learn's digits.",
)  # fmt: skip
@widths_option
@click.option(
    "--seed",
    type=click.IntRange(0, 2**63 - 1),
    default=0,
    show_default=True,
    help="Of weights and batches.",
)
@click.option(
    "--epochs", type=click.IntRange(min=1), metavar="N", help="Passes in FP32 and at all widths."
)
@json_option
def train(out, data, widths, seed, epochs, as_json):
    """Train a small CNN: in FP32, then one set of int8 weights for all widths."""
    from downshift.sw.atomic_write import check_writable
    from downshift.sw.checkpoint import save_checkpoint
    from downshift.sw.datasets import load_digits, load_images
    from downshift.sw.freeze import freeze
    from downshift.sw.training import TrainingConfig, train_small_net

    choices = {"seed": seed}
    if widths:
        choices["widths"] = tuple(sorted(widths, reverse=True))
    if epochs is not None:
        choices |= {"float_epochs": epochs, "quantized_epochs": epochs}
    config = TrainingConfig(**choices)
    images = load_images(data) if data else load_digits()
    check_writable(out)  # before the work, not after
    with progress_bars() as bars:
        training = train_small_net(
            config,
            data=images,
            progress=lambda done, total, text: bars.report("train", done, total, text),
        )
    save_checkpoint(out, training, config)
    frozen = freeze(training.model, input_shape=images.input_shape, name=out.stem)
    accuracies = {
        width: frozen.accuracy(images.test_images, images.test_labels, width)
        for width in config.widths
    }
    if as_json:
        print_json(
            {
                "checkpoint": str(out),
                "fp32_accuracy": training.float_accuracy,
                "accuracy": {str(width): value for width, value in accuracies.items()},
            }
        )
        return
    print_table(
        ["Bits", "Accuracy"],
        [["FP32", f"{training.float_accuracy:.2%}"]]
        + [[width, f"{value:.2%}"] for width, value in accuracies.items()],
        title=f"{len(images.test_labels):,} test images, integer arithmetic",
    )
    click.echo(out)
