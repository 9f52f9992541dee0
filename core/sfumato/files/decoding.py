"""Turning pictures from strangers into pixels, within limits, with every failure in one sentence."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, UnidentifiedImageError

from sfumato.document.colour import convert_to_srgb, is_usable
from sfumato.errors import InputError, MemoryShortage, SfumatoError
from sfumato.method import Pixels

FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "AVIF")
MAX_PIXELS = 120_000_000
MAX_SIDE = 40_000
STRIP = 512


@contextmanager
def reading(name: str, kind: str = "picture") -> Iterator[None]:
    """Turn whatever a decoder does with a bad file into an `InputError` about `name`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # decoders warn about what is refused or noted here
        try:
            yield
        except SfumatoError:
            raise
        except MemoryError as error:
            raise MemoryShortage(f"There is not enough memory to open {name}.") from error
        except Image.DecompressionBombError as error:
            raise too_large(name) from error
        except UnidentifiedImageError as error:
            raise InputError(
                f"{name} is not a picture Sfumato can read.",
                advice="It reads PNG, JPEG, WebP, TIFF and AVIF.",
            ) from error
        except Exception as error:  # decoders raise nearly everything on damaged files
            raise InputError(f"{name} is damaged and cannot be opened as a {kind}.") from error


@contextmanager
def open_file(path: Path) -> Iterator[BinaryIO]:
    """Open a file to read. Raises `InputError` if there is none or it may not be read."""
    try:
        file = path.open("rb")
    except (FileNotFoundError, NotADirectoryError) as error:
        raise InputError(f"There is no file {path}.") from error
    except IsADirectoryError as error:
        raise InputError(f"{path} is a folder, not a file.") from error
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read.", advice="Check the name and its permissions.") from error
    with file:
        yield file


def too_large(name: str) -> InputError:
    """The refusal of a picture beyond the limits."""
    return InputError(
        f"{name} is too large: the limit is {MAX_PIXELS // 10**6} megapixels and {MAX_SIDE} pixels a side.",
        advice="Open a smaller copy.",
    )


def open_header(file: BinaryIO, name: str, formats: tuple[str, ...] = FORMATS) -> Image.Image:
    """Open a picture, not decoded yet, inside `reading`. Raises `InputError` if it is beyond the limits."""
    image = Image.open(file, formats=formats)
    width, height = image.size
    if width * height > MAX_PIXELS or max(width, height) > MAX_SIDE:
        raise too_large(name)
    return image


@dataclass(frozen=True, eq=False)
class Decoded:
    """Pixels with the profile they are in (None: sRGB), and what had to be decided on the way."""

    pixels: Pixels
    profile: bytes | None
    notes: tuple[str, ...]


def decode(image: Image.Image) -> Decoded:
    """Decode a picture of any mode to RGBA8; colours without an RGB profile of their own become sRGB."""
    notes = ["It has 16 bits per channel; 8 are kept."] if _is_deep(image) else []
    profile = image.info.get("icc_profile") or None
    image = to_eight_bits(image)
    pixels = _rgba(image)
    if profile is not None and image.mode in ("L", "LA", "CMYK"):
        plain = image.getchannel("L") if image.mode == "LA" else image
        if is_usable(profile, plain.mode):
            pixels[..., :3] = np.asarray(convert_to_srgb(plain, profile))
            profile = None
    if image.mode == "CMYK":
        notes.append("It is in CMYK, for print; its colours were converted to sRGB.")
        profile = None
    if profile is not None and not is_usable(profile):
        notes.append("Its colour profile cannot be used; its colours are taken as sRGB.")
        profile = None
    return Decoded(pixels, profile, tuple(notes))


def _rgba(image: Image.Image) -> Pixels:
    """Convert strip by strip: a 100 megapixel picture then needs two copies in memory instead of four."""
    width, height = image.size
    pixels = np.empty((height, width, 4), np.uint8)
    for top in range(0, height, STRIP):
        bottom = min(top + STRIP, height)
        strip = image.crop((0, top, width, bottom))
        strip = strip.convert("RGB") if strip.mode == "CMYK" else strip
        pixels[top:bottom] = np.asarray(strip.convert("RGBA"))
    return pixels


def _is_deep(image: Image.Image) -> bool:
    return image.mode.startswith(("I", "F")) or any(
        ";16" in str(tile[3]) for tile in getattr(image, "tile", ())
    )


def to_eight_bits(image: Image.Image) -> Image.Image:
    """Round grey pictures of 16 or 32 bits, whole or fractional, to mode L; return others as they are."""
    if not image.mode.startswith(("I", "F")):
        return image
    values = np.nan_to_num(np.asarray(image, np.float32))
    highest = float(values.max())
    if image.mode == "F":
        scale = 1.0 if highest <= 1 else 255.0
    else:
        scale = 65535.0 if image.mode.startswith("I;16") or highest > 255 else 255.0
    return Image.fromarray(np.rint(np.clip(values / scale, 0, 1) * 255).astype(np.uint8))
