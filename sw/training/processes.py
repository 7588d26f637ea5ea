"""Data-parallel training: processes that share every batch, as `torchrun` starts them."""

import atexit
import os
from collections.abc import Iterable

import torch
import torch.distributed as dist
from torch import Tensor, nn

__all__ = ["Processes", "joined_processes"]


class Processes:
    """The processes of a run; one alone unless told otherwise.

    Parameters
    ----------
    rank : int
        Of this process.
    size : int
        Of all of them.
    """

    def __init__(self, rank: int = 0, size: int = 1):
        self.rank = rank
        self.size = size

    @property
    def leads(self) -> bool:
        """Whether this one writes files and reports."""
        return self.rank == 0

    def share(self, items: Tensor) -> Tensor:
        """Take this process's part, as large as any other's."""
        return items[self.rank : len(items) - len(items) % self.size : self.size]

    def average_gradients(self, parameters: Iterable[Tensor]) -> None:
        """Give all processes the mean of their gradients."""
        self._average([p.grad for p in parameters if p.grad is not None])

    @torch.no_grad()
    def average_statistics(self, model: nn.Module) -> None:
        """Give all processes the mean of their batch norms' running statistics."""
        self._average([b for b in model.buffers() if b.is_floating_point()])

    def _average(self, tensors: list[Tensor]) -> None:
        if self.size == 1 or not tensors:
            return
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        dist.all_reduce(flat)
        flat /= self.size
        for tensor, part in zip(tensors, flat.split([t.numel() for t in tensors]), strict=True):
            tensor.copy_(part.view_as(tensor))


def joined_processes(device: torch.device) -> Processes:
    """Join the processes that ``torchrun`` has started, if it has, until this one ends."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        return Processes()
    # Once: the addresses of a group that was left lead nowhere.
    if not dist.is_initialized():
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
        atexit.register(dist.destroy_process_group)
    return Processes(dist.get_rank(), size)
