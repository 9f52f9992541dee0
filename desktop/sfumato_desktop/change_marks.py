"""How changed words are marked: a colour for the eye that sees it, and a line for every eye."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from PySide6.QtGui import QColor, QPalette, QTextCharFormat

from sfumato.prompts import Change, Piece, Word
from sfumato_desktop.theme import COLOURS

LEGEND = (
    "<p><b>How words are marked</b><br>"
    "plain: kept<br>"
    "<u>amber, wavy line</u>: replaced<br>"
    "<u>green, line</u>: added<br>"
    "<s>red, struck out</s>: removed</p>"
)
READABLE = 4.5
"""Least contrast of text on its ground."""
_INKS: dict[Change, Literal["good", "warning", "bad"]] = {
    "replaced": "warning",
    "added": "good",
    "removed": "bad",
}
_Line = QTextCharFormat.UnderlineStyle


def mark(change: Change, palette: QPalette) -> QTextCharFormat:
    """The look of a word on the palette's text field; a colour of at least 4.5:1 and a line of its own."""
    made = QTextCharFormat()
    if change == "kept":
        return made
    colour = ink(_INKS[change], palette.color(QPalette.ColorRole.Base))
    made.setForeground(colour)
    made.setUnderlineColor(colour)
    if change == "removed":
        made.setFontStrikeOut(True)
    else:
        made.setUnderlineStyle(_Line.WaveUnderline if change == "replaced" else _Line.SingleUnderline)
    return made


def ink(name: Literal["good", "warning", "bad"], ground: QColor) -> QColor:
    """The theme's colour of that name, as it reads well on a ground: at least 4.5:1."""
    inks = [QColor(getattr(COLOURS[look], name)) for look in ("light", "dark")]
    colour = max(inks, key=lambda each: contrast(each, ground))
    end = max(QColor("black"), QColor("white"), key=lambda each: contrast(each, ground))
    shares = (_mix(colour, end, share / 10) for share in range(11))  # one end always has 4.5:1
    return next(each for each in shares if contrast(each, ground) >= READABLE)


def _mix(one: QColor, other: QColor, share: float) -> QColor:
    parts = ((one.redF(), other.redF()), (one.greenF(), other.greenF()), (one.blueF(), other.blueF()))
    return QColor.fromRgbF(*(a + share * (b - a) for a, b in parts))


def contrast(one: QColor, other: QColor) -> float:
    """Contrast ratio of WCAG 2: (L1 + 0.05) / (L2 + 0.05) of the relative luminances."""
    high, low = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def _luminance(colour: QColor) -> float:
    red, green, blue = (_linear(part) for part in (colour.redF(), colour.greenF(), colour.blueF()))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _linear(part: float) -> float:
    return part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4


def spell_out(pieces: tuple[Piece, ...], before: tuple[Word, ...], after: tuple[Word, ...]) -> str:
    """The changes in words, for screen readers: "Replaced cat by dog. Added in snow."."""
    return " ".join(_sentences(pieces, before, after)) or "The prompts are the same."


def _sentences(pieces: tuple[Piece, ...], before: tuple[Word, ...], after: tuple[Word, ...]) -> Iterator[str]:
    for piece in pieces:
        old = " ".join(word.text for word in before[slice(*piece.source)])
        new = " ".join(word.text for word in after[slice(*piece.target)])
        if piece.change == "replaced":
            yield f"Replaced {old} by {new}."
        elif piece.change != "kept":
            yield f"{piece.change.capitalize()} {new or old}."
