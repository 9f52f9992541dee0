"""Gradients through the network: counted, and with memory traded for time where it is short.

Weights never require grad; what is optimised is a text, a latent, or what is made of them. Code that uses
this opens `torch.enable_grad()` itself and never yields inside it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from sfumato.models.model import Model


def gradient(model: Model, loss: Tensor, wrt: Sequence[Tensor], *, rows: int) -> tuple[Tensor, ...]:
    """∂loss/∂x for each x of `wrt`, having gone back through `rows` row evaluations of the network."""
    found = torch.autograd.grad(loss, wrt)
    model.counters.backward += rows
    return found


@contextmanager
def checkpointed(model: Model) -> Iterator[None]:
    """Recompute activations on the way back instead of keeping them; meanwhile no plan may be in force.

    The second computation would not find the plan's processors, which are there for one call only.
    """
    unet: Any = model.unet
    unet.enable_gradient_checkpointing()
    try:
        yield
    finally:
        unet.disable_gradient_checkpointing()


@contextmanager
def in_full_precision(model: Model) -> Iterator[None]:
    """Let the network run in float32 meanwhile, whatever it was loaded in: gradients vanish in less.

    Its weights come back bit for bit, having been widened and narrowed again.
    """
    if model.dtype == torch.float32:
        yield
        return
    usual = model.denoiser
    model.unet.float()
    model.denoiser = replace(usual, dtype=torch.float32)
    try:
        yield
    finally:
        model.denoiser = usual
        model.unet.to(model.dtype)


class Adam:
    """Kingma & Ba 2015, algorithm 1, with its published constants; torch's own takes seconds to import."""

    def __init__(self, rate: float) -> None:
        self.rate = rate
        self._moments: list[tuple[Tensor, Tensor]] = []
        self._steps = 0

    def step(self, values: Sequence[Tensor], slopes: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """θ ← θ - α m̂ / (√v̂ + 10⁻⁸), for each of `values`; none is written into."""
        self._moments = self._moments or [(torch.zeros_like(each), torch.zeros_like(each)) for each in values]
        self._steps += 1
        self._moments = [
            (0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2)
            for (m, v), g in zip(self._moments, slopes, strict=True)
        ]
        first, second = 1 - 0.9**self._steps, 1 - 0.999**self._steps
        return tuple(
            x - self.rate * (m / first) / ((v / second).sqrt() + 1e-8)
            for x, (m, v) in zip(values, self._moments, strict=True)
        )
