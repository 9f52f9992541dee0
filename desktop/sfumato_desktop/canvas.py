"""The canvas: shows the document, zooms, pans, compares, and lets the person paint the mask."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QPointF, QRectF, QSizeF, Qt, Signal
from PySide6.QtGui import (
    QEnterEvent,
    QFocusEvent,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QResizeEvent,
    QTabletEvent,
    QWheelEvent,
)
from PySide6.QtWidgets import QWidget

from sfumato.document.geometry import Rect
from sfumato_desktop.brush_settings import BrushSettings
from sfumato_desktop.canvas_paint import paint
from sfumato_desktop.canvas_tools import CanvasTools
from sfumato_desktop.canvas_view import View
from sfumato_desktop.heat import Heat
from sfumato_desktop.scene import Preview, Scene, qt_rect, scene_of
from sfumato_desktop.session import Session

_ARROWS = {
    Qt.Key.Key_Left: (1, 0),
    Qt.Key.Key_Right: (-1, 0),
    Qt.Key.Key_Up: (0, 1),
    Qt.Key.Key_Down: (0, -1),
}


class Canvas(QWidget):
    """A raster widget: dirty rectangles only, no OpenGL."""

    view_changed = Signal()
    peeked = Signal(bool)
    """The original is shown while a key is held."""

    def __init__(self, brush: BrushSettings, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("canvas")
        self.setAccessibleName("Picture")
        self.setToolTip("")
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMouseTracking(True)
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self.setMinimumSize(240, 180)
        self._session: Session | None = None
        self._scene: Scene | None = None
        self.tools = CanvasTools(self, brush)
        brush.changed.connect(self.update)

    @property
    def has_document(self) -> bool:
        return self._scene is not None

    @property
    def open_session(self) -> Session:
        assert self._session is not None, "no picture is open"
        return self._session

    @property
    def scene(self) -> Scene:
        assert self._scene is not None, "no picture is open"
        return self._scene

    @property
    def view(self) -> View:
        return self.scene.view

    def show_session(self, session: Session | None) -> None:
        """Show another document, or none."""
        self.tools.release()
        if self._session is not None:
            self._session.disconnect(self)
        self._session, self._scene = session, None
        if session is not None:
            self._scene = scene_of(session.document, QSizeF(self.size()), self.devicePixelRatioF())
            session.changed.connect(self._pixels_changed)
            session.mask_changed.connect(self._mask_changed)
            session.structure_changed.connect(self._layers_changed)
        self.tools.choose_cursor()
        self.view_changed.emit()
        self.update()

    # What can be set ---------------------------------------------------------------------------

    def show_overlay(self, shown: bool) -> None:
        if self._scene is not None:
            self._scene.show_overlay = shown
            self.update()

    def show_before(self, shown: bool) -> None:
        if self._scene is not None and self._scene.show_before != shown:
            self._scene.show_before = shown
            self.peeked.emit(shown)
            self.update()

    def set_wipe(self, share: float | None) -> None:
        """Compare by wipe: the left `share` of the picture shows the original; None ends it."""
        if self._scene is not None:
            self._scene.divider = None if share is None else min(max(share, 0.0), 1.0)
            self.update()

    def set_heat(self, heat: Heat | None) -> None:
        """Show where a word looked, over its region; None ends it."""
        if self._scene is not None:
            self._scene.heat = heat
            self._scene.heat_image = heat.image() if heat is not None else None
            said = (
                "" if heat is None else f"{heat.title}: {' to '.join(heat.legend(None)[:2])} of {heat.whole}"
            )
            self.setAccessibleDescription(said)
            self.update()

    def set_preview(self, preview: Preview | None) -> None:
        """Show the picture in the making over its region."""
        if self._scene is not None:
            self._scene.preview = preview
            self.update()

    def fit(self) -> None:
        self.view.fit()
        self._moved()

    def zoom_to(self, zoom: float) -> None:
        self.view.zoom_to(zoom, self.tools.anchor())
        self._moved()

    def zoom_step(self, direction: int) -> None:
        self.view.step(direction, self.tools.anchor())
        self._moved()

    def pan(self, by: QPointF) -> None:
        self.view.pan(by)
        self._moved()

    # What the document tells -------------------------------------------------------------------

    def _pixels_changed(self, rect: Rect) -> None:
        self.scene.picture.invalidate(qt_rect(rect))
        self._update_document(rect)

    def _layers_changed(self) -> None:
        self.scene.original.invalidate(self.scene.bounds.toRect())
        if self.scene.show_before or self.scene.divider is not None:
            self.update()

    def _mask_changed(self, rect: Rect) -> None:
        self.scene.overlay.invalidate(qt_rect(rect))
        self._update_document(rect)

    def _update_document(self, rect: Rect) -> None:
        on_screen = self.view.to_widget(QRectF(qt_rect(rect)))
        self.update(on_screen.toAlignedRect().adjusted(-2, -2, 2, 2))

    # Events ------------------------------------------------------------------------------------

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        if self._scene is None:
            painter.fillRect(event.rect(), self.palette().window())
            return
        self._scene.cursor, self._scene.core = self.tools.outlines()
        paint(painter, self._scene, event.rect())

    def resizeEvent(self, event: QResizeEvent) -> None:
        if self._scene is not None:
            self.view.resize(QSizeF(event.size()), self.devicePixelRatioF())
            self.view_changed.emit()

    def wheelEvent(self, event: QWheelEvent) -> None:
        if self._scene is None:
            return
        turned = event.angleDelta()
        if event.modifiers() & Qt.KeyboardModifier.ShiftModifier:
            self.pan(QPointF(turned.y() or turned.x(), 0) / 2)
        else:
            self.view.zoom_to(self.view.zoom * 1.2 ** (turned.y() / 120), event.position())
            self._moved()
        event.accept()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        self.setFocus(Qt.FocusReason.MouseFocusReason)
        if self._scene is not None:
            self.tools.press(event)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if self._scene is not None:
            self.tools.move(event.position())
            self._hover(event.position())

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        self.tools.release()

    def tabletEvent(self, event: QTabletEvent) -> None:
        lifted = event.type() == QEvent.Type.TabletRelease
        self.tools.pressure = 1.0 if lifted else event.pressure()
        event.ignore()  # the mouse event that follows does the work

    def enterEvent(self, event: QEnterEvent) -> None:
        self.tools.point_at(event.position())

    def leaveEvent(self, event: QEvent) -> None:
        self.tools.point_at(None)
        self._hover(None)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Space:
            self.tools.hold_space(True)
        elif event.key() == Qt.Key.Key_QuoteLeft:
            self.show_before(True)
        elif self._scene is not None and event.key() in _ARROWS:
            self.pan(QPointF(*_ARROWS[Qt.Key(event.key())]) * 48)
        else:
            super().keyPressEvent(event)

    def keyReleaseEvent(self, event: QKeyEvent) -> None:
        if event.isAutoRepeat():
            return
        if event.key() == Qt.Key.Key_Space:
            self.tools.hold_space(False)
        elif event.key() == Qt.Key.Key_QuoteLeft:
            self.show_before(False)
        else:
            super().keyReleaseEvent(event)

    def focusOutEvent(self, event: QFocusEvent) -> None:
        self.tools.hold_space(False)
        self.show_before(False)
        super().focusOutEvent(event)

    def _hover(self, point: QPointF | None) -> None:
        """Have the legend of a heat map say what is under the mouse."""
        if self._scene is not None and self._scene.heat is not None:
            self._scene.hover = None if point is None else self.view.to_document(point)
            self.update(self._scene.legend.toAlignedRect().adjusted(-2, -2, 2, 2))

    def _moved(self) -> None:
        self.view_changed.emit()
        self.update()
