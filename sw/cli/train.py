"""`downshift train`."""

import json
from pathlib import Path

import click

from downshift.hw.errors import DownshiftError
from downshift.sw.cli.console import print_json, print_table, progress_bars
from downshift.sw.cli.options import data_option, json_option, widths_option

__all__ = ["train"]

DATASETS = "digits, mnist, fashion_mnist, cifar10, keywords"


@click.command(epilog="Example: downshift train --dataset mnist --network lenet -o mnist.pt")
@click.option(
    "-o", "--out", type=click.Path(path_type=Path, dir_okay=False), default=Path("model.pt"),
    show_default=True, metavar="FILE", help="Checkpoint to write.",
)  # fmt: skip
@click.option(
    "--dataset", default="digits", show_default=True, metavar="NAME",
    help=f"One of {DATASETS}; or a .npz file with arrays train_x, train_y, test_x, test_y, images "
    "uint8 of (n, height, width[, channels]); or a folder with pictures in train/CLASS and "
    "test/CLASS.",
)  # fmt: skip
@data_option
@click.option(
    "--network", metavar="NAME",
    help="small (default), lenet, resnet8, resnet20, ds-cnn, mobilenet-v1, mobilenet-v2, "
    "perceptron, autoencoder.",
)  # fmt: skip
@click.option(
    "--task", type=click.Choice(["classify", "reconstruct"]),
    help="What is learned; default: what the network is for.",
)  # fmt: skip
@widths_option
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), help="Of weights and batches.")
@click.option(
    "--epochs", type=click.IntRange(min=1), metavar="N", help="Passes in FP32 and at all widths."
)
@click.option("--float-epochs", type=click.IntRange(min=1), metavar="N", help="Passes in FP32.")
@click.option("--batch-size", type=click.IntRange(min=1), metavar="N", help="Images of a step.")
@click.option(
    "--rate-scaling", type=click.Choice(["intent", "measured", "constant", "none"]),
    help="How the scales' learning rate follows the width.",
)  # fmt: skip
@click.option("--stepping", type=click.Choice(["each", "sum"]), help="After each width, or once.")
@click.option(
    "--distillation", type=click.Choice(["none", "star", "chain"]),
    help="Which width teaches which.",
)  # fmt: skip
@click.option(
    "--augmentation", type=click.Choice(["none", "crop", "flip-crop"]),
    help="What happens to images before they are learned from.",
)  # fmt: skip
@click.option(
    "--patience", type=click.IntRange(min=1), metavar="N",
    help="End after so many epochs without a better validation accuracy.",
)  # fmt: skip
@click.option(
    "--config", "config_file", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
    help="Settings as in a run's config.json; options take precedence.",
)  # fmt: skip
@click.option(
    "--run-dir", "folder", type=click.Path(path_type=Path, file_okay=False), metavar="DIR",
    help="Keep settings, log and state of the run there.",
)  # fmt: skip
@click.option("--resume", is_flag=True, help="Go on with the run in --run-dir.")
@click.option("--device", default="cpu", show_default=True, metavar="NAME", help="cpu, cuda, …")
@click.option("--threads", type=click.IntRange(min=1), metavar="N", help="Of PyTorch; default 1.")
@json_option
def train(out, dataset, data, config_file, folder, resume, device, as_json, epochs, **options):
    """Train a network: in FP32, then one set of int8 weights for all widths.

    Ctrl-C ends a run with what has been learned so far; with --run-dir, --resume goes on later.
    """
    from downshift.sw.atomic_write import check_writable
    from downshift.sw.data.named import load_dataset
    from downshift.sw.quantization.freeze import freeze
    from downshift.sw.training.checkpoint import save_checkpoint
    from downshift.sw.training.run import learned_images, train

    if resume and folder is None:
        raise click.UsageError("--resume needs --run-dir DIR, the folder of the run")
    if epochs is not None:
        options = {"quantized_epochs": epochs} | options
        options["float_epochs"] = options["float_epochs"] or epochs
    given = {name: value for name, value in options.items() if value is not None}
    config = _config(config_file, given)
    check_writable(out)  # before the work, not after
    with progress_bars() as bars:
        images = load_dataset(
            dataset, folder=data, progress=lambda name, done, total: bars.report(name, done, total)
        )
        try:
            training = train(
                config,
                images,
                folder=folder,
                resume=resume,
                device=device,
                progress=lambda done, total, text: bars.report("train", done, total, text),
            )
        except KeyboardInterrupt:
            if folder is None or not (folder / "state.pt").exists():
                raise
            raise DownshiftError(
                f"interrupted; add --resume to go on with the run in {folder}", exit_status=130
            ) from None
    if not training.leads:
        return 0
    save_checkpoint(out, training)
    frozen = freeze(training.model, input_shape=images.input_shape, name=out.stem)
    test = learned_images(images, config).test
    shares = {width: frozen.accuracy(test.codes, test.labels, width) for width in config.widths}
    if as_json:
        print_json(
            {
                "checkpoint": str(out),
                "interrupted": training.interrupted,
                "fp32_accuracy": training.float_accuracy,
                "accuracy": {str(width): share for width, share in shares.items()},
            }
        )
    else:
        rows = [["FP32", f"{training.float_accuracy:.2%}"]]
        print_table(
            ["Bits", "Variance explained" if config.reconstructs else "Accuracy"],
            rows + [[width, f"{share:.2%}"] for width, share in shares.items()],
            title=f"{len(images.test):,} test images, integer arithmetic",
        )
        click.echo(out)
    if training.interrupted:
        click.echo("downshift: interrupted; the checkpoint holds what was learned so far", err=True)
    return 130 if training.interrupted else 0


def _config(path: Path | None, given: dict):
    """Settings of a file, and what takes precedence."""
    from downshift.sw.training.config import TrainingConfig

    if path is None:
        return TrainingConfig.from_fields(given)
    try:
        fields = json.loads(path.read_text())
        return TrainingConfig.from_fields(fields | given)
    except OSError as error:
        raise DownshiftError(f"Cannot read {path}: {error.strerror or error}") from None
    except (AttributeError, TypeError, ValueError) as error:
        raise DownshiftError(
            f"{path} holds no settings of a run ({error}); take a run's config.json"
        ) from None
