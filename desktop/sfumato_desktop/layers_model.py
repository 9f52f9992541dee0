"""The layer list as Qt's views see it: topmost first, with drag and drop, renaming and visibility."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from PySide6.QtCore import (
    QAbstractListModel,
    QByteArray,
    QMimeData,
    QModelIndex,
    QPersistentModelIndex,
    QSize,
    Qt,
)
from PySide6.QtGui import QImage, QPainter

from sfumato.document.commands import MoveLayer, RenameLayer, SetVisible
from sfumato.document.layers import Layer
from sfumato_desktop import images
from sfumato_desktop.session import Session

LAYER = Qt.ItemDataRole.UserRole
THUMBNAIL = Qt.ItemDataRole.UserRole + 1
STALE = Qt.ItemDataRole.UserRole + 2
_MIME = "application/x-sfumato-layer"
_THUMB = QSize(72, 72)
Index = QModelIndex | QPersistentModelIndex


class LayersModel(QAbstractListModel):
    """Row 0 is the topmost layer. Every change goes through the session's undo stack."""

    def __init__(self) -> None:
        super().__init__()
        self._session: Session | None = None
        self._layers: tuple[Layer, ...] = ()
        self._stale: frozenset[str] = frozenset()
        self._thumbnails: dict[str, tuple[int, QImage]] = {}

    def show_session(self, session: Session | None) -> None:
        self._session = session
        self._stale, self._thumbnails = frozenset(), {}
        self.follow()

    def follow(self) -> None:
        """Show the layers as they are now."""
        layers = tuple(reversed(self._session.document.layers)) if self._session else ()
        if [layer.id for layer in layers] != [layer.id for layer in self._layers]:
            self.beginResetModel()
            self._layers = layers
            self.endResetModel()
        elif layers:
            self._layers = layers
            self.dataChanged.emit(self.index(0), self.index(len(layers) - 1))

    def set_stale(self, layer_ids: frozenset[str]) -> None:
        self._stale = layer_ids
        if self._layers:
            self.dataChanged.emit(self.index(0), self.index(len(self._layers) - 1), [STALE])

    def ids(self) -> frozenset[str]:
        return frozenset(layer.id for layer in self._layers)

    def row_of(self, layer_id: str | None) -> int:
        """The row of a layer, -1 if it is not there."""
        return next((row for row, layer in enumerate(self._layers) if layer.id == layer_id), -1)

    def rowCount(self, parent: Index | None = None) -> int:
        return 0 if parent is not None and parent.isValid() else len(self._layers)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        layer = self._layers[index.row()]
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.EditRole):
            return layer.name
        if role == Qt.ItemDataRole.CheckStateRole:
            return Qt.CheckState.Checked if layer.visible else Qt.CheckState.Unchecked
        if role in (Qt.ItemDataRole.AccessibleTextRole, Qt.ItemDataRole.ToolTipRole):
            return self._sentence(layer)
        if role == LAYER:
            return layer
        if role == THUMBNAIL:
            return self._thumbnail(layer)
        if role == STALE:
            return layer.id in self._stale
        return None

    def setData(self, index: Index, value: Any, role: int = Qt.ItemDataRole.EditRole) -> bool:
        layer = self._layers[index.row()]
        if self._session is None:
            return False
        if role == Qt.ItemDataRole.EditRole and value.strip() and value.strip() != layer.name:
            self._session.run(RenameLayer(layer.id, value.strip()))
            return True
        if role == Qt.ItemDataRole.CheckStateRole:
            self._session.run(SetVisible(layer.id, not layer.visible))
            return True
        return False

    def flags(self, index: Index) -> Qt.ItemFlag:
        flag = Qt.ItemFlag
        if not index.isValid():
            return flag.ItemIsDropEnabled
        usable = flag.ItemIsEnabled | flag.ItemIsSelectable | flag.ItemIsEditable
        return usable | flag.ItemIsDragEnabled | flag.ItemIsUserCheckable

    def supportedDropActions(self) -> Qt.DropAction:
        return Qt.DropAction.MoveAction

    def mimeTypes(self) -> list[str]:
        return [_MIME]

    def mimeData(self, indexes: Sequence[QModelIndex]) -> QMimeData:
        data = QMimeData()
        data.setData(_MIME, QByteArray(self._layers[indexes[0].row()].id.encode()))
        return data

    def dropMimeData(
        self, data: QMimeData, action: Qt.DropAction, row: int, column: int, parent: Index
    ) -> bool:
        if self._session is None or not data.hasFormat(_MIME):
            return False
        moved = self.row_of(bytes(data.data(_MIME).data()).decode())
        if moved < 0:
            return False
        row = len(self._layers) if row < 0 else row
        target = row - 1 if row > moved else row
        if target != moved:
            self._session.run(MoveLayer(self._layers[moved].id, len(self._layers) - 1 - target))
        return False  # the model has moved the row itself; the view must not remove it

    def _sentence(self, layer: Layer) -> str:
        parts = [
            layer.name,
            "visible" if layer.visible else "hidden",
            f"opacity {round(layer.opacity * 100)} %",
        ]
        if layer.edit is not None:
            stale = "stale: something below has changed" if layer.id in self._stale else "up to date"
            parts += [f"edit made with {layer.edit.recipe.editor}", stale]
        return ", ".join(parts)

    def _thumbnail(self, layer: Layer) -> QImage:
        known = self._thumbnails.get(layer.id)
        if known is None or known[0] != id(layer.pixels):
            known = id(layer.pixels), self._draw_thumbnail(layer)
            self._thumbnails[layer.id] = known
        return known[1]

    def _draw_thumbnail(self, layer: Layer) -> QImage:
        """The layer where it lies in the document."""
        assert self._session is not None
        document = self._session.document
        scale = min(_THUMB.width() / document.width, _THUMB.height() / document.height)
        size = QSize(max(1, round(document.width * scale)), max(1, round(document.height * scale)))
        thumbnail = QImage(size, images.SCREEN_FORMAT)
        thumbnail.fill(Qt.GlobalColor.transparent)
        every = max(1, int(0.5 / scale))
        sample = images.picture(layer.pixels[::every, ::every], images.colour_space(document.profile))
        painter = QPainter(thumbnail)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        painter.scale(scale, scale)
        painter.translate(layer.left, layer.top)
        painter.scale(every, every)
        painter.drawImage(0, 0, sample)
        painter.end()
        return thumbnail
