"""The edit mask: (H, W) uint8, 255 = may change, 0 = must not. Every function returns a new mask.

Soft masks stay soft: growing is the maximum over a neighbourhood, shrinking the minimum.
"""

from __future__ import annotations

import math

import numpy as np
from PIL import Image, ImageFilter

from sfumato.document.geometry import Rect, window
from sfumato.method import Mask


def empty(width: int, height: int) -> Mask:
    """A mask that lets nothing change."""
    return np.zeros((height, width), np.uint8)


def full(width: int, height: int) -> Mask:
    """A mask that lets everything change."""
    return np.full((height, width), 255, np.uint8)


def clear(mask: Mask) -> Mask:
    """The empty mask of the same size."""
    return np.zeros_like(mask)


def fill(mask: Mask) -> Mask:
    """The full mask of the same size."""
    return np.full_like(mask, 255)


def invert(mask: Mask) -> Mask:
    """What may change must not, and the other way round."""
    return 255 - mask


def is_empty(mask: Mask) -> bool:
    """Say whether nothing may change."""
    return not mask.any()


def bounding_box(mask: Mask) -> Rect | None:
    """Return the smallest rectangle that holds every pixel above 0; None if there is none."""
    rows = np.flatnonzero(mask.any(axis=1))
    if rows.size == 0:
        return None
    top, bottom = int(rows[0]), int(rows[-1]) + 1
    columns = np.flatnonzero(mask[top:bottom].any(axis=0))
    return int(columns[0]), top, int(columns[-1]) + 1, bottom


def grow(mask: Mask, radius: int) -> Mask:
    """Widen the mask by `radius` pixels in all directions (an octagon, the nearest thing to a disc)."""
    bounds = bounding_box(mask)
    if bounds is None or radius < 1:
        return mask.copy()
    height, width = mask.shape
    left, top = max(bounds[0] - radius, 0), max(bounds[1] - radius, 0)
    right, bottom = min(bounds[2] + radius, width), min(bounds[3] + radius, height)
    reached = window((left, top, right, bottom))
    grown = np.zeros_like(mask)
    grown[reached] = _spread(mask[reached], radius)
    return grown


def shrink(mask: Mask, radius: int) -> Mask:
    """Narrow the mask by `radius` pixels; at the document's border it stays, as if it went on outside."""
    return invert(grow(invert(mask), radius))


def feather_inwards(mask: Mask, radius: float) -> Mask:
    """Let the mask rise from its edge over `radius` pixels, never beyond it: 0 stays 0, soft values scale.

    The ramp is the mask's support narrowed by radius / 2 and then blurred by as much.
    """
    half = math.ceil(radius / 2)
    if radius <= 0 or is_empty(mask):
        return mask.copy()
    core = shrink(np.where(mask > 0, np.uint8(255), np.uint8(0)), half)
    ramp = Image.fromarray(core)
    for _ in range(3):  # three boxes in a row are close to a Gaussian
        ramp = ramp.filter(ImageFilter.BoxBlur(half / 3))
    scaled = mask.astype(np.uint16) * np.asarray(ramp, np.uint16) + 127
    return (scaled // 255).astype(np.uint8)


feather = feather_inwards


def _spread(mask: Mask, radius: int) -> Mask:
    """Maximum over an octagon: a square first, then as many crosses as its corners need."""
    crosses = round(radius * (2 - math.sqrt(2)))
    spread = _square(_square(mask, radius - crosses, axis=0), radius - crosses, axis=1)
    for _ in range(crosses):
        spread = _cross(spread)
    return spread


def _square(mask: Mask, radius: int, axis: int) -> Mask:
    """Maximum over 2 radius + 1 neighbours along an axis, in a logarithm of that many passes."""
    result = np.moveaxis(mask, axis, 0).copy()
    reach = 0
    while reach < radius:
        # a longer step would leave holes at the border, where one of the two shifted windows is missing
        step = min(reach + 1, radius - reach)
        before = result.copy()
        np.maximum(result[step:], before[:-step], out=result[step:])
        np.maximum(result[:-step], before[step:], out=result[:-step])
        reach += step
    return np.moveaxis(result, 0, axis)


def _cross(mask: Mask) -> Mask:
    result = mask.copy()
    np.maximum(result[1:], mask[:-1], out=result[1:])
    np.maximum(result[:-1], mask[1:], out=result[:-1])
    np.maximum(result[:, 1:], mask[:, :-1], out=result[:, 1:])
    np.maximum(result[:, :-1], mask[:, 1:], out=result[:, :-1])
    return result
