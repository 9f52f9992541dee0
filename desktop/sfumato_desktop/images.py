"""Between document pixels and Qt images, with the colours managed on the way."""

from __future__ import annotations

import numpy as np
from PySide6.QtGui import QColorSpace, QImage

from sfumato.method import Mask, Pixels

SCREEN_FORMAT = QImage.Format.Format_ARGB32_Premultiplied
_SRGB = QColorSpace(QColorSpace.NamedColorSpace.SRgb)


def picture(pixels: Pixels, space: QColorSpace | None = None) -> QImage:
    """Document pixels as an image for the screen, converted from `space` to sRGB."""
    pixels = np.ascontiguousarray(pixels)
    height, width = pixels.shape[:2]
    image = QImage(pixels.data, width, height, 4 * width, QImage.Format.Format_RGBA8888)
    if space is not None:
        image = image.copy()
        image.setColorSpace(space)
        image.convertToColorSpace(_SRGB)
    return image.convertToFormat(SCREEN_FORMAT)


def tint(mask: Mask, colours: list[int]) -> QImage:
    """A mask as a transparent colour; `colours` has 256 ARGB values."""
    mask = np.ascontiguousarray(mask)
    height, width = mask.shape
    image = QImage(mask.data, width, height, width, QImage.Format.Format_Indexed8)
    image.setColorTable(colours)
    return image.convertToFormat(SCREEN_FORMAT)


def colour_space(profile: bytes | None) -> QColorSpace | None:
    """The document's own space, or None when it is sRGB or nothing Qt can convert."""
    if not profile:
        return None
    space = QColorSpace.fromIccProfile(profile)
    usable = space.isValid() and space.colorModel() == QColorSpace.ColorModel.Rgb
    return space if usable and space != _SRGB else None


def from_image(image: QImage, profile: bytes | None = None) -> Pixels:
    """Any Qt image as straight RGBA8 pixels in the colours of `profile` (sRGB if absent)."""
    straight = image.convertToFormat(QImage.Format.Format_RGBA8888)
    if straight.colorSpace().isValid() or profile:
        if not straight.colorSpace().isValid():
            straight.setColorSpace(_SRGB)
        straight.convertToColorSpace(colour_space(profile) or _SRGB)
    rows = np.frombuffer(straight.constBits(), np.uint8).reshape(straight.height(), straight.bytesPerLine())
    return rows[:, : 4 * straight.width()].reshape(straight.height(), straight.width(), 4).copy()


def to_image(pixels: Pixels, profile: bytes | None = None) -> QImage:
    """Document pixels as an image that owns its memory and knows its colour space, for the clipboard."""
    height, width = pixels.shape[:2]
    image = QImage(
        np.ascontiguousarray(pixels).data, width, height, 4 * width, QImage.Format.Format_RGBA8888
    ).copy()
    image.setColorSpace(colour_space(profile) or _SRGB)
    return image
