"""The undo stack gives every pixel, mask and word back."""

from __future__ import annotations

import numpy as np
import pytest
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot
from shiboken6 import Shiboken

from sfumato.document.commands import RemoveLayer, SetMask, SetOpacity, SetVisible
from sfumato.document.compositor import flatten
from sfumato.document.layers import Document
from sfumato_desktop.session import Session


@pytest.fixture
def session(qapp: QApplication, document: Document) -> Session:
    return Session(document)


def test_dragging_opacity_is_one_step(session: Session) -> None:
    layer = session.document.layers[0]
    for opacity in (0.9, 0.5, 0.2):
        session.run(SetOpacity(layer.id, opacity))
    assert session.undo_stack.count() == 1
    session.undo()
    assert layer.opacity == 1


def test_typing_in_one_field_is_one_step_and_another_field_another(session: Session) -> None:
    recipe = session.document.recipe
    for text in ("d", "do", "dog"):
        recipe = recipe.model_copy(update={"target": text})
        session.edit_recipe(recipe)
    session.edit_recipe(recipe.model_copy(update={"seed": 4}))
    assert [session.undo_stack.text(row) for row in range(2)] == ["Change target prompt", "Change seed"]
    assert session.undo_stack.count() == 2
    session.undo()
    session.undo()
    assert session.document.recipe.target == ""


def test_only_undo_tells_the_panel_to_follow(session: Session, qtbot: QtBot) -> None:
    with qtbot.assertNotEmitted(session.recipe_changed):
        session.edit_recipe(session.document.recipe.model_copy(update={"steps": 20}))
    with qtbot.waitSignal(session.recipe_changed):
        session.undo()


def test_ten_steps_back_and_forth_are_exact(session: Session) -> None:
    layer = session.document.layers[0]
    before = flatten(session.document)
    session.begin_stroke(20, 0.5, erase=False)
    session.stroke_to(30, 30)
    session.stroke_to(60, 50)
    session.end_stroke()
    session.run(SetVisible(layer.id, False))
    session.run(SetVisible(layer.id, True))
    session.run(SetMask(np.full((96, 128), 255, np.uint8)))
    session.run(RemoveLayer(layer.id))
    while session.undo_stack.canUndo():
        session.undo()
    assert session.document.mask is None
    assert np.array_equal(flatten(session.document), before)
    for _ in range(2):
        while session.undo_stack.canRedo():
            session.redo()
        assert session.document.layers == []
        while session.undo_stack.canUndo():
            session.undo()
    assert np.array_equal(flatten(session.document), before)


def test_the_first_stroke_brings_the_mask_and_its_undo_takes_it_away(session: Session) -> None:
    session.begin_stroke(10, 1.0, erase=False)
    session.stroke_to(20, 20)
    assert session.document.mask is not None, "the stroke is seen while it is painted"
    session.end_stroke()
    assert session.document.mask[20, 20] == 255
    session.undo()
    assert session.document.mask is None


def test_undo_waits_for_the_end_of_a_stroke(session: Session) -> None:
    session.run(SetVisible(session.document.layers[0].id, False))
    session.begin_stroke(10, 1.0, erase=False)
    session.undo()
    assert not session.document.layers[0].visible
    session.stroke_to(5, 5)
    session.end_stroke()


def test_a_stroke_beside_the_picture_is_no_step(session: Session) -> None:
    session.begin_stroke(10, 1.0, erase=False)
    session.stroke_to(-500, -500)
    session.end_stroke()
    assert session.undo_stack.count() == 0
    assert session.document.mask is None


def test_a_snapshot_does_not_follow_the_document(session: Session) -> None:
    session.run(SetMask(np.zeros((96, 128), np.uint8)))
    snapshot = session.snapshot()
    session.begin_stroke(10, 1.0, erase=False)
    session.stroke_to(20, 20)
    session.end_stroke()
    session.run(SetOpacity(session.document.layers[0].id, 0.1))
    assert snapshot.mask is not None
    assert not snapshot.mask.any()
    assert snapshot.layers[0].opacity == 1


def test_a_session_that_is_deleted_first_tells_nobody(session: Session) -> None:
    told: list[bool] = []
    session.stepped.connect(lambda: told.append(session.undo_stack.canUndo()))
    session.run(SetVisible(session.document.layers[0].id, False))
    Shiboken.delete(session)  # its undo stack clears itself on the way out
    assert told == [True]
