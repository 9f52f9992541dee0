"""How a row of the layer list looks: eye, thumbnail, name; for edits the method and whether it is stale."""

from __future__ import annotations

from PySide6.QtCore import QAbstractItemModel, QEvent, QModelIndex, QPersistentModelIndex, QRect, QSize, Qt
from PySide6.QtGui import QColor, QFont, QMouseEvent, QPainter, QPen
from PySide6.QtWidgets import QLineEdit, QStyle, QStyledItemDelegate, QStyleOptionViewItem, QWidget

from sfumato.document.layers import Layer
from sfumato_desktop import icons, theme
from sfumato_desktop.layers_model import LAYER, STALE, THUMBNAIL

_HEIGHT = 50
_EYE = 30
_THUMB = 38
Index = QModelIndex | QPersistentModelIndex


class LayersDelegate(QStyledItemDelegate):
    """Draws rows and turns a click on the eye into a change of visibility."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.titles: dict[str, str] = {}
        """Titles of editors by name, once plugins are loaded."""

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:
        return QSize(160, _HEIGHT)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        layer: Layer = index.data(LAYER)
        colours = theme.current()
        area: QRect = option.rect  # pyright: ignore[reportAttributeAccessIssue]  # stub lacks the fields
        state: QStyle.StateFlag = option.state  # pyright: ignore[reportAttributeAccessIssue]
        selected = bool(state & QStyle.StateFlag.State_Selected)
        painter.save()
        if selected:
            painter.fillRect(area, QColor(colours.accent))
        elif state & QStyle.StateFlag.State_MouseOver:
            painter.fillRect(area, QColor(colours.hover))
        ink = colours.on_accent if selected else colours.text if layer.visible else colours.muted
        quiet = colours.on_accent if selected else colours.muted
        self._draw_eye(painter, area, layer.visible, ink if layer.visible else quiet)
        self._draw_thumbnail(painter, area, index)
        self._draw_words(painter, area, layer, index.data(STALE), (ink, quiet))
        painter.setPen(QPen(QColor(colours.border), 1))
        painter.drawLine(area.bottomLeft(), area.bottomRight())
        painter.restore()

    def _draw_eye(self, painter: QPainter, area: QRect, visible: bool, ink: str) -> None:
        ratio = painter.device().devicePixelRatioF()
        drawn = icons.pixmap("eye" if visible else "eye-off", ink, 18, ratio)
        painter.drawPixmap(area.left() + (_EYE - 18) // 2 + 2, area.center().y() - 8, drawn)

    def _draw_thumbnail(self, painter: QPainter, area: QRect, index: Index) -> None:
        frame = QRect(area.left() + _EYE + 4, area.center().y() - _THUMB // 2 + 1, _THUMB, _THUMB)
        image = index.data(THUMBNAIL)
        size = image.size().scaled(frame.size(), Qt.AspectRatioMode.KeepAspectRatio)
        spot = QRect(frame.center().x() - size.width() // 2, frame.center().y() - size.height() // 2, 0, 0)
        spot.setSize(size)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        painter.fillRect(spot, QColor("#d8d8d8"))
        painter.drawImage(spot, image)
        painter.setPen(QPen(QColor(theme.current().border), 1))
        painter.drawRect(spot.adjusted(-1, -1, 0, 0))

    def _draw_words(
        self, painter: QPainter, area: QRect, layer: Layer, stale: bool, inks: tuple[str, str]
    ) -> None:
        ink, quiet = inks
        text = area.adjusted(_EYE + _THUMB + 14, 6, -8, -6)
        painter.setPen(QColor(ink))
        metrics = painter.fontMetrics()
        name = metrics.elidedText(layer.name, Qt.TextElideMode.ElideRight, text.width())
        painter.drawText(text, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignTop, name)
        painter.setFont(_smaller(painter.font()))
        below = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignBottom
        painter.setPen(QColor(quiet))
        if layer.edit is None:
            painter.drawText(text, below, self._percent(layer) or "Picture")
            return
        title = self.titles.get(layer.edit.recipe.editor, layer.edit.recipe.editor)
        ratio = painter.device().devicePixelRatioF()
        mark = icons.pixmap("warning" if stale else "sparkle", quiet, 13, ratio)
        painter.drawPixmap(text.left(), text.bottom() - 14, mark)
        sentence = " · ".join(
            part for part in ("Stale" if stale else "", title, self._percent(layer)) if part
        )
        fitted = painter.fontMetrics().elidedText(sentence, Qt.TextElideMode.ElideRight, text.width() - 18)
        painter.drawText(text.adjusted(18, 0, 0, 0), below, fitted)

    def _percent(self, layer: Layer) -> str:
        return "" if layer.opacity >= 1 else f"{round(layer.opacity * 100)} %"

    def editorEvent(
        self, event: QEvent, model: QAbstractItemModel, option: QStyleOptionViewItem, index: Index
    ) -> bool:
        area: QRect = option.rect  # pyright: ignore[reportAttributeAccessIssue]
        pressed = event.type() in (QEvent.Type.MouseButtonPress, QEvent.Type.MouseButtonDblClick)
        if isinstance(event, QMouseEvent) and pressed and event.position().x() < area.left() + _EYE:
            return model.setData(index, None, Qt.ItemDataRole.CheckStateRole)
        return False

    def createEditor(self, parent: QWidget, option: QStyleOptionViewItem, index: Index) -> QWidget:
        editor = QLineEdit(parent)
        editor.setObjectName("layer_name")
        editor.setAccessibleName("Layer name")
        editor.setToolTip("Enter keeps the name, Escape the old one")
        return editor

    def updateEditorGeometry(self, editor: QWidget, option: QStyleOptionViewItem, index: Index) -> None:
        area: QRect = option.rect  # pyright: ignore[reportAttributeAccessIssue]
        editor.setGeometry(area.adjusted(_EYE + _THUMB + 8, 4, -4, -area.height() + 30))


def _smaller(font: QFont) -> QFont:
    small = QFont(font)
    small.setPointSizeF(font.pointSizeF() - 0.5)
    return small
