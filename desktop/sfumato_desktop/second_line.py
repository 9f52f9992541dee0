"""The look of text that explains: smaller, and muted by the theme."""

from __future__ import annotations

from PySide6.QtWidgets import QLabel

_SMALLER = 0.9


def set_muted(label: QLabel) -> None:
    """Make a label a second line."""
    label.setProperty("muted", True)
    font = label.font()
    if font.pointSizeF() > 0:
        font.setPointSizeF(font.pointSizeF() * _SMALLER)
    label.setFont(font)
