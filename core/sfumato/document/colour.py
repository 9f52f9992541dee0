"""Colour profiles: from a document's own colours to the model's sRGB and back."""

from __future__ import annotations

import io
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

_INTENT = ImageCms.Intent.RELATIVE_COLORIMETRIC


def is_usable(profile: bytes, mode: str = "RGB") -> bool:
    """Say whether this is an ICC profile that pictures of a Pillow `mode` can be converted from."""
    try:
        opened = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        ImageCms.buildTransform(opened, ImageCms.createProfile("sRGB"), mode, "RGB", _INTENT)
    except (OSError, ImageCms.PyCMSError):
        return False
    return True


def convert_to_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    """Convert a picture of mode L, RGB or CMYK with a usable profile to sRGB, mode RGB."""
    opened = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    transform = ImageCms.buildTransform(opened, ImageCms.createProfile("sRGB"), image.mode, "RGB", _INTENT)
    return ImageCms.applyTransform(image, transform) or image


class Profile:
    """A document's colours. None, a profile that cannot be read, and sRGB by any name all count as sRGB."""

    def __init__(self, data: bytes | None) -> None:
        self._data = data if data is not None and is_usable(data) else None

    def to_srgb(self, colours: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Convert (H, W, 3) uint8 to float32 sRGB in [0, 1]; exactly colours / 255 for sRGB documents."""
        if not self.is_srgb:
            colours = self._apply(colours, to_srgb=True)
        return np.divide(colours, 255, dtype=np.float32)

    def from_srgb(self, colours: NDArray[np.float32]) -> NDArray[np.float32]:
        """Convert (H, W, 3) float32 sRGB in [0, 1] to the document's colours in [0, 1].

        littlecms takes 8 bits here, so colours of documents in other profiles are rounded to 1/255 first.
        """
        colours = np.clip(colours, 0, 1)
        if self.is_srgb:
            return colours
        rounded = np.rint(colours * 255).astype(np.uint8)
        return np.divide(self._apply(rounded, to_srgb=False), 255, dtype=np.float32)

    @cached_property
    def is_srgb(self) -> bool:
        """Whether converting changes no colour by more than rounding does."""
        if self._data is None:
            return True
        steps = np.linspace(0, 255, 18).astype(np.uint8)
        lattice = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(18, -1, 3)
        converted = self._apply(lattice, to_srgb=True)
        return int(np.abs(converted.astype(np.int16) - lattice).max()) <= 1

    def _apply(self, colours: NDArray[np.uint8], *, to_srgb: bool) -> NDArray[np.uint8]:
        assert self._data is not None, "sRGB needs no conversion"
        own = ImageCms.ImageCmsProfile(io.BytesIO(self._data))
        srgb = ImageCms.createProfile("sRGB")
        source, target = (own, srgb) if to_srgb else (srgb, own)
        transform = ImageCms.buildTransform(source, target, "RGB", "RGB", _INTENT)
        image = Image.fromarray(np.ascontiguousarray(colours))
        return np.asarray(ImageCms.applyTransform(image, transform))
