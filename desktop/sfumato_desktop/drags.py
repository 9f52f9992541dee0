"""What a drag on the canvas does: made on press, told every move, ended on release."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from PySide6.QtCore import QPointF

if TYPE_CHECKING:
    from sfumato_desktop.canvas import Canvas


class Drag(Protocol):
    """A drag under way; points are widget positions."""

    def move(self, to: QPointF) -> None: ...
    def end(self) -> None: ...


class Pan:
    """Move the view."""

    def __init__(self, canvas: Canvas, start: QPointF) -> None:
        self._canvas = canvas
        self._last = start

    def move(self, to: QPointF) -> None:
        self._canvas.pan(to - self._last)
        self._last = to

    def end(self) -> None:
        pass


class Paint:
    """Paint or erase on the mask."""

    def __init__(self, canvas: Canvas, start: QPointF, *, erase: bool) -> None:
        self._canvas = canvas
        self._session = canvas.open_session
        brush = canvas.tools.brush
        self._session.begin_stroke(brush.size, brush.hardness, erase)
        self.move(start)

    def move(self, to: QPointF) -> None:
        point = self._canvas.view.to_document(to)
        self._session.stroke_to(point.x(), point.y(), self._canvas.tools.pressure)

    def end(self) -> None:
        self._session.end_stroke()


class Scrub:
    """Change the brush: size across, hardness up and down."""

    def __init__(self, canvas: Canvas, start: QPointF) -> None:
        self._canvas = canvas
        self._start = start
        self._size = canvas.tools.brush.size
        self._hardness = canvas.tools.brush.hardness
        canvas.tools.scrubbing_at = start

    def move(self, to: QPointF) -> None:
        by = to - self._start
        brush = self._canvas.tools.brush
        brush.set_size(self._size + 2 * by.x() / self._canvas.view.scale)
        brush.set_hardness(self._hardness - by.y() / 200)

    def end(self) -> None:
        self._canvas.tools.scrubbing_at = None
        self._canvas.update()


class Wipe:
    """Move the divider between before and after."""

    def __init__(self, canvas: Canvas) -> None:
        self._canvas = canvas

    def move(self, to: QPointF) -> None:
        view = self._canvas.view
        self._canvas.set_wipe(view.to_document(to).x() / view.document.width())

    def end(self) -> None:
        pass
