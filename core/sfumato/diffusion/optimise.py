"""Gradients through the network: counted, and with memory traded for time where it is short.

Weights never require grad; what is optimised is a text, a latent, or what is made of them. Code that uses
this opens `torch.enable_grad()` itself and never yields inside it.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from sfumato.method import Progress

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


def is_large(model: Model) -> bool:
    """Whether keeping all activations of one row takes gigabytes: from some 200 million weights on."""
    return sum(each.numel() for each in model.unet.parameters()) > 2e8


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


class Found(NamedTuple):
    """One attempt: what was tried, the loss it has, and the latent (1, C, h, w) it leads to."""

    values: tuple[Tensor, ...]
    loss: float
    latent: Tensor


Objective = Callable[[tuple[Tensor, ...]], tuple[Tensor, Tensor]]
"""values -> (loss, the latent they lead to), through one row evaluation."""


@dataclass(frozen=True)
class Descent:
    """How long to look for values of small loss, and how."""

    rate: float
    most: int
    """Gradient steps at most."""
    enough: float
    """A loss under this is small enough."""
    at: tuple[int, int, int] = (0, 1, 1)
    """(i, S, most): it is step i of S, and none has more than that many gradient steps; for the progress."""
    keep_last: bool = False
    """Not the best attempt but the last, one step after the loss was small enough, as published code does."""
    save_memory: bool = False
    """Recompute activations; no plan may be in force then."""

    def run(
        self, model: Model, values: tuple[Tensor, ...], objective: Objective
    ) -> Generator[Progress, None, Found]:
        """Adam from `values`; report every attempt, return the best, which is never worse than the first.

        Costs at most `most` + 1 forward and `most` backward row evaluations.
        """
        adam, best, last = Adam(self.rate), None, self.most == 0
        i, steps, room = self.at[0], self.at[1], self.at[2] + 1
        for attempt in range(self.most + 1):
            found, slopes = self._attempt(model, values, objective, last=last)
            if best is None or self.keep_last or found.loss < best.loss:
                best = found
            stage = f"Fitting step {i + 1} of {steps}: loss {found.loss:.1e}"
            yield Progress(i * room + attempt + 1, steps * room, stage)
            if not slopes:
                break
            last = attempt + 1 == self.most or found.loss < self.enough
            values = adam.step(values, slopes)
        assert best is not None
        return best

    def _attempt(
        self, model: Model, values: tuple[Tensor, ...], objective: Objective, *, last: bool
    ) -> tuple[Found, tuple[Tensor, ...]]:
        """One evaluation and, unless it is good enough or the last, the gradient there."""
        saving = checkpointed(model) if self.save_memory and not last else nullcontext()
        with saving, torch.set_grad_enabled(not last):
            free = tuple(each.detach().requires_grad_(not last) for each in values)
            loss, latent = objective(free)
            found = Found(values, float(loss.detach()), latent.detach())
            if last or (found.loss < self.enough and not self.keep_last):
                return found, ()
            return found, gradient(model, loss, free, rows=1)
