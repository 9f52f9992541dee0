"""What the canvas shows: the document's pictures ready for the screen, and how they are being compared."""

from __future__ import annotations

from dataclasses import dataclass, field

from PySide6.QtCore import QPointF, QRect, QRectF, QSize, QSizeF, Qt
from PySide6.QtGui import QImage, qRgba

from sfumato.document.compositor import flatten
from sfumato.document.geometry import Rect
from sfumato.document.layers import Document
from sfumato_desktop import compare, images
from sfumato_desktop.canvas_view import View
from sfumato_desktop.heat import Heat
from sfumato_desktop.pyramid import Pyramid

_TINT = [qRgba(235, 64, 130, value * 115 // 255) for value in range(256)]


@dataclass
class Preview:
    """The picture in the making, over its region of the document; no image before the first preview."""

    box: Rect
    image: QImage | None = None


@dataclass
class Scene:
    """Everything there is to draw."""

    view: View
    picture: Pyramid
    original: Pyramid
    overlay: Pyramid
    show_overlay: bool = False
    show_before: bool = False
    divider: float | None = None
    """Wipe: share of the width that shows the original; None when the wipe is off."""
    preview: Preview | None = None
    heat: Heat | None = None
    """Where a word looked."""
    heat_image: QImage | None = None
    hover: QPointF | None = None
    """Where the mouse is, in document pixels."""
    legend: QRectF = field(default_factory=QRectF)
    """Where the legend was drawn, in widget pixels."""
    cursor: QRectF | None = None
    """The brush's outline, in document pixels."""
    core: QRectF | None = None
    """Its fully opaque part, shown while it is being changed."""

    @property
    def bounds(self) -> QRectF:
        """The document's rectangle, in document pixels."""
        return QRectF(0, 0, self.picture.size.width(), self.picture.size.height())


def scene_of(document: Document, window: QSizeF, ratio: float) -> Scene:
    """A scene that draws its parts from the document when they are first seen."""
    space = images.colour_space(document.profile)
    size = QSize(document.width, document.height)

    def picture(rect: QRect) -> QImage:
        return images.picture(flatten(document, core_rect(rect)), space)

    def original(rect: QRect) -> QImage:
        return images.picture(compare.before(document, core_rect(rect)), space)

    def overlay(rect: QRect) -> QImage:
        left, top, right, bottom = core_rect(rect)
        if document.mask is None:
            return _clear(rect.size())
        return images.tint(document.mask[top:bottom, left:right], _TINT)

    view = View(QSizeF(size), window, ratio)
    view.fit()
    return Scene(view, Pyramid(size, picture), Pyramid(size, original), Pyramid(size, overlay))


def qt_rect(rect: Rect) -> QRect:
    """A document rectangle as Qt's."""
    left, top, right, bottom = rect
    return QRect(left, top, right - left, bottom - top)


def core_rect(rect: QRect) -> Rect:
    """Qt's rectangle as a document rectangle."""
    return rect.left(), rect.top(), rect.left() + rect.width(), rect.top() + rect.height()


def _clear(size: QSize) -> QImage:
    image = QImage(size, images.SCREEN_FORMAT)
    image.fill(Qt.GlobalColor.transparent)
    return image
