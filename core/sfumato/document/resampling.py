"""Changing the size of pictures in float32, exactly neutral where nothing has to change."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SHRINK_FIRST = 3.0
"""Large reductions average whole pixels first, down to this many times the target: fast, no visible loss."""


def resize(
    picture: NDArray[np.floating | np.uint8], size: tuple[int, int], *, smooth: bool = True
) -> NDArray[np.float32]:
    """Resample (H, W, C) to (width, height), as float32 on the same scale as given.

    `smooth` takes Lanczos to shrink and bicubic to enlarge; both overshoot at hard edges. Without it, area
    averages and linear interpolation stay within the range given. The same size returns the same numbers.
    """
    height, width = picture.shape[:2]
    if (width, height) == size:
        return picture.astype(np.float32)
    kernel = _kernel(shrinks=size[0] < width or size[1] < height, smooth=smooth)
    result = np.empty((size[1], size[0], picture.shape[2]), np.float32)
    for band in range(picture.shape[2]):
        plane = Image.fromarray(np.ascontiguousarray(picture[..., band], np.float32))
        result[..., band] = np.asarray(plane.resize(size, kernel, reducing_gap=SHRINK_FIRST))
    return result


def _kernel(*, shrinks: bool, smooth: bool) -> Image.Resampling:
    if shrinks:
        return Image.Resampling.LANCZOS if smooth else Image.Resampling.BOX
    return Image.Resampling.BICUBIC if smooth else Image.Resampling.BILINEAR


def blur(plane: NDArray[np.float32], sigma: float) -> NDArray[np.float32]:
    """Gaussian blur of (H, W), cut off at 3 sigma, edges repeated; exactly 0 out of reach of the others."""
    radius = int(np.ceil(3 * sigma))
    weights = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    weights = (weights / weights.sum()).astype(np.float32)
    for axis in (0, 1):
        margin = [(radius, radius) if axis == a else (0, 0) for a in (0, 1)]
        padded = np.pad(plane, margin, mode="edge")
        length = plane.shape[axis]
        parts = (np.take(padded, range(k, k + length), axis) * w for k, w in enumerate(weights))
        plane = sum(parts, np.zeros_like(plane))
    return plane
