"""Icon buttons in a colour of their palette, redrawn when the theme changes."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QSize
from PySide6.QtGui import QIcon, QPalette
from PySide6.QtWidgets import QToolButton

from sfumato_desktop import icons
from sfumato_desktop.named import named

_REDRAW = (QEvent.Type.PaletteChange, QEvent.Type.StyleChange, QEvent.Type.EnabledChange)


class GlyphButton(QToolButton):
    """A flat button that shows one of our icons."""

    def __init__(self, glyph: str, name: str, accessible: str, tip: str, *, side: int = 16) -> None:
        super().__init__()
        self._glyph = glyph
        self._role = QPalette.ColorRole.ButtonText
        self._drawn: tuple[str, str] | None = None
        self.setAutoRaise(True)
        self.setIconSize(QSize(side, side))
        named(self, name, accessible, tip)
        self._draw()

    def set_glyph(self, glyph: str) -> None:
        self._glyph = glyph
        self._draw()

    def set_role(self, role: QPalette.ColorRole) -> None:
        """Draw in another colour of the palette."""
        self._role = role
        self._draw()

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() in _REDRAW:
            self._draw()

    def _draw(self) -> None:
        colour, side = self.palette().color(self._role).name(), self.iconSize().width()
        if self._drawn == (self._glyph, colour):
            return
        self._drawn = (self._glyph, colour)
        icon = QIcon()
        for ratio in (1.0, 2.0, 3.0):
            icon.addPixmap(icons.pixmap(self._glyph, colour, side, ratio))
        self.setIcon(icon)
