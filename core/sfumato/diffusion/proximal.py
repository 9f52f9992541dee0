"""Proximal guidance: where guidance would change little, it changes nothing, and the picture is kept.

Han et al.: Improving Tuning-Free Real Image Editing with Proximal Guidance (ProxEdit), 2023, section 3.2.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import sqrt
from typing import Literal

import torch
from torch import Tensor

from sfumato.diffusion.blending import grown
from sfumato.diffusion.denoiser import Combine
from sfumato.diffusion.schedule import Grid, Schedule

Correct = Callable[[Tensor, Tensor, Mapping[str, Tensor], int], Tensor]
"""(x after step i, x̂_0 of the step, rows' noise, i) -> x put right; each (1, C, h, w)."""


@dataclass(frozen=True)
class Proximal:
    """ε = ε_∅ + w · prox(δ) with δ = ε_c - ε_∅, cut at λ, a quantile of |δ|.

    Below level `until` the latent is drawn back by `rate` wherever |δ| ≤ λ.
    """

    norm: Literal["l0", "l1"] = "l0"
    """The norm whose proximal map it is: l0 drops what is under λ, l1 lessens all else by λ as well."""
    quantile: float = 0.75
    until: int = 400
    rate: float = 1.0
    towards: Literal["inversion", "picture"] = "inversion"
    """Draw the latent to the inversion's own of that level, or x̂_0 to x_0."""
    widen: int = 1
    """Cells around |δ| > λ that are let go as well."""

    def combined(self, uncond: str, cond: str, w: float) -> Combine:
        """ε_∅ + w · prox(δ)"""
        return lambda eps, _: eps[uncond] + w * self._prox(eps[cond] - eps[uncond])

    def corrected(
        self, uncond: str, cond: str, goal: tuple[Tensor, Tensor | None], grid: Grid, schedule: Schedule
    ) -> Correct:
        """What draws back; `goal` = x_0 and the latents after each step (S, C, h, w)."""
        x0, after = goal

        def correct(x: Tensor, x0hat: Tensor, eps: Mapping[str, Tensor], i: int) -> Tensor:
            if not self.rate or grid.levels[i] >= self.until:
                return x
            # A branch whose two rows see the same may have been left with one: guidance changes nothing.
            delta = eps[cond] - eps.get(uncond, eps[cond])
            changing = grown((delta.abs() > self._cut(delta)).float(), self.widen) > 0
            if self.towards == "inversion" and after is not None:
                drawn = torch.lerp(x, after[i : i + 1], self.rate)
            else:
                drawn = x + sqrt(schedule.a(grid.levels[i + 1])) * self.rate * (x0 - x0hat)
            return torch.where(changing, x, drawn)

        return correct

    def _prox(self, delta: Tensor) -> Tensor:
        cut = self._cut(delta)
        if self.norm == "l1":
            return delta - delta.clamp(-cut, cut)
        return torch.where(delta.abs() > cut, delta, torch.zeros_like(delta))

    def _cut(self, delta: Tensor) -> float:
        """λ"""
        return float(torch.quantile(delta.abs().flatten(), self.quantile))
