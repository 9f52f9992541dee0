"""The Layers dock: every change is a command, and the list follows the document."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from PySide6.QtCore import QModelIndex, QPoint, Qt
from PySide6.QtWidgets import QAbstractButton, QLineEdit, QSlider
from pytestqt.qtbot import QtBot

from sfumato.document.commands import AddLayer
from sfumato.document.layers import EditInfo, Layer
from sfumato.method import Recipe
from sfumato_desktop.layers_delegate import LayersDelegate
from sfumato_desktop.layers_model import STALE
from sfumato_desktop.window import MainWindow


def _colour(value: int) -> np.ndarray:
    return np.full((96, 128, 4), value, np.uint8)


@pytest.fixture
def stacked(opened: MainWindow) -> MainWindow:
    """Background, a paste, and an edit with three candidates on top."""
    session = opened.canvas.open_session
    candidates = tuple(_colour(value) for value in (10, 20, 30))
    recipe = Recipe(source="a cat", target="a dog", seed=9)
    session.run(AddLayer(Layer("Paste", _colour(200))))
    session.run(
        AddLayer(Layer("cat → dog", candidates[0], edit=EditInfo(recipe, None, {}, candidates, 0, "old")))
    )
    return opened


def _names(window: MainWindow) -> list[str]:
    model = window.layers.model
    return [model.index(row).data() for row in range(model.rowCount())]


def test_rows_are_topmost_first_and_speak_for_themselves(stacked: MainWindow) -> None:
    assert _names(stacked) == ["cat → dog", "Paste", "Background"]
    spoken = stacked.layers.model.index(0).data(Qt.ItemDataRole.AccessibleTextRole)
    assert "visible" in spoken
    assert "p2p" in spoken


def test_a_click_on_the_eye_hides_and_shows(stacked: MainWindow, qtbot: QtBot) -> None:
    view, document = stacked.layers.list, stacked.canvas.open_session.document
    middle = view.visualRect(stacked.layers.model.index(1)).center()
    qtbot.mouseClick(view.viewport(), Qt.MouseButton.LeftButton, pos=QPoint(14, middle.y()))
    assert not document.layers[1].visible
    stacked.registry["undo"].trigger()
    assert document.layers[1].visible


def test_the_opacity_slider_changes_the_selected_layer_as_one_step(stacked: MainWindow) -> None:
    session = stacked.canvas.open_session
    steps = session.undo_stack.count()
    slider = stacked.layers.findChild(QSlider, "layer_opacity")
    assert slider is not None
    for value in (90, 60, 30):
        slider.setValue(value)
    assert session.document.layers[2].opacity == 0.3
    assert session.undo_stack.count() == steps + 1


def test_renaming_in_the_list(stacked: MainWindow) -> None:
    model = stacked.layers.model
    assert model.setData(model.index(1), "  Sky ")
    assert stacked.canvas.open_session.document.layers[1].name == "Sky"
    assert not model.setData(model.index(1), "  "), "an empty name is none"


@pytest.mark.parametrize(
    ("dragged", "dropped_at", "order"),
    [
        (0, 3, ["Paste", "Background", "cat → dog"]),
        (2, 0, ["Background", "cat → dog", "Paste"]),
        (0, 1, ["cat → dog", "Paste", "Background"]),
        (1, -1, ["cat → dog", "Background", "Paste"]),
    ],
)
def test_dragging_reorders(stacked: MainWindow, dragged: int, dropped_at: int, order: list[str]) -> None:
    model = stacked.layers.model
    data = model.mimeData([model.index(dragged)])
    model.dropMimeData(data, Qt.DropAction.MoveAction, dropped_at, 0, QModelIndex())
    assert _names(stacked) == order


def test_keys_select_move_duplicate_and_delete(stacked: MainWindow) -> None:
    registry, layers = stacked.registry, stacked.layers
    registry["layer_below"].trigger()
    assert layers.current is not None
    assert layers.current.name == "Paste"
    registry["layer_raise"].trigger()
    assert _names(stacked) == ["Paste", "cat → dog", "Background"]
    assert layers.current.name == "Paste", "the selection goes along"
    registry["layer_duplicate"].trigger()
    assert _names(stacked)[0] == "Paste copy"
    registry["layer_delete"].trigger()
    assert _names(stacked) == ["Paste", "cat → dog", "Background"]
    for _ in range(3):
        registry["layer_delete"].trigger()
    assert _names(stacked) == []
    registry["layer_delete"].trigger()
    for _ in range(6):  # raise, duplicate, four times delete
        registry["undo"].trigger()
    assert _names(stacked) == ["cat → dog", "Paste", "Background"]


def test_another_candidate_is_one_undoable_click(stacked: MainWindow, qtbot: QtBot) -> None:
    document = stacked.canvas.open_session.document
    stacked.layers.select(document.layers[2].id)
    qtbot.mouseClick(stacked.layers.findChild(QAbstractButton, "candidate_2"), Qt.MouseButton.LeftButton)
    assert (document.layers[2].pixels == 30).all()
    assert document.layers[2].edit is not None
    assert document.layers[2].edit.chosen == 2
    stacked.registry["undo"].trigger()
    assert (document.layers[2].pixels == 10).all()


def test_use_its_settings_fills_the_panel_and_can_be_undone(stacked: MainWindow) -> None:
    stacked.registry["use_settings"].trigger()
    assert stacked.panel.recipe().target == "a dog"
    stacked.registry["undo"].trigger()
    assert stacked.panel.recipe().target == ""


def test_a_stale_edit_says_so(stacked: MainWindow, qtbot: QtBot) -> None:
    model = stacked.layers.model
    qtbot.waitUntil(lambda: bool(model.index(0).data(STALE)))
    assert "stale" in model.index(0).data(Qt.ItemDataRole.AccessibleTextRole)


def test_the_row_editor_is_named(stacked: MainWindow, make_window: Callable[[], MainWindow]) -> None:
    delegate = stacked.layers.list.itemDelegate()
    assert isinstance(delegate, LayersDelegate)
    stacked.registry["layer_rename"].trigger()
    editor = stacked.layers.list.findChild(QLineEdit, "layer_name")
    assert editor is not None
