"""Parameters shared by worker processes: one flat tensor, a gradient each, a lock-free barrier."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.optim.adamw import adamw as functional_adamw


class BrokenError(Exception):
    """A worker or the parent process is gone."""


class Weights:
    """All parameters of a model as one flat fp32 tensor, with its average and AdamW's two moments.

    `parts` says where each named parameter begins, and its shape.
    """

    def __init__(self, model: nn.Module, device: torch.device) -> None:
        named = [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
        self.parts = {}
        start = 0
        for name, parameter in named:
            self.parts[name] = (start, parameter.shape)
            start += parameter.numel()
        self.flat = torch.cat([parameter.detach().float().reshape(-1) for _, parameter in named]).to(device)
        self.average = self.flat.clone()
        self.first, self.second = torch.zeros_like(self.flat), torch.zeros_like(self.flat)
        for tensor in self.tensors().values():
            if device.type == "cpu":
                tensor.share_memory_()
        for (_, parameter), view in zip(named, self.views(self.flat).values(), strict=True):
            parameter.data = view

    def tensors(self) -> dict[str, Tensor]:
        """Everything a resumed run needs."""
        return {"flat": self.flat, "average": self.average, "first": self.first, "second": self.second}

    def views(self, flat: Tensor) -> dict[str, Tensor]:
        """A flat tensor seen as the named parameters."""
        return {
            name: flat[start : start + shape.numel()].view(shape)
            for name, (start, shape) in self.parts.items()
        }

    def attach_gradient(self, model: nn.Module, gradient: Tensor) -> None:
        """Let backward passes of this process accumulate into a flat gradient."""
        views = self.views(gradient)
        for name, parameter in model.named_parameters():
            if name in views:
                parameter.grad = views[name]


@torch.no_grad()
def adamw(weights: Weights, gradient: Tensor, part: slice, *, step: int, rate: float, keep: float) -> None:
    """One AdamW step (betas 0.9, 0.99, no decay) and one of the average, on a slice of the flat tensors."""
    functional_adamw(
        [weights.flat[part]],
        [gradient[part]],
        [weights.first[part]],
        [weights.second[part]],
        [],
        [torch.tensor(float(step - 1), device=weights.flat.device)],
        fused=True,
        amsgrad=False,
        beta1=0.9,
        beta2=0.99,
        lr=rate,
        weight_decay=0.0,
        eps=1e-8,
        maximize=False,
    )
    weights.average[part].lerp_(weights.flat[part], 1 - keep)


def slices(length: int, count: int) -> list[slice]:
    """`length` cut into `count` nearly equal slices."""
    edges = [length * index // count for index in range(count + 1)]
    return [slice(first, last) for first, last in pairwise(edges)]


class Barrier:
    """Workers wait for each other by counting in shared memory: no lock that a killed worker could keep.

    Stopped processes (SIGSTOP) may wait for ever; a missing one is noticed by `broken` or a new parent.
    """

    def __init__(self, count: int) -> None:
        self.arrived = torch.zeros(count, dtype=torch.int64).share_memory_()
        self.broken = torch.zeros(1, dtype=torch.int64).share_memory_()
        self.parent = os.getpid()

    def wait(self, worker: int) -> None:
        """Return when all have arrived as often; BrokenError when somebody is gone."""
        self.arrived[worker] += 1
        mine, pause = int(self.arrived[worker]), 0.0002
        while int(self.arrived.min()) < mine:
            if int(self.broken) or os.getpid() != self.parent != os.getppid():
                raise BrokenError
            time.sleep(pause)
            pause = min(pause * 1.5, 0.01)


def average_gradients(gradients: Iterable[Tensor], part: slice, out: Tensor) -> None:
    """The mean of all workers' gradients on a slice, into `out`."""
    pieces = [gradient[part] for gradient in gradients]
    out[part] = torch.stack(pieces).mean(0) if len(pieces) > 1 else pieces[0]
