"""A run: what is submitted, how it lands, and that the document is untouched until then."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from sfumato.document.commands import RemoveLayer, SetMask, SetVisible
from sfumato.document.compositor import flatten
from sfumato.document.layers import Document, Layer
from sfumato.errors import MemoryShortage
from sfumato.events import Advanced, Cancelled, Event, Failed, Finished, Outcome
from sfumato.method import Job, Recipe
from sfumato_desktop.dialogs import Dialog
from sfumato_desktop.landing import layer_name
from sfumato_desktop.session import Session
from sfumato_desktop.window import MainWindow

Make = Callable[..., Outcome]


@pytest.fixture
def running(opened: MainWindow, engine: list[Any]) -> MainWindow:
    """A masked run is under way."""
    mask = np.zeros((96, 128), np.uint8)
    mask[20:60, 30:70] = 255
    session = opened.canvas.open_session
    session.run(SetMask(mask))
    session.edit_recipe(Recipe(source="a cat", target="a dog"))
    opened.workbench.runs.edit(session.document.recipe)
    return opened


def _job(engine: list[Any]) -> Job:
    return engine[0].jobs[-1]


def _tell(engine: list[Any], qtbot: QtBot, window: MainWindow, event: Event) -> None:
    """Send an event from the engine and wait until it has arrived."""
    arrived = {Finished: window.jobs.finished, Failed: window.jobs.failed, Cancelled: window.jobs.cancelled}
    with qtbot.waitSignal(arrived.get(type(event), window.jobs.advanced)):
        engine[0].tell(event)


def test_the_job_shares_nothing_with_the_document(running: MainWindow, engine: list[Any]) -> None:
    job, document = _job(engine), running.canvas.open_session.document
    assert job.image is not None
    assert job.mask is not None
    assert np.array_equal(job.image, flatten(document))
    assert not np.shares_memory(job.image, document.layers[0].pixels)
    assert document.mask is not None
    assert not np.shares_memory(job.mask, document.mask)
    assert job.recipe.target == "a dog"


def test_the_result_lands_as_one_undoable_layer_and_changes_only_the_mask(
    running: MainWindow, engine: list[Any], qtbot: QtBot, outcome: Make, pixels: np.ndarray
) -> None:
    document = running.canvas.open_session.document
    _tell(engine, qtbot, running, Finished(_job(engine).id, outcome(_job(engine))))
    layer = running.layers.current
    assert layer is not None
    assert (layer.name, layer.left, layer.top) == ("cat → dog", 16, 8)
    assert layer.edit is not None
    assert layer.edit.recipe.target == "a dog"
    assert document.mask is not None
    changed = (flatten(document) != pixels).any(axis=-1)
    assert changed.any()
    assert not (changed & (document.mask == 0)).any()
    qtbot.waitUntil(lambda: "0 px changed" in running.status.outside.text())
    assert "41.2 dB" in running.status.inversion.text()
    assert "reused" in running.status.inversion.text()
    assert running.status.device.text() == "CPU · 2 threads"
    running.registry["undo"].trigger()
    assert np.array_equal(flatten(document), pixels)
    running.registry["redo"].trigger()
    assert document.layers[-1] is layer


def test_another_try_starts_from_the_same_picture_and_takes_the_place_of_the_first(
    running: MainWindow, engine: list[Any], qtbot: QtBot, outcome: Make, pixels: np.ndarray
) -> None:
    session = running.canvas.open_session
    first = _job(engine)
    _tell(engine, qtbot, running, Finished(first.id, outcome(first)))
    for task in (running.workbench.runs.invert, running.workbench.runs.edit):
        task(Recipe(source="a  Cat", target="a horse"))
        image = _job(engine).image
        assert image is not None
        assert np.array_equal(image, pixels)  # so the engine finds the inversion of the first run
    again = _job(engine)
    _tell(engine, qtbot, running, Finished(again.id, outcome(again)))
    assert [layer.visible for layer in session.document.layers] == [True, False, True]
    stale: list[frozenset[str]] = []
    running.workbench.readout.measured.connect(lambda measured: stale.append(measured.stale))
    qtbot.waitUntil(lambda: bool(stale))
    assert stale[-1] == frozenset()
    running.registry["undo"].trigger()
    assert [layer.visible for layer in session.document.layers] == [True, True]


@pytest.mark.parametrize("source", ["a dog", ""])
def test_an_edit_of_the_result_goes_on_top_of_it(
    running: MainWindow, engine: list[Any], qtbot: QtBot, outcome: Make, source: str
) -> None:
    document = running.canvas.open_session.document
    _tell(engine, qtbot, running, Finished(_job(engine).id, outcome(_job(engine))))
    running.workbench.runs.edit(Recipe(source=source, target="a horse"))
    job = _job(engine)
    assert job.image is not None
    assert np.array_equal(job.image, flatten(document))
    _tell(engine, qtbot, running, Finished(job.id, outcome(job)))
    assert all(layer.visible for layer in document.layers)


def test_an_edit_of_a_picture_made_from_words_sees_that_picture(
    running: MainWindow, engine: list[Any], qtbot: QtBot, outcome: Make
) -> None:
    session = running.canvas.open_session
    _tell(engine, qtbot, running, Finished(_job(engine).id, outcome(_job(engine))))
    session.run(RemoveLayer(session.document.layers[0].id))
    running.workbench.runs.edit(Recipe(source="a cat", target="a horse"))
    job = _job(engine)
    assert job.image is not None
    assert np.array_equal(job.image, flatten(session.document))


def test_an_edit_of_another_place_goes_on_top(
    running: MainWindow, engine: list[Any], qtbot: QtBot, outcome: Make
) -> None:
    session = running.canvas.open_session
    _tell(engine, qtbot, running, Finished(_job(engine).id, outcome(_job(engine))))
    elsewhere = np.zeros((96, 128), np.uint8)
    elsewhere[70:80, 80:100] = 255
    session.run(SetMask(elsewhere))
    running.workbench.runs.edit(Recipe(source="a cat", target="a horse"))
    job = _job(engine)
    assert job.image is not None
    assert np.array_equal(job.image, flatten(session.document))


def test_pixels_changed_outside_the_mask_are_counted_and_shown(
    running: MainWindow, engine: list[Any], qtbot: QtBot, outcome: Make
) -> None:
    _tell(engine, qtbot, running, Finished(_job(engine).id, outcome(_job(engine), outside=5)))
    qtbot.waitUntil(lambda: "5 px changed" in running.status.outside.text())
    assert running.status.outside.property("level") == "bad"


def test_a_fresh_result_is_not_stale_and_hiding_what_is_below_makes_it_so(
    running: MainWindow, engine: list[Any], qtbot: QtBot, outcome: Make
) -> None:
    session = running.canvas.open_session
    _tell(engine, qtbot, running, Finished(_job(engine).id, outcome(_job(engine))))
    stale: list[frozenset[str]] = []
    running.workbench.readout.measured.connect(lambda measured: stale.append(measured.stale))
    qtbot.waitUntil(lambda: bool(stale))
    assert stale[-1] == frozenset()
    session.run(SetVisible(session.document.layers[0].id, False))
    qtbot.waitUntil(lambda: stale[-1] == {session.document.layers[-1].id})


def test_painting_goes_on_during_a_run_and_the_result_keeps_its_own_mask(
    running: MainWindow, engine: list[Any], qtbot: QtBot, outcome: Make
) -> None:
    session, job = running.canvas.open_session, _job(engine)
    asked = job.mask
    assert asked is not None
    kept = asked.copy()
    session.begin_stroke(30, 1.0, erase=False)
    session.stroke_to(100, 80)
    session.end_stroke()
    _tell(engine, qtbot, running, Finished(job.id, outcome(job)))
    edit = session.document.layers[-1].edit
    assert edit is not None
    assert edit.mask is not None
    assert np.array_equal(edit.mask, kept)


def test_the_preview_is_shown_in_its_region_and_goes_with_the_run(
    running: MainWindow, engine: list[Any], qtbot: QtBot
) -> None:
    preview = np.full((8, 8, 3), 90, np.uint8)
    event = Advanced(_job(engine).id, "Editing", 3, 50, 4.0, preview, (16, 8, 80, 72))
    _tell(engine, qtbot, running, event)
    shown = running.canvas.scene.preview
    assert shown is not None
    assert shown.box == (16, 8, 80, 72)
    assert shown.image is not None
    assert shown.image.pixelColor(30, 30).alpha() == 255, "inside the mask"
    assert shown.image.pixelColor(2, 2).alpha() == 0, "outside of it"
    _tell(engine, qtbot, running, Cancelled(_job(engine).id))
    assert running.canvas.scene.preview is None


def test_stop_cancels_and_leaves_everything_as_it_was(
    running: MainWindow, engine: list[Any], qtbot: QtBot, pixels: np.ndarray
) -> None:
    steps = running.canvas.open_session.undo_stack.count()
    running.registry["stop"].trigger()
    assert engine[0].cancelled == [_job(engine).id]
    _tell(engine, qtbot, running, Cancelled(_job(engine).id))
    assert running.status.message.text().startswith("Stopped")
    assert running.canvas.open_session.undo_stack.count() == steps
    assert np.array_equal(flatten(running.canvas.open_session.document), pixels)


def test_a_failure_is_a_dialog_and_nothing_else(
    running: MainWindow, engine: list[Any], qtbot: QtBot, pixels: np.ndarray
) -> None:
    error = MemoryShortage("The machine ran out of memory.", kept="Nothing changed.", advice="Use a mask.")
    _tell(engine, qtbot, running, Failed(_job(engine).id, error))
    dialog = running.findChild(Dialog, "error")
    assert dialog is not None
    assert np.array_equal(flatten(running.canvas.open_session.document), pixels)
    assert not running.workbench.runs.active
    dialog.close()


def test_the_result_of_a_closed_picture_is_dropped(
    running: MainWindow, engine: list[Any], qtbot: QtBot, outcome: Make, pixels: np.ndarray
) -> None:
    job = _job(engine)
    running.canvas.open_session.undo_stack.setClean()
    other = Document(128, 96, [Layer("Other", pixels.copy())])
    running.workbench.replace_session(Session(other))
    assert engine[0].cancelled == [job.id]
    _tell(engine, qtbot, running, Finished(job.id, outcome(job)))
    assert len(other.layers) == 1


def test_running_again_replaces_the_layer_in_place(
    running: MainWindow, engine: list[Any], qtbot: QtBot, outcome: Make
) -> None:
    session = running.canvas.open_session
    _tell(engine, qtbot, running, Finished(_job(engine).id, outcome(_job(engine))))
    first = session.document.layers[-1]
    running.registry["rerun"].trigger()
    job = _job(engine)
    assert job.image is not None
    assert np.array_equal(job.image, flatten(session.document, below=first.id)), "what lies below, not itself"
    _tell(engine, qtbot, running, Finished(job.id, outcome(job)))
    assert [layer.id for layer in session.document.layers][-1] == first.id
    assert session.document.layers[-1] is not first
    session.undo()
    assert session.document.layers[-1] is first


def test_previews_are_made_only_while_someone_looks(opened: MainWindow, engine: list[Any]) -> None:
    opened.canvas.show_before(True)
    assert engine[0].watched is False
    opened.canvas.show_before(False)
    assert engine[0].watched is True


@pytest.mark.parametrize(
    ("recipe", "name"),
    [
        (Recipe(source="a cat on a bench", target="a dog on a bench"), "cat → dog"),
        (Recipe(source="a cat", target="a cat in snow"), "in snow"),
        (Recipe(source="a red cat", target="a cat"), "no red"),
        (Recipe(source="a cat", target="a cat"), "a cat"),
        (Recipe(instruction="make it night"), "make it night"),
        (Recipe(editor="blended"), "blended"),
    ],
)
def test_a_layer_is_named_after_the_change(recipe: Recipe, name: str) -> None:
    assert layer_name(recipe) == name
