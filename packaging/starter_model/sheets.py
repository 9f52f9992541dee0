"""Sample sheets: pictures in rows, each with what it was asked to be."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from starter_model.state import write_whole


def write_sheet(
    path: Path, pictures: NDArray[np.uint8], captions: Sequence[str] = (), *, columns: int = 8
) -> None:
    """A PNG of pictures (n, H, W, 3) in rows, captions under them in as many lines as they need."""
    side, strip = pictures.shape[1], 24 if captions else 0
    rows = -(-len(pictures) // columns)
    sheet = Image.new("RGB", (columns * side, rows * (side + strip)), "white")
    pen = ImageDraw.Draw(sheet)
    for index, picture in enumerate(pictures):
        left, top = index % columns * side, index // columns * (side + strip)
        sheet.paste(Image.fromarray(picture), (left, top))
        if captions:
            pen.multiline_text(
                (left + 2, top + side), wrap(captions[index], side // 6), fill="black", spacing=0
            )
    content = io.BytesIO()
    sheet.save(content, "PNG", optimize=True)
    write_whole(path, content.getbuffer())


def wrap(text: str, width: int) -> str:
    """A caption broken at words into lines of at most `width` letters."""
    lines = [""]
    for word in text.split():
        if len(lines[-1]) + len(word) + 1 > width and lines[-1]:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return "\n".join(lines[:2])
