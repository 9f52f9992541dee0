"""Several signed concepts at once, each where it belongs: Σ_c s_c M_c ⊙ (ε_c - ε_∅).

Brack et al.: LEDITS++, 2024, equations 5 to 12.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import conv2d, interpolate, pad

from sfumato.diffusion.attention import Hook, MapStore
from sfumato.diffusion.denoiser import Row

Masks = Literal["both", "attention", "noise", "none"]
COARSE = 800
"""Above this level noise says little about places; of "both" the attention alone counts (as published)."""


@dataclass(frozen=True, eq=False)
class Concept:
    """Something to add (s > 0) or to take away (s < 0)."""

    row: Row
    tokens: tuple[int, ...]
    """The positions of its words."""
    s: float


@dataclass(eq=False)
class ConceptGuidance:
    """What concepts add to the noise of a step, and where they have acted so far."""

    concepts: Sequence[Concept]
    maps: MapStore
    """Of this step alone: forgotten after each."""
    masks: Masks
    threshold: float
    """λ: the share of the picture a concept leaves alone, by either mask."""
    steps: range
    allowed: Tensor | None = None
    """(1, 1, h, w): the user's own mask, outside which nothing counts."""
    area: Tensor | None = field(default=None, init=False)
    """(1, 1, h, w) bool: where any concept acted at any step."""

    def hook(self) -> Hook:
        """Watches where the concepts' words attend."""
        watched = self.steps if self.concepts and self.masks in ("both", "attention") else range(0)
        return self.maps.hook(watched, tuple(concept.row.name for concept in self.concepts))

    def __call__(self, eps: Mapping[str, Tensor], uncond: str, step: int, level: float) -> Tensor:
        """Σ_c s_c M_c ⊙ (ε_c - ε_∅), (1, C, h, w)."""
        total = torch.zeros_like(eps[uncond])
        if step in self.steps:
            for concept in self.concepts:
                towards = concept.s * (eps[concept.row.name] - eps[uncond])
                if self.allowed is not None:
                    towards = towards * self.allowed
                M = self._mask(concept, towards, level)
                self.area = M if self.area is None else self.area | M
                total = total + torch.where(M, towards, torch.zeros_like(towards))
        self.maps.clear()
        return total

    def _mask(self, concept: Concept, towards: Tensor, level: float) -> Tensor:
        """(1, 1, h, w) bool: M¹ where the words attend most, M² where the noise changes most."""
        M = torch.ones_like(towards[:, :1], dtype=torch.bool)
        if self.masks in ("both", "attention"):
            attended = self.maps.average(concept.row.name)[list(concept.tokens)].sum(0)[None, None]
            strongest = _top(_smoothed(attended), self.threshold).float()
            M &= interpolate(strongest, size=towards.shape[-2:], mode="nearest") > 0
        if self.masks == "noise" or (self.masks == "both" and level <= COARSE):
            M &= _top(towards.abs().sum(1, keepdim=True), self.threshold)
        return M


def _top(x: Tensor, quantile: float) -> Tensor:
    """(1, 1, h, w) bool: the values at or above a quantile of them."""
    return x >= torch.quantile(x.flatten().float(), quantile).to(x.dtype)


def _smoothed(x: Tensor) -> Tensor:
    """A 3x3 Gaussian of variance ½ over (1, 1, h, w), mirrored at the border."""
    distance = torch.tensor([1.0, 0.0, 1.0], device=x.device, dtype=x.dtype)
    line = torch.exp(-distance)
    kernel = torch.outer(line, line) / line.sum() ** 2
    return conv2d(pad(x, (1, 1, 1, 1), mode="reflect"), kernel[None, None])
