"""PIE-Bench's metrics that need no network, and what the true edited picture allows beyond them.

Pictures are (H, W, 3) uint8, areas (H, W) of booleans, results floats; NaN where there is nothing to compare.
Sources: Ju et al., Direct Inversion, 2023, and its evaluation code; Wang et al., Image Quality Assessment
(SSIM), 2004.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf, log10, nan

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from sfumato.benchmark.masks import Area

Picture = NDArray[np.uint8]
Floats = NDArray[np.float64]

WINDOW = 11
"""Side of SSIM's Gaussian window, in pixels; σ = 1.5."""
_SIGMA = 1.5
_C1, _C2 = 0.01**2, 0.03**2
BLUR = 4
"""Radius of the blur, in pixels, under which pictures are compared by `gain`: it forgives a pixel or two."""


def only(picture: Picture, area: Area) -> Picture:
    """The picture within an area, black elsewhere."""
    return picture * area[..., None]


def mse_unedit_part(a: Picture, b: Picture, edited: Area) -> float:
    """Mean squared error in [0, 1], both pictures black where `edited`; divided by all pixels, these too."""
    return _kept(mse, a, b, edited)


def psnr_unedit_part(a: Picture, b: Picture, edited: Area) -> float:
    """The same as PSNR in dB: the larger the area, the higher. Infinite for equal pictures."""
    return _kept(psnr, a, b, edited)


def ssim_unedit_part(a: Picture, b: Picture, edited: Area) -> float:
    """SSIM of both pictures, black where `edited`."""
    return _kept(ssim, a, b, edited)


def _kept(metric: Callable[[Picture, Picture], float], a: Picture, b: Picture, edited: Area) -> float:
    return nan if edited.all() else metric(only(a, ~edited), only(b, ~edited))


def psnr(a: Picture, b: Picture) -> float:
    """10 log10(1 / MSE) in dB; infinite for equal pictures."""
    error = mse(a, b)
    return inf if error == 0 else -10 * log10(error)


def psnr_where(a: Picture, b: Picture, area: Area) -> float:
    """PSNR of the pixels in an area alone."""
    return psnr(a[area], b[area]) if area.any() else nan


def mse(a: Picture, b: Picture) -> float:
    """Mean squared error of two pictures, or of lists of pixels, with values in [0, 1]."""
    return float(np.mean((_unit(a) - _unit(b)) ** 2))


def ssim(a: Picture, b: Picture) -> float:
    """Structural similarity, data range 1, 11 x 11 Gaussian window, mean over the windows inside the picture.

    So do scikit-image and the torchmetrics of the published tables; since its change #2721 of 2024 that
    counts mirrored margins too. NaN if the picture is smaller than the window.
    """
    if min(a.shape[:2]) < WINDOW:
        return nan
    x, y = _unit(a), _unit(b)
    mx, my = _windowed(x), _windowed(y)
    # Rounding can make a variance of equal pixels a hair negative.
    vx, vy = np.maximum(_windowed(x * x) - mx * mx, 0), np.maximum(_windowed(y * y) - my * my, 0)
    vxy = _windowed(x * y) - mx * my
    map_ = (2 * mx * my + _C1) * (2 * vxy + _C2) / ((mx * mx + my * my + _C1) * (vx + vy + _C2))
    return float(map_.mean())


def _windowed(values: Floats) -> Floats:
    """(H, W, 3) to the Gaussian means of its windows, (H - 10, W - 10, 3)."""
    import cv2

    half = WINDOW // 2
    weights = np.exp(-0.5 * (np.arange(-half, half + 1) / _SIGMA) ** 2)
    weights /= weights.sum()
    means = cv2.sepFilter2D(values, cv2.CV_64F, weights, weights)
    return np.asarray(means, np.float64)[half:-half, half:-half]


def gain(edited: Picture, source: Picture, truth: Picture, area: Area) -> float:
    """1 - |edited - truth| / |source - truth| within an area, all blurred: 0 untouched, 1 the true edit.

    Below 0 the picture went away from the truth.
    """
    near, true, before = (_blurred(each) for each in (edited, truth, source))
    missing, whole = np.abs(near - true)[area], np.abs(before - true)[area]
    return nan if not whole.any() else float(1 - missing.mean() / whole.mean())


def _blurred(picture: Picture) -> Floats:
    return _unit(np.asarray(Image.fromarray(picture).filter(ImageFilter.GaussianBlur(BLUR))))


def _unit(pixels: Picture) -> Floats:
    return pixels.astype(np.float64) / 255
