"""Making predicted noise look like noise: uncorrelated between neighbours, mean 0, variance 1.

Parmar et al.: Zero-shot Image-to-Image Translation (Pix2Pix-Zero), 2023, section 3.2; Garibi et al.: ReNoise,
2024, section 4.2 takes the same with the divergence per patch. Nothing here goes through the network.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, unfold

Shift = Callable[[int], int]
"""Side of a level of the pyramid -> by how many cells it is compared with itself."""

_COARSEST = 8
"""Side, in cells, at which the pyramid ends."""


def autocorrelation(eps: Tensor, shift: Shift) -> Tensor:
    """Σ over channels, pyramid levels and both axes of mean(ε · rolled ε)²; a scalar, 0 for white noise.

    ε is (1, C, h, w); each level halves the one before, down to eight cells.
    """
    total = eps.new_zeros(())
    for channel in eps.split(1, dim=1):
        level = channel
        while True:
            side = min(level.shape[-2:])
            cells = shift(side)
            for axis in (-2, -1):
                total = total + (level * level.roll(cells, axis)).mean() ** 2
            if side <= _COARSEST:
                break
            level = avg_pool2d(level, 2)
    return total


def divergence(eps: Tensor, patch: int = 0) -> Tensor:
    """Mean of var + mean² - 1 - log(var + 1e-7): twice the KL divergence from N(0, 1); a scalar.

    ε is (1, C, h, w), taken as a whole or, with `patch`, in squares of that many cells per channel.
    """
    parts = eps.flatten()[None]
    if patch:
        parts = unfold(eps.flatten(0, 1)[:, None], patch, stride=patch).transpose(1, 2).flatten(0, 1)
    var, mean = parts.var(-1), parts.mean(-1)
    return (var + mean**2 - 1 - torch.log(var + 1e-7)).mean()


@dataclass(frozen=True)
class Regulariser:
    """ε ↦ ε after `rounds` of gradient steps on its autocorrelation and its divergence from N(0, 1).

    With both weights 0 it gives back what it got. Every call draws the same shifts, those of `seed`.
    """

    ac: float = 20.0
    """λ_ac"""
    kl: float = 20.0
    """λ_kl"""
    rounds: int = 5
    rolls: int = 5
    """Steps on the autocorrelation per round, each with its own shifts."""
    patch: int = 0
    """That of `divergence`."""
    shift: Shift | None = None
    """How far to shift; by default up to half a side, at random but never by nothing."""
    seed: int = 0

    def __call__(self, eps: Tensor) -> Tensor:
        """(1, C, h, w) -> (1, C, h, w)"""
        shift = self.shift or random_shift(self.seed)
        for _ in range(self.rounds):
            for _ in range(self.rolls if self.ac else 0):
                eps = _descended(eps, lambda e: autocorrelation(e, shift), self.ac / self.rolls)
            if self.kl:
                eps = _descended(eps, lambda e: divergence(e, self.patch), self.kl)
        return eps


def random_shift(seed: int) -> Shift:
    """Shifts of 1 to half a side. The published code may draw 0, which compares a cell with itself."""
    generator = torch.Generator("cpu").manual_seed(seed)
    return lambda side: 1 + int(torch.randint(max(side // 2, 1), (), generator=generator))


def _descended(eps: Tensor, loss: Callable[[Tensor], Tensor], rate: float) -> Tensor:
    with torch.enable_grad():
        free = eps.detach().requires_grad_()
        (slope,) = torch.autograd.grad(loss(free), free)
    return eps - rate * slope
