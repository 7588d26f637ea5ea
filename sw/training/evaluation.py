"""How good a network is, and where it stops giving numbers."""

import torch
from torch import Tensor, nn

from downshift.sw.data.images import Split
from downshift.sw.data.targets import score
from downshift.sw.quantization.widths import kept_widths, set_widths

__all__ = ["accuracies", "accuracy", "first_without_numbers"]

BATCH = 500


@torch.no_grad()
def accuracy(model: nn.Module, split: Split, *, input_scale: float) -> float:
    """What `score` says of a network in floating point, in evaluation mode.

    The network is left in the mode it was in.
    """
    training = model.training
    model.eval()
    outputs = [model(codes.float() * input_scale) for codes in split.codes.split(BATCH)]
    model.train(training)
    return score(torch.cat(outputs), split.labels)


def accuracies(
    model: nn.Module, split: Split, widths: tuple[int, ...], *, input_scale: float
) -> dict[int, float]:
    """`accuracy` of a switchable network at several widths; it keeps the one it ran at."""
    shares = {}
    with kept_widths(model):
        for width in widths:
            set_widths(model, width)
            shares[width] = accuracy(model, split, input_scale=input_scale)
    return shares


def first_without_numbers(model: nn.Module, images: Tensor) -> str:
    """Path of the first module whose parameters or outputs are not all finite; empty if none."""
    for path, module in model.named_modules():
        if any(not p.isfinite().all() for p in module.parameters(recurse=False)):
            return path
    found: list[str] = []

    def look(path):
        def hook(module, inputs, outputs):
            if isinstance(outputs, Tensor) and not found and not outputs.isfinite().all():
                found.append(path)

        return hook

    hooks = [
        module.register_forward_hook(look(path)) for path, module in model.named_modules() if path
    ]
    try:
        with torch.no_grad():
            model(images)
    finally:
        for hook in hooks:
            hook.remove()
    return found[0] if found else ""
