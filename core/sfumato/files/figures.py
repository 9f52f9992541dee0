"""Pictures with words under them: strips that compare, heat over a picture with its legend."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from sfumato.document.resampling import resize
from sfumato.errors import InputError
from sfumato.files.atomic import write_atomically
from sfumato.files.heat import heat
from sfumato.method import Pixels

TEXT = 15
"""Height of a letter in pixels."""
LINE = 22
GAP = 8
_INK, _PAPER, _FAINT = (24, 24, 28), (255, 255, 255), (96, 96, 104)
_BAR = 12
"""Height of a legend's bar of colours."""

Floats = NDArray[np.floating]


@dataclass(frozen=True, eq=False)
class Panel:
    """A picture (H, W, 3 or 4) uint8 with a line under it, and another in grey."""

    picture: Pixels
    caption: str = ""
    note: str = ""


def figure(rows: Sequence[tuple[str, Sequence[Panel]]], *, side: int) -> Pixels:
    """Lay out titled rows of panels, each as wide as its picture at `side` pixels on the longer side.

    Small pictures are enlarged cell by cell, so that nothing is shown that is not there. (H, W, 3) uint8.
    """
    bands = [_band(title, panels, side) for title, panels in rows]
    width = max(band.width for band in bands)
    page = Image.new("RGB", (width, sum(band.height for band in bands)), _PAPER)
    top = 0
    for band in bands:
        page.paste(band, (0, top))
        top += band.height
    return np.asarray(page)


def _band(title: str, panels: Sequence[Panel], side: int) -> Image.Image:
    font = ImageFont.load_default(TEXT)
    pictures = [_fitted(panel.picture, side) for panel in panels]
    widths = [
        max(picture.width, *(round(font.getlength(text)) for text in (panel.caption, panel.note)))
        for picture, panel in zip(pictures, panels, strict=True)
    ]
    head = LINE + GAP if title else GAP
    height = max(picture.height for picture in pictures)
    wide = max(sum(widths) + GAP * (len(widths) + 1), round(font.getlength(title)) + 2 * GAP)
    lines = 2 if any(panel.note for panel in panels) else 1
    band = Image.new("RGB", (wide, head + height + lines * LINE + GAP), _PAPER)
    draw = ImageDraw.Draw(band)
    draw.text((GAP, GAP // 2), title, _INK, font)
    left = GAP
    for picture, panel, width in zip(pictures, panels, widths, strict=True):
        band.paste(picture, (left, head))
        draw.text((left, head + height + 2), panel.caption, _INK, font)
        draw.text((left, head + height + 2 + LINE), panel.note, _FAINT, font)
        left += width + GAP
    return band


def _fitted(pixels: Pixels, side: int) -> Image.Image:
    picture = on_white(pixels)
    scale = side / max(picture.size)
    if scale == 1:
        return picture
    kernel = Image.Resampling.NEAREST if scale > 1 else Image.Resampling.LANCZOS
    return picture.resize(
        (max(1, round(picture.width * scale)), max(1, round(picture.height * scale))), kernel
    )


def on_white(pixels: Pixels) -> Image.Image:
    """RGB of (H, W, 3 or 4) uint8, transparent parts over white."""
    picture = Image.fromarray(np.ascontiguousarray(pixels))
    if picture.mode == "RGBA":
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    return picture.convert("RGB")


def enlarged(pixels: Pixels, side: int) -> Pixels:
    """Scaled smoothly to `side` pixels on the longer side, so that heat over a small picture is no mosaic."""
    picture = on_white(pixels)
    scale = side / max(picture.size)
    size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
    kernel = Image.Resampling.BICUBIC if scale > 1 else Image.Resampling.LANCZOS
    return np.asarray(picture.resize(size, kernel))


def heat_over(values: Floats, pixels: Pixels) -> Pixels:
    """(h, w) numbers as heat, over a picture in grey and of its size: what is low shows the picture."""
    picture = on_white(pixels)
    grey = np.asarray(picture.convert("L"), np.float32)[..., None]
    spread = resize(_above_lowest(values)[..., None], picture.size, smooth=False)[..., 0]
    share = spread / max(float(spread.max()), 1e-12)
    opacity = (0.25 + 0.6 * share)[..., None]
    return np.rint(grey * (1 - opacity) + heat(share, top=1.0) * opacity).astype(np.uint8)


def with_legend(picture: Pixels, low: float, high: float, unit: str = "") -> Pixels:
    """A bar of heat under a picture, with what its ends stand for."""
    base, font = on_white(picture), ImageFont.load_default(TEXT)
    page = Image.new("RGB", (base.width, base.height + GAP + _BAR + LINE), _PAPER)
    page.paste(base, (0, 0))
    bar = heat(np.tile(np.linspace(0, 1, base.width), (_BAR, 1)), top=1.0)
    page.paste(Image.fromarray(bar), (0, base.height + GAP))
    draw, line = ImageDraw.Draw(page), base.height + GAP + _BAR + 1
    draw.text((0, line), f"{low:.3g}{unit}", _INK, font)
    most = f"{high:.3g}{unit}"
    draw.text((base.width - font.getlength(most), line), most, _INK, font)
    return np.asarray(page)


def _above_lowest(values: Floats) -> Floats:
    return values - float(np.min(values))


def refuse_figure(path: Path) -> None:
    """Say before a long run that a figure is always a PNG. Raises `InputError`."""
    if path.suffix.lower() != ".png":
        raise InputError(f"'{path.name}' cannot hold a figure.", advice="End the name in .png.")


def write_figure(pixels: NDArray[np.uint8], path: Path) -> None:
    """Write (H, W) grey or (H, W, 3) colours as PNG. Raises `StorageError`."""
    with write_atomically(path) as file:
        Image.fromarray(np.ascontiguousarray(pixels)).save(file, "PNG")
