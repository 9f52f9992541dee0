"""The Layers dock: the stack, the selected layer's opacity, and what an edit layer can do."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Callable

from PySide6.QtCore import QItemSelectionModel, Qt, Signal
from PySide6.QtWidgets import (
    QAbstractItemView,
    QHBoxLayout,
    QLabel,
    QListView,
    QSlider,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from sfumato.document.commands import AddLayer, MoveLayer, RemoveLayer, SetOpacity
from sfumato.document.layers import Layer
from sfumato_desktop.actions import Actions
from sfumato_desktop.edit_details import EditDetails
from sfumato_desktop.layers_delegate import LayersDelegate
from sfumato_desktop.layers_model import LAYER, LayersModel
from sfumato_desktop.named import named, tool_button
from sfumato_desktop.session import Session


class LayersDock(QWidget):
    """Shows the session's layers and runs commands on the selected one."""

    selected = Signal()
    """Another layer is selected, or the selected one changed."""

    def __init__(self, actions: Actions, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        named(self, "layers", "Layers")
        self._session: Session | None = None
        self._actions = actions
        self._selected_id: str | None = None
        self.model = LayersModel()
        self.list = self._make_list()
        self.delegate = LayersDelegate(self.list)
        self.list.setItemDelegate(self.delegate)
        self.details = EditDetails()
        self._empty = QLabel("The layers of an open picture are listed here.")
        self._empty.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._empty.setProperty("muted", "true")
        self._opacity, self._opacity_box = QSlider(Qt.Orientation.Horizontal), QSpinBox()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 8, 8, 8)
        layout.setSpacing(6)
        layout.addLayout(self._opacity_row())
        layout.addWidget(self.list, 1)
        layout.addWidget(self._empty, 1)
        layout.addWidget(self.details)
        layout.addLayout(self._footer())
        self.list.selectionModel().currentChanged.connect(self._selection_moved)
        self._show_selected()

    def _make_list(self) -> QListView:
        view = named(QListView(), "layer_list", "Layers", "Drag to reorder; double-click to rename")
        view.setModel(self.model)
        view.setMouseTracking(True)
        view.setMinimumHeight(104)
        view.setDragDropMode(QAbstractItemView.DragDropMode.InternalMove)
        view.setDefaultDropAction(Qt.DropAction.MoveAction)
        view.setEditTriggers(
            QAbstractItemView.EditTrigger.DoubleClicked | QAbstractItemView.EditTrigger.EditKeyPressed
        )
        return view

    def _opacity_row(self) -> QHBoxLayout:
        named(self._opacity, "layer_opacity", "Layer opacity", "How much of the layer shows")
        named(
            self._opacity_box,
            "layer_opacity_percent",
            "Layer opacity in percent",
            "Type an opacity in percent",
        )
        self._opacity.setRange(0, 100)
        self._opacity_box.setRange(0, 100)
        self._opacity_box.setSuffix(" %")
        self._opacity_box.setKeyboardTracking(False)
        self._opacity.valueChanged.connect(self._set_opacity)
        self._opacity_box.valueChanged.connect(self._set_opacity)
        row = QHBoxLayout()
        caption = QLabel("Opacity")
        caption.setBuddy(self._opacity)
        row.addWidget(caption)
        row.addWidget(self._opacity, 1)
        row.addWidget(self._opacity_box)
        return row

    def _footer(self) -> QHBoxLayout:
        row = QHBoxLayout()
        row.setSpacing(2)
        for name in ("layer_raise", "layer_lower", "layer_duplicate"):
            row.addWidget(tool_button(self._actions[name]))
        row.addSpacing(8)
        rerun = tool_button(self._actions["rerun"])
        rerun.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        row.addWidget(rerun)
        row.addWidget(tool_button(self._actions["use_settings"]))
        row.addStretch(1)
        row.addWidget(tool_button(self._actions["layer_delete"]))
        return row

    # What it shows -----------------------------------------------------------------------------

    @property
    def current(self) -> Layer | None:
        """The selected layer."""
        return self._session.layer(self._selected_id) if self._session else None

    def show_session(self, session: Session | None) -> None:
        self._session = session
        self.model.show_session(session)
        self.details.show_session(session)
        if session is not None:
            session.structure_changed.connect(self._follow)
            self.select(session.document.layers[-1].id if session.document.layers else None)
        self._show_selected()

    def select(self, layer_id: str | None) -> None:
        row = self.model.row_of(layer_id)
        flag = QItemSelectionModel.SelectionFlag.ClearAndSelect
        self.list.selectionModel().setCurrentIndex(self.model.index(row), flag)

    def set_titles(self, titles: dict[str, str]) -> None:
        """What the methods are called, for rows and details."""
        self.delegate.titles = titles
        self.list.viewport().update()

    def set_stale(self, layer_ids: frozenset[str]) -> None:
        self.model.set_stale(layer_ids)
        self.details.set_stale(layer_ids)

    # What its actions do -----------------------------------------------------------------------

    def handlers(self) -> dict[str, Callable[[], None]]:
        """Handlers of the layer actions, by name."""
        return {
            "layer_duplicate": self._duplicate,
            "layer_rename": self._rename,
            "layer_delete": self._delete,
            "layer_raise": lambda: self._move(1),
            "layer_lower": lambda: self._move(-1),
            "layer_above": lambda: self._select_next(-1),
            "layer_below": lambda: self._select_next(1),
        }

    def _duplicate(self) -> None:
        layer, session = self.current, self._session
        if layer is not None and session is not None:
            copy = dataclasses.replace(layer, name=f"{layer.name} copy", id=uuid.uuid4().hex)
            session.run(AddLayer(copy, session.document.index(layer.id) + 1))
            self.select(copy.id)

    def _rename(self) -> None:
        if self.current is not None:
            self.list.edit(self.list.currentIndex())

    def _delete(self) -> None:
        if self.current is not None and self._session is not None:
            self._session.run(RemoveLayer(self.current.id))

    def _move(self, by: int) -> None:
        layer, session = self.current, self._session
        if layer is None or session is None:
            return
        index = session.document.index(layer.id) + by
        if 0 <= index < len(session.document.layers):
            session.run(MoveLayer(layer.id, index))

    def _select_next(self, by: int) -> None:
        row = self.list.currentIndex().row() + by
        if 0 <= row < self.model.rowCount():
            self.list.setCurrentIndex(self.model.index(row))

    def _set_opacity(self, percent: int) -> None:
        layer, session = self.current, self._session
        if layer is not None and session is not None and percent != round(layer.opacity * 100):
            session.run(SetOpacity(layer.id, percent / 100))

    # What the session and the list tell --------------------------------------------------------

    def _follow(self) -> None:
        """Select a layer that came; else stay; if the selected one is gone, take the row it had."""
        row = max(0, self.list.currentIndex().row())
        selected, known = self._selected_id, self.model.ids()
        self.model.follow()
        came = self.model.ids() - known
        if known and len(came) == 1:
            (selected,) = came
        elif self.model.row_of(selected) < 0 and self.model.rowCount():
            selected = self.model.index(min(row, self.model.rowCount() - 1)).data(LAYER).id
        self.select(selected)
        self._show_selected()

    def _selection_moved(self) -> None:
        layer = self.list.currentIndex().data(LAYER)
        self._selected_id = layer.id if layer is not None else None
        self._show_selected()

    def _show_selected(self) -> None:
        layer = self.current
        self.list.setVisible(self._session is not None)
        self._empty.setVisible(self._session is None)
        for control in (self._opacity, self._opacity_box):
            control.blockSignals(True)
            control.setEnabled(layer is not None)
            control.setValue(100 if layer is None else round(layer.opacity * 100))
            control.blockSignals(False)
        self.details.show_layer(layer)
        self.selected.emit()
