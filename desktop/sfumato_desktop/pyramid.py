"""A picture ready for the screen, with half-size copies for zooming out, redone only where it changed."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QRect, QRectF, QSize, Qt
from PySide6.QtGui import QImage, QPainter, QRegion

from sfumato_desktop.images import SCREEN_FORMAT

_SMALLEST = 256
_TILE = 1024


class Pyramid:
    """Full size first, then half, quarter, ...; `render` makes the pixels of a rectangle when needed."""

    def __init__(self, size: QSize, render: Callable[[QRect], QImage]) -> None:
        self.size = size
        self._render = render
        self._dirty = QRegion(QRect(0, 0, size.width(), size.height()))
        self.levels = [_blank(size)]
        while max(size.width(), size.height()) > _SMALLEST:
            size = QSize((size.width() + 1) // 2, (size.height() + 1) // 2)
            self.levels.append(_blank(size))

    def invalidate(self, rect: QRect) -> None:
        """Have the pixels of `rect` made again before they are next drawn."""
        self._dirty += rect & self.levels[0].rect()

    def refresh(self, visible: QRect) -> None:
        """Bring what will be seen up to date."""
        wanted = self._dirty & visible
        self._dirty -= wanted
        for rect in wanted:  # pyright: ignore[reportGeneralTypeIssues]  # it is; the stub does not know
            for top in range(rect.top(), rect.bottom() + 1, _TILE):
                for left in range(rect.left(), rect.right() + 1, _TILE):
                    self._replace(QRect(left, top, _TILE, _TILE) & rect)

    def _replace(self, rect: QRect) -> None:
        painter = QPainter(self.levels[0])
        painter.setCompositionMode(QPainter.CompositionMode.CompositionMode_Source)
        painter.drawImage(rect.topLeft(), self._render(rect))
        painter.end()
        for larger, smaller in zip(self.levels, self.levels[1:], strict=False):
            rect = QRect(rect.left() // 2, rect.top() // 2, rect.width() // 2 + 2, rect.height() // 2 + 2)
            rect &= smaller.rect()
            _halve(larger, smaller, rect)

    def draw(self, painter: QPainter, part: QRectF, level: int) -> None:
        """Draw document rectangle `part` from the given level; the painter is in document units."""
        image = self.levels[level]
        share = 0.5**level
        taken = QRectF(part.x() * share, part.y() * share, part.width() * share, part.height() * share)
        painter.drawImage(part, image, taken)


def _blank(size: QSize) -> QImage:
    image = QImage(size, SCREEN_FORMAT)
    if image.isNull():  # Qt reports no exception when memory runs out
        raise MemoryError(f"no memory for a picture of {size.width()} x {size.height()}")
    image.fill(Qt.GlobalColor.transparent)
    return image


def _halve(larger: QImage, smaller: QImage, rect: QRect) -> None:
    painter = QPainter(smaller)
    painter.setCompositionMode(QPainter.CompositionMode.CompositionMode_Source)
    painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
    painter.drawImage(
        QRectF(rect), larger, QRectF(rect.x() * 2, rect.y() * 2, rect.width() * 2, rect.height() * 2)
    )
    painter.end()
