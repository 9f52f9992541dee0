"""Latents as small pictures, cheaply: a linear map from latent channels to RGB, fitted once per model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate

from sfumato.method import Pixels

_COLOURS = 24
"""Random colours along each side of the picture the map is fitted on."""


@dataclass(frozen=True, eq=False)
class LatentPreview:
    """RGB = W [latent; 1] per cell."""

    weights: Tensor
    """(C + 1, 3)"""

    @classmethod
    def fit(cls, encode: Callable[[Tensor], Tensor], size: int, scale: int) -> LatentPreview:
        """Least squares between latents and the mean colour under each cell of one smooth random picture."""
        generator = torch.Generator("cpu").manual_seed(0)
        seeds = torch.rand(1, 3, _COLOURS, _COLOURS, generator=generator)
        picture = interpolate(seeds, size=(size, size), mode="bicubic").clamp(0, 1)
        latents, colours = encode(picture * 2 - 1), avg_pool2d(picture, scale)
        solved = torch.linalg.lstsq(_with_one(latents.float().cpu()), _cells(colours)).solution
        return cls(solved)

    def __call__(self, latent: Tensor) -> Pixels:
        """(1, C, h, w) -> (h, w, 3) uint8."""
        height, width = latent.shape[-2:]
        colours = _with_one(latent[:1].float().cpu()) @ self.weights
        return (colours.clamp(0, 1) * 255).round().reshape(height, width, 3).numpy().astype(np.uint8)


def _cells(x: Tensor) -> Tensor:
    """(n, c, h, w) -> (n·h·w, c)"""
    return x.permute(0, 2, 3, 1).flatten(0, 2)


def _with_one(x: Tensor) -> Tensor:
    cells = _cells(x)
    return torch.cat([cells, torch.ones(len(cells), 1)], dim=1)
