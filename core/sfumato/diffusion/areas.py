"""From what a network answers, cell by cell, to an area of the picture."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from sfumato.diffusion.blending import grown
from sfumato.document.matte import snap
from sfumato.document.resampling import resize

_VEIL = 0.05
"""Less than this of a soft edge is none: a mask must have an outside."""


def between_extremes(values: Tensor) -> Tensor:
    """Scaled to [0, 1] between their extremes; all 0 where there is no difference."""
    low, high = values.min(), values.max()
    return (values - low) / (high - low) if high > low else torch.zeros_like(values)


def on_picture(area: Tensor, image: Tensor, *, widen: int = 0, snapped: bool = True) -> Tensor:
    """An area of cells (1, 1, h, w) in {0, 1} on its picture (1, 3, H, W) in [-1, 1]: (1, 1, H, W) in [0, 1].

    It grows by `widen` cells, or, `snapped`, takes the picture's own edges within a cell of its border.
    """
    cells = grown(area.float(), widen)[0, 0].cpu().numpy()
    height, width = image.shape[-2:]
    pixels = resize(cells[..., None], (width, height), smooth=False)[..., 0]
    if snapped:
        guide = ((image[0].permute(1, 2, 0) + 1) / 2).cpu().numpy()
        pixels = snap(pixels, guide, radius=max(1, width // cells.shape[1]))
    pixels = np.where(pixels < _VEIL, 0, pixels).astype(np.float32)
    return torch.from_numpy(pixels)[None, None].to(area.device)
