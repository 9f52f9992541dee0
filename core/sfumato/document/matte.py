"""Snap a coarse area to the edges of the picture it was found in.

He, Sun, Tang: Guided Image Filtering, 2010, equations 14, 15 and 19 (colour guide).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

EDGE = 1e-3
"""ε: variance of colour, in [0, 1]², below which a window counts as flat."""


def snap(area: Floats, guide: Floats, radius: int) -> NDArray[np.float32]:
    """(H, W) in [0, 1] -> a matte of the same shape whose edges are the guide's, (H, W, 3) in [0, 1].

    In every window of `radius` pixels the matte is an affine function of the guide's colour, a_k · I + b_k.
    The answer is steepened about one half: a window holding both sides must not leave a veil on either.
    """
    colour, p = guide.astype(np.float64), area.astype(np.float64)
    mean_colour, mean_p = _window_mean(colour, radius), _window_mean(p[..., None], radius)
    covariance = _window_mean(colour * p[..., None], radius) - mean_colour * mean_p
    outer = colour[..., :, None] * colour[..., None, :]
    variance = _window_mean(outer.reshape(*p.shape, 9), radius).reshape(*p.shape, 3, 3)
    variance -= mean_colour[..., :, None] * mean_colour[..., None, :]
    a = np.linalg.solve(variance + EDGE * np.eye(3), covariance[..., None])[..., 0]
    b = mean_p[..., 0] - (a * mean_colour).sum(-1)
    matte = (_window_mean(a, radius) * colour).sum(-1) + _window_mean(b[..., None], radius)[..., 0]
    return np.clip(2 * matte - 0.5, 0, 1).astype(np.float32)


def _window_mean(x: NDArray[Any], radius: int) -> NDArray[Any]:
    """Mean over (2 radius + 1)² windows of (H, W, C); windows are cut off at the picture's edge."""
    for axis in (0, 1):
        length = x.shape[axis]
        sums = np.concatenate([np.zeros_like(x.take([0], axis)), x.cumsum(axis)], axis)
        stop = np.minimum(np.arange(length) + radius + 1, length)
        start = np.maximum(np.arange(length) - radius, 0)
        counts = (stop - start).reshape((-1, 1, 1) if axis == 0 else (1, -1, 1))
        x = (sums.take(stop, axis) - sums.take(start, axis)) / counts
    return x
