"""Pictures spoilt on purpose, which the instructed sibling learns to restore: noise, blur, a watermark."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from starter_model.spoiled import blur

Pixels = NDArray[np.uint8]
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
OPACITIES = (0.3, 0.6)
"""Of a watermark: what is under it shows through."""


def noisy(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """A picture (H, W, 3) with Gaussian noise of 20 to 45 grey levels."""
    found = pixels + rng.normal(0, rng.uniform(20, 45), pixels.shape)
    return np.clip(np.rint(found), 0, 255).astype(np.uint8)


def unsharp(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """A picture out of focus, by a Gaussian of 1.2 to 2.4 pixels."""
    return blur(pixels, float(rng.uniform(1.2, 2.4)))


def watermarked(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """A picture (side, side, 3) with a word of drawn letters across it, once or repeated, see-through."""
    side = pixels.shape[0]
    word = "".join(rng.choice(list(LETTERS), int(rng.integers(3, 8))))
    repeated = rng.random() < 0.5
    height = side * rng.uniform(0.1, 0.14) if repeated else side * rng.uniform(0.18, 0.3)
    stamp = stamped(word, side, int(height), repeated=bool(repeated)).rotate(float(rng.uniform(-40, 40)))
    middle = np.asarray(stamp.crop((side // 2, side // 2, side // 2 + side, side // 2 + side)))
    share = (middle / 255 * rng.uniform(*OPACITIES))[..., None]
    shade = 255.0 if rng.random() < 0.6 else float(rng.uniform(0, 60))
    return np.rint(pixels * (1 - share) + shade * share).astype(np.uint8)


def stamped(word: str, side: int, height: int, *, repeated: bool) -> Image.Image:
    """A word in white on black, in the middle or all over twice the side, so that it can be turned."""
    sheet, font = Image.new("L", (2 * side, 2 * side)), ImageFont.load_default(height)
    pen = ImageDraw.Draw(sheet)
    if not repeated:
        pen.text((side, side), word, fill=255, font=font, anchor="mm")
        return sheet
    step = int(pen.textlength(word + "  ", font=font))
    for row, top in enumerate(range(0, 2 * side, 3 * height)):
        for left in range(-(row % 2) * step // 2, 2 * side, step):
            pen.text((left, top), word, fill=255, font=font)
    return sheet


BLEMISHES: dict[str, Callable[[Pixels, np.random.Generator], Pixels]] = {
    "noise": noisy,
    "blur": unsharp,
    "watermark": watermarked,
}
