"""Which part of a document the model sees, at what size, and how its answer comes back without a trace.

The region is the whole document when the model can see it without shrinking it, or when there is no mask;
else a square-ish window around the mask. Its side comes from a geometric ladder and its corner from a grid of
quarter sides, so that a mask moved or painted a little keeps its region, and with it the region's inversion.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sfumato.document.colour import Profile
from sfumato.document.geometry import Rect, intersect, window
from sfumato.document.masks import bounding_box, feather_inwards
from sfumato.document.resampling import blur, resize
from sfumato.method import Mask, Pixels

GROWTH = 1.5
"""The region's side is at least this many times the mask's: a quarter of it as context on each side."""
RUNG = math.sqrt(2)
"""Ratio of neighbouring sides on the ladder."""
KEPT = 6 / 255
"""Changes up to this size keep all of the original's fine detail."""
REPLACED = 32 / 255
"""Changes from this size on keep none of it."""


@dataclass(frozen=True)
class Region:
    """A window of the document, and the (width, height) at which the model sees it."""

    box: Rect
    size: tuple[int, int]


def choose_region(
    document_size: tuple[int, int],
    mask: Mask | None,
    *,
    native: int,
    multiple: int,
    near: Rect | None = None,
) -> Region:
    """Choose the part of a (width, height) document a model of `native` size should work on.

    The model's size keeps the aspect of the box as far as `multiple` and an area of about native² allow.
    `near` is the box of an earlier edit: it is taken again while it has the right size and the mask lies well
    inside it, since a mask near a grid line would else jump to another region, and inversion, at a touch.
    """
    width, height = document_size
    whole = Region((0, 0, width, height), model_size((width, height), native, multiple))
    fits = whole.size[0] >= width and whole.size[1] >= height
    bounds = None if mask is None or fits else bounding_box(mask)
    if bounds is None:
        return whole
    side = _side(max(bounds[2] - bounds[0], bounds[3] - bounds[1]), native)
    left, right = _span(bounds[0], bounds[2], side, width)
    top, bottom = _span(bounds[1], bounds[3], side, height)
    box = left, top, right, bottom
    if near is not None and _serves(near, box, bounds, document_size):
        box = near
    return Region(box, model_size((box[2] - box[0], box[3] - box[1]), native, multiple))


def _serves(near: Rect, box: Rect, bounds: Rect, document_size: tuple[int, int]) -> bool:
    """Whether an earlier box of the same size still holds the mask with a tenth of it as context."""
    width, height = near[2] - near[0], near[3] - near[1]
    if (width, height) != (box[2] - box[0], box[3] - box[1]):
        return False
    x, y = (bounds[2] - bounds[0]) // 10, (bounds[3] - bounds[1]) // 10
    needed = intersect((bounds[0] - x, bounds[1] - y, bounds[2] + x, bounds[3] + y), (0, 0, *document_size))
    return intersect(needed, near) == needed and intersect(near, (0, 0, *document_size)) == near


def model_size(size: tuple[int, int], native: int, multiple: int) -> tuple[int, int]:
    """Return the (width, height) near native² with the aspect of `size`; no side is under 4 multiples."""
    shortest = 4 * multiple
    aspect = max(size) / min(size)
    short = max(_to_multiple(native / math.sqrt(aspect), multiple), shortest)
    long = max(_to_multiple(min(short * aspect, native**2 / short), multiple), shortest)
    if short > shortest:  # rounding the short side must not pull the long one off the area
        long = _to_multiple(native * math.sqrt(aspect), multiple)
    return (long, short) if size[0] >= size[1] else (short, long)


def _to_multiple(length: float, multiple: int) -> int:
    return max(round(length / multiple), 1) * multiple


def _side(extent: int, native: int) -> int:
    """The first rung of native · RUNG^k, rounded to quarters, that holds the mask and its context."""
    needed = GROWTH * extent
    rung = max(math.ceil(math.log(needed / native, RUNG) - 1e-9), 0)
    return 4 * math.ceil(native * RUNG**rung / 4)


def _span(start: int, stop: int, side: int, length: int) -> tuple[int, int]:
    """Place a side around [start, stop) on the grid of quarter sides, inside [0, length)."""
    if side >= length:
        return 0, length
    quarter = side // 4
    ideal = (start + stop - side) / 2
    origin = min(max(round(ideal / quarter) * quarter, 0), length - side)
    return origin, origin + side


def cut(image: Pixels, profile: bytes | None, region: Region) -> NDArray[np.float32]:
    """Return what the model sees: (H, W, 3) sRGB in [0, 1] of `region.size`, alpha laid over white."""
    colours = _over_white(image[window(region.box)])
    return np.clip(resize(Profile(profile).to_srgb(colours), region.size), 0, 1)


def cut_mask(mask: Mask, region: Region) -> NDArray[np.float32]:
    """Return the mask at `region.size`: (H, W) float32 in [0, 1], the share of each cell that may change."""
    part = mask[window(region.box)].astype(np.float32) / 255
    return resize(part[..., None], region.size, smooth=False)[..., 0]


def _over_white(pixels: Pixels) -> NDArray[np.uint8]:
    colours, alpha = pixels[..., :3], pixels[..., 3:]
    if alpha.min() == 255:
        return np.ascontiguousarray(colours)
    mixed = colours.astype(np.uint16) * alpha + np.uint16(255) * (255 - alpha) + 127
    return (mixed // 255).astype(np.uint8)


def paste(
    image: Pixels,
    profile: bytes | None,
    region: Region,
    *,
    edited: NDArray[np.float32],
    reconstruction: NDArray[np.float32] | None = None,
    mask: Mask | None = None,
    feather: float = 0.0,
    keep_detail: bool = True,
) -> Pixels:
    """Bring the model's answer back: an RGBA patch to lay over `region.box` of `image`, in its own profile.

    With o the original, e and r what the model made of the edit and of the unchanged picture (both taken to
    the document's profile; r is what `cut` gave if `reconstruction` is absent), and ↑ resampling to the box:

        result = e↑ + (1 - c)(o - r↑) = o + (e - r)↑ - c (o - r↑)

    so the original keeps the detail the model cannot see wherever nothing was asked to change, and comes back
    bit for bit where (e - r)↑ is 0. Where something was replaced, its detail o - r↑ must not ghost through:
    the weight c = smoothstep(blur|e - r|), rising from `KEPT` to `REPLACED` and 0 where (e - r)↑ is 0, fades
    it out. Without `keep_detail` result = e↑ alone: the detail may be what is to go, noise or blur.

    Alpha is the mask, feathered inwards over `feather` pixels: 0 wherever the mask is 0, and 0 wherever the
    picture itself is not opaque, so that laying the patch over the picture keeps the picture's alpha.
    """
    part = image[window(region.box)]
    if reconstruction is None:
        reconstruction = cut(image, profile, region)
    patch = np.empty_like(part)
    if keep_detail:
        patch[..., :3] = _keep_detail(part[..., :3], Profile(profile), edited, reconstruction)
    else:
        whole = resize(Profile(profile).from_srgb(edited) * 255, (part.shape[1], part.shape[0]))
        patch[..., :3] = np.clip(np.rint(whole), 0, 255)
    patch[..., 3] = _patch_alpha(part[..., 3], region.box, mask, feather)
    patch[patch[..., 3] == 0] = 0
    return patch


def _keep_detail(
    original: NDArray[np.uint8],
    profile: Profile,
    edited: NDArray[np.float32],
    reconstruction: NDArray[np.float32],
) -> NDArray[np.uint8]:
    size = original.shape[1], original.shape[0]
    weight = resize(_change_weight(edited - reconstruction)[..., None], size, smooth=False)[..., 0]
    before = profile.from_srgb(reconstruction) * 255
    change = resize(profile.from_srgb(edited) * 255 - before, size)
    weight[~change.any(axis=-1)] = 0
    result = np.empty_like(original)
    for band in range(3):  # one band at a time: a 12 MP picture in float32 is 48 MB a band
        seen = resize(before[..., band : band + 1], size)[..., 0]
        kept = original[..., band].astype(np.float32)
        value = kept + change[..., band] - weight * (kept - seen)
        result[..., band] = np.clip(np.rint(value), 0, 255)
    return result


def _change_weight(difference: NDArray[np.float32]) -> NDArray[np.float32]:
    """(H, W) in [0, 1]: how far the edit replaced what was there."""
    size = blur(np.abs(difference).max(axis=-1), sigma=1.5)
    ramp = np.clip((size - KEPT) / (REPLACED - KEPT), 0, 1)
    return (ramp * ramp * (3 - 2 * ramp)).astype(np.float32)


def _patch_alpha(
    picture: NDArray[np.uint8], box: Rect, mask: Mask | None, feather: float
) -> NDArray[np.uint8]:
    opaque = np.where(picture == 255, np.uint8(255), np.uint8(0))
    return opaque if mask is None else opaque & feather_inwards(mask[window(box)], feather)
