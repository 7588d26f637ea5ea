"""How everything but the scales learns."""

import torch
from torch import nn

from downshift.sw.quantization.switchable import scale_parameters

__all__ = ["set_rate", "weight_optimizer"]


def weight_optimizer(model: nn.Module, *, weight_decay: float) -> torch.optim.AdamW:
    """Make AdamW on everything but the scales; weights alone decay."""
    scales = {id(scale) for scale in scale_parameters(model)}
    others = [p for p in model.parameters() if id(p) not in scales]
    groups = [
        {"params": [p for p in others if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in others if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW([group for group in groups if group["params"]], lr=0.0, fused=True)


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Set the learning rate of the next step."""
    for group in optimizer.param_groups:
        group["lr"] = rate
