"""The canvas's tools: which one is in hand, what a press begins, and how the cursor looks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from PySide6.QtCore import QPointF, QRect, QRectF, Qt
from PySide6.QtGui import QMouseEvent

from sfumato_desktop import drags
from sfumato_desktop.brush_settings import BrushSettings

if TYPE_CHECKING:
    from sfumato_desktop.canvas import Canvas

Tool = Literal["hand", "brush", "eraser"]
_GRIP = 10.0
"""Logical pixels either side of the wipe's divider where it can be taken."""


class CanvasTools:
    """Turns presses and moves into drags, and keeps the cursor honest about what a press would do."""

    def __init__(self, canvas: Canvas, brush: BrushSettings) -> None:
        self._canvas = canvas
        self.brush = brush
        self.tool: Tool = "hand"
        self.pressure = 1.0
        self.scrubbing_at: QPointF | None = None
        self.pointer: QPointF | None = None
        self._drag: drags.Drag | None = None
        self._space = False

    def choose(self, tool: Tool) -> None:
        self.tool = tool
        self.choose_cursor()

    def press(self, event: QMouseEvent) -> None:
        if self._drag is None:
            self._drag = self._begin(event)
            self.choose_cursor()

    def move(self, position: QPointF) -> None:
        self.point_at(position)
        if self._drag is not None:
            self._drag.move(position)
        else:
            self.choose_cursor()

    def release(self) -> None:
        """End the drag under way, if there is one."""
        if self._drag is not None:
            drag, self._drag = self._drag, None
            drag.end()
            self.choose_cursor()

    def hold_space(self, held: bool) -> None:
        self._space = held
        self.choose_cursor()

    def point_at(self, position: QPointF | None) -> None:
        """Follow the pointer; None when it left."""
        self._canvas.update(self.cursor_area())
        self.pointer = position
        self._canvas.update(self.cursor_area())

    def anchor(self) -> QPointF:
        """Where zooming by keys holds the picture: the pointer, else the middle."""
        return self.pointer or QPointF(self._canvas.width() / 2, self._canvas.height() / 2)

    def choose_cursor(self) -> None:
        """Show what a press would do here."""
        self._canvas.setCursor(self._shape())
        self._canvas.update(self.cursor_area())

    def cursor_area(self) -> QRect:
        """The part of the widget the brush's outline covers."""
        at = self.scrubbing_at or self.pointer
        if at is None or not self._canvas.has_document:
            return QRect()
        reach = self.brush.size * self._canvas.view.scale / 2 + 3
        return QRectF(at.x() - reach, at.y() - reach, 2 * reach, 2 * reach).toAlignedRect()

    def outlines(self) -> tuple[QRectF | None, QRectF | None]:
        """The brush's outline and, while scrubbing, its opaque core, in document pixels."""
        at = self.scrubbing_at or self.pointer
        if at is None or self.tool == "hand" or self._space:
            return None, None
        point, radius = self._canvas.view.to_document(at), self.brush.size / 2
        core = _square(point, radius * self.brush.hardness) if self.scrubbing_at is not None else None
        return _square(point, radius), core

    def _begin(self, event: QMouseEvent) -> drags.Drag | None:
        at, button = event.position(), event.button()
        if button == Qt.MouseButton.MiddleButton:
            return drags.Pan(self._canvas, at)
        if button != Qt.MouseButton.LeftButton:
            return None
        if self._on_divider(at):
            return drags.Wipe(self._canvas)
        if self._space or self.tool == "hand":
            return drags.Pan(self._canvas, at)
        if event.modifiers() & Qt.KeyboardModifier.ShiftModifier:
            return drags.Scrub(self._canvas, at)
        return drags.Paint(self._canvas, at, erase=self.tool == "eraser")

    def _on_divider(self, at: QPointF) -> bool:
        view, divider = self._canvas.view, self._canvas.scene.divider
        if divider is None:
            return False
        return abs(at.x() - view.transform().map(QPointF(divider * view.document.width(), 0)).x()) <= _GRIP

    def _shape(self) -> Qt.CursorShape:
        shape = Qt.CursorShape
        if not self._canvas.has_document:
            return shape.ArrowCursor
        if isinstance(self._drag, drags.Pan):
            return shape.ClosedHandCursor
        if self.pointer is not None and self._on_divider(self.pointer):
            return shape.SplitHCursor
        if self._space or self.tool == "hand":
            return shape.OpenHandCursor
        return shape.CrossCursor if self.brush.size * self._canvas.view.scale < 6 else shape.BlankCursor


def _square(middle: QPointF, radius: float) -> QRectF:
    return QRectF(middle.x() - radius, middle.y() - radius, 2 * radius, 2 * radius)
