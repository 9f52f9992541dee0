"""How the canvas is drawn: backdrop, picture or comparison, preview of a run, mask tint, cursor."""

from __future__ import annotations

from PySide6.QtCore import QPointF, QRect, QRectF, Qt
from PySide6.QtGui import QBrush, QColor, QFontMetricsF, QPainter, QPen, QPixmap

from sfumato_desktop import theme
from sfumato_desktop.canvas_view import mip_level
from sfumato_desktop.heat import paint_legend
from sfumato_desktop.pyramid import Pyramid
from sfumato_desktop.scene import Scene

NEAREST_FROM = 6.0
"""From this zoom on, document pixels are shown as the squares they are."""


def paint(painter: QPainter, scene: Scene, exposed: QRect) -> None:
    """Draw the exposed part of the widget."""
    painter.fillRect(exposed, QColor(theme.current().canvas))
    whole = scene.bounds
    on_screen = scene.view.to_widget(whole)
    seen = scene.view.transform().inverted()[0].mapRect(QRectF(exposed)).intersected(whole)
    painter.setPen(QPen(QColor(0, 0, 0, 70), 1))
    painter.drawRect(on_screen.adjusted(-0.5, -0.5, 0.5, 0.5))
    if seen.isEmpty():
        return
    painter.fillRect(on_screen.intersected(QRectF(exposed)), _checkerboard(painter))
    painter.save()
    painter.setTransform(scene.view.transform(), True)
    painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, scene.view.zoom < NEAREST_FROM)
    _paint_pictures(painter, scene, seen)
    if scene.heat is not None and scene.heat_image is not None and not scene.show_before:
        left, top, right, bottom = scene.heat.box
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        painter.drawImage(QRectF(left, top, right - left, bottom - top), scene.heat_image)
    if scene.show_overlay and not scene.show_before:
        _draw(painter, scene, scene.overlay, seen)
    painter.restore()
    _paint_marks(painter, scene, on_screen)


def _paint_pictures(painter: QPainter, scene: Scene, seen: QRectF) -> None:
    if scene.show_before:
        _draw(painter, scene, scene.original, seen)
        return
    split = scene.bounds.width() * (scene.divider or 0.0)
    if scene.divider is not None:
        _draw(painter, scene, scene.original, seen.intersected(QRectF(0, seen.top(), split, seen.height())))
    after = seen.intersected(QRectF(split, seen.top(), scene.bounds.width() - split, seen.height()))
    _draw(painter, scene, scene.picture, after)
    if scene.preview is not None and scene.preview.image is not None:
        left, top, right, bottom = scene.preview.box
        painter.save()
        painter.setClipRect(after)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        painter.drawImage(QRectF(left, top, right - left, bottom - top), scene.preview.image)
        painter.restore()


def _draw(painter: QPainter, scene: Scene, pyramid: Pyramid, part: QRectF) -> None:
    if part.isEmpty():
        return
    level = mip_level(scene.view.zoom, len(pyramid.levels))
    grid = 2**level  # whole cells of the level, so that neighbouring repaints meet without a seam
    left, top = int(part.left()) // grid * grid, int(part.top()) // grid * grid
    right = min(pyramid.size.width(), (int(part.right()) // grid + 2) * grid)
    bottom = min(pyramid.size.height(), (int(part.bottom()) // grid + 2) * grid)
    whole_cells = QRect(left, top, right - left, bottom - top)
    pyramid.refresh(whole_cells)
    painter.save()
    painter.setClipRect(part, Qt.ClipOperation.IntersectClip)
    pyramid.draw(painter, QRectF(whole_cells), level)
    painter.restore()


def _paint_marks(painter: QPainter, scene: Scene, on_screen: QRectF) -> None:
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    if scene.preview is not None and not scene.show_before:
        left, top, right, bottom = scene.preview.box
        _two_tone(painter, scene.view.to_widget(QRectF(left, top, right - left, bottom - top)), ellipse=False)
    if scene.heat is not None and not scene.show_before:
        area = on_screen.intersected(QRectF(painter.viewport()))
        scene.legend = paint_legend(painter, scene.heat, scene.hover, area)
    if scene.show_before:
        _label(painter, "Before", on_screen, Qt.AlignmentFlag.AlignLeft)
    elif scene.divider is not None:
        _paint_divider(painter, scene, on_screen)
    for outline in (scene.cursor, scene.core):
        if outline is not None:
            _two_tone(painter, scene.view.to_widget(outline), ellipse=True)


def _paint_divider(painter: QPainter, scene: Scene, on_screen: QRectF) -> None:
    x = on_screen.left() + on_screen.width() * (scene.divider or 0.0)
    painter.setPen(QPen(QColor(0, 0, 0, 120), 4))
    painter.drawLine(QPointF(x, on_screen.top()), QPointF(x, on_screen.bottom()))
    painter.setPen(QPen(QColor("white"), 2))
    painter.drawLine(QPointF(x, on_screen.top()), QPointF(x, on_screen.bottom()))
    middle = QPointF(x, on_screen.center().y())
    painter.setPen(QPen(QColor(0, 0, 0, 120), 1))
    painter.setBrush(QColor("white"))
    painter.drawEllipse(middle, 14, 14)
    painter.setPen(QPen(QColor(40, 42, 46), 2, c=Qt.PenCapStyle.RoundCap))
    for side in (-1, 1):
        tip = middle + QPointF(side * 8, 0)
        painter.drawLine(tip, tip + QPointF(-side * 4, -4))
        painter.drawLine(tip, tip + QPointF(-side * 4, 4))
    painter.setBrush(Qt.BrushStyle.NoBrush)
    _label(painter, "Before", on_screen, Qt.AlignmentFlag.AlignLeft)
    _label(painter, "After", on_screen, Qt.AlignmentFlag.AlignRight)


def _label(painter: QPainter, text: str, on_screen: QRectF, side: Qt.AlignmentFlag) -> None:
    area = on_screen.intersected(QRectF(painter.viewport())).adjusted(10, 10, -10, -10)
    size = QFontMetricsF(painter.font()).size(Qt.TextFlag.TextSingleLine, text)
    chip = QRectF(0, 0, size.width() + 16, size.height() + 8)
    chip.moveTopLeft(area.topLeft())
    if side == Qt.AlignmentFlag.AlignRight:
        chip.moveRight(area.right())
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(QColor(20, 21, 23, 200))
    painter.drawRoundedRect(chip, 5, 5)
    painter.setPen(QColor("white"))
    painter.drawText(chip, Qt.AlignmentFlag.AlignCenter, text)
    painter.setBrush(Qt.BrushStyle.NoBrush)


def _two_tone(painter: QPainter, shape: QRectF, *, ellipse: bool) -> None:
    """An outline seen on any picture: white dashes on black."""
    painter.setBrush(Qt.BrushStyle.NoBrush)
    for pen in (QPen(QColor(0, 0, 0, 170), 1.5), QPen(QColor("white"), 1.5, Qt.PenStyle.CustomDashLine)):
        if pen.style() == Qt.PenStyle.CustomDashLine:
            pen.setDashPattern([4, 3])
        painter.setPen(pen)
        (painter.drawEllipse if ellipse else painter.drawRect)(shape)


def _checkerboard(painter: QPainter) -> QBrush:
    ratio = painter.device().devicePixelRatioF()
    side = round(8 * ratio)
    tile = QPixmap(2 * side, 2 * side)
    tile.fill(QColor("#ffffff"))
    inside = QPainter(tile)
    inside.fillRect(0, 0, side, side, QColor("#cfcfcf"))
    inside.fillRect(side, side, side, side, QColor("#cfcfcf"))
    inside.end()
    tile.setDevicePixelRatio(ratio)
    return QBrush(tile)
