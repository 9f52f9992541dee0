"""Heat maps and masks from words: what is asked of the engine, what is drawn, what can be undone."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from PySide6.QtCore import QCoreApplication, QEvent, QPointF, Qt
from PySide6.QtGui import QMouseEvent
from PySide6.QtWidgets import QPlainTextEdit
from pytestqt.qtbot import QtBot

from sfumato.events import InversionReport, ModelInfo, Outcome, Ready
from sfumato.method import Ability, Job, MethodInfo, Need, Recipe
from sfumato.params import Control
from sfumato.recording import Recording, WordMaps
from sfumato_desktop.heat import Heat
from sfumato_desktop.prompt_field import PromptField
from sfumato_desktop.window import MainWindow

PROMPTS = frozenset({Need.IMAGE, Need.SOURCE_PROMPT, Need.TARGET_PROMPT})
METHODS = (
    MethodInfo("editor", "p2p", "P2P", "Swaps.", "", PROMPTS, frozenset(), (), inversion="required"),
    MethodInfo("inverter", "direct", "Direct", "Inverts.", "", frozenset(), frozenset(), ()),
    MethodInfo(
        "masker",
        "by_word",
        "By word",
        "Marks.",
        "",
        frozenset({Need.IMAGE}),
        frozenset(),
        (Control("word", "text", "Words", "What.", ""),),
    ),
    MethodInfo(
        "masker", "by_prompts", "By prompts", "Marks.", "", frozenset({Need.TARGET_PROMPT}), frozenset(), ()
    ),
)
READY = Ready(METHODS, (ModelInfo("starter", "Starter", 128, 16, frozenset(Ability)),), ())


@pytest.fixture
def seeing(opened: MainWindow) -> MainWindow:
    """The window with a picture, both prompts and all methods."""
    opened.jobs.ready.emit(READY)
    session = opened.workbench.session
    assert session is not None
    session.document.recipe = Recipe(source="a cat on a bench", target="a dog on a bench")
    opened.panel.set_recipe(session.document.recipe)
    return opened


def _maps(prompt: str) -> WordMaps:
    """Every word looks at one column of its own."""
    count = len(prompt.split())
    maps = np.zeros((3, count, 8, 8), np.float32)
    for word in range(count):
        maps[:, word, :, word] = 0.5
    return WordMaps(prompt, {(8, 8): maps})


def _outcome(job: Job, make: Callable[..., Outcome], **values: object) -> Outcome:
    made = make(job)
    return Outcome(**{**vars(made), "patches": () if job.task != "edit" else made.patches, **values})  # pyright: ignore[reportArgumentType]


def _look(window: MainWindow, engine: list, make: Callable[..., Outcome]) -> Job:
    """Answer the last job with maps of the source, and of the target if it was an edit."""
    job = engine[0].jobs[-1]
    recipe = job.recipe
    target = _maps(recipe.target) if job.task == "edit" else None
    recording = Recording(source=_maps(recipe.source), target=target)
    window.jobs.finished.emit(job.id, _outcome(job, make, recording=recording))
    return job


def _heat(window: MainWindow) -> Heat | None:
    return window.canvas.scene.heat


def _put_cursor(window: MainWindow, name: str, at: int) -> PromptField:
    field = window.findChild(QPlainTextEdit, name)
    assert isinstance(field, PromptField)
    field.setFocus()
    cursor = field.textCursor()
    cursor.setPosition(at)
    field.setTextCursor(cursor)
    return field


def test_t_looks_at_the_picture_once_and_shows_the_word_the_edit_is_about(
    seeing: MainWindow, engine: list, outcome: Callable[..., Outcome]
) -> None:
    seeing.registry["heat_map"].trigger()
    job = _look(seeing, engine, outcome)
    assert (job.task, job.record) == ("invert", True)
    heat = _heat(seeing)
    assert heat is not None
    assert heat.title == "“cat” in the photo"
    assert "“cat” in the photo: 0 % to 50 % of the attention" in seeing.canvas.accessibleDescription()
    seeing.registry["heat_map"].trigger()
    assert _heat(seeing) is None
    seeing.registry["heat_map"].trigger()
    assert _heat(seeing) is not None
    assert len(engine[0].jobs) == 1


def test_another_word_needs_no_second_look(
    seeing: MainWindow, engine: list, outcome: Callable[..., Outcome]
) -> None:
    seeing.registry["heat_map"].trigger()
    _look(seeing, engine, outcome)
    field = _put_cursor(seeing, "source_prompt", 14)
    field.menu().actions()[0].trigger()
    heat = _heat(seeing)
    assert heat is not None
    assert heat.title == "“bench” in the photo"
    assert len(engine[0].jobs) == 1


def test_a_new_word_is_seen_once_the_edit_has_run(
    seeing: MainWindow, engine: list, outcome: Callable[..., Outcome]
) -> None:
    seeing.workbench.seeing.show_word("dog")
    assert not engine[0].jobs
    assert not seeing.registry["heat_map"].isChecked()
    assert "“dog” is not in the photo" in seeing.status.message.full_text
    seeing.registry["heat_map"].trigger()
    _look(seeing, engine, outcome)
    seeing.panel.run()
    assert _look(seeing, engine, outcome).record
    seeing.workbench.seeing.show_word("dog")
    heat = _heat(seeing)
    assert heat is not None
    assert heat.title == "“dog” in the edit"


def test_a_changed_prompt_or_picture_leaves_no_heat_behind(
    seeing: MainWindow, engine: list, outcome: Callable[..., Outcome]
) -> None:
    seeing.registry["heat_map"].trigger()
    _look(seeing, engine, outcome)
    _put_cursor(seeing, "source_prompt", 0).insertPlainText("photo of ")
    assert _heat(seeing) is None
    assert not seeing.registry["heat_map"].isChecked()


def test_a_look_that_is_stopped_is_off_again(seeing: MainWindow, engine: list) -> None:
    seeing.registry["heat_map"].trigger()
    seeing.jobs.cancelled.emit(engine[0].jobs[0].id)
    assert not seeing.registry["heat_map"].isChecked()


def test_edits_are_recorded_only_while_somebody_looks(seeing: MainWindow, engine: list) -> None:
    seeing.panel.run()
    assert not engine[0].jobs[0].record


def test_a_mask_from_a_word_is_one_step_that_can_be_undone(
    seeing: MainWindow, engine: list, outcome: Callable[..., Outcome]
) -> None:
    field = _put_cursor(seeing, "source_prompt", 3)
    titles = [action.text() for action in field.menu().actions()]
    assert titles[:2] == ["Show &heat map of “cat”", "Make &mask from “cat”"]
    seeing.registry["mask_word"].trigger()
    job = engine[0].jobs[-1]
    assert (job.task, job.recipe.masker, job.recipe.masker_values) == ("mask", "by_word", {"word": "cat"})
    found = np.zeros((96, 128), np.uint8)
    found[:, :40] = 255
    seeing.jobs.finished.emit(job.id, _outcome(job, outcome, mask=found))
    session = seeing.workbench.session
    assert session is not None
    assert np.array_equal(session.document.mask, found)
    assert session.undo_stack.undoText() == "Mask from “cat”"
    assert seeing.registry["overlay"].isChecked()
    assert len(session.document.layers) == 1
    session.undo()
    assert session.document.mask is None


def test_finding_automatically_asks_the_prompts(seeing: MainWindow, engine: list) -> None:
    seeing.registry["mask_auto"].trigger()
    assert engine[0].jobs[-1].recipe.masker == "by_prompts"


def test_without_a_target_it_says_what_is_missing(seeing: MainWindow, engine: list) -> None:
    seeing.panel.set_recipe(Recipe(source="a cat"))
    seeing.registry["mask_auto"].trigger()
    assert not engine[0].jobs
    assert seeing.status.message.full_text == "By prompts needs a target prompt: say what it should show."


def test_the_map_lies_over_its_region_and_tells_its_numbers(qapp: object) -> None:
    values = np.array([[0.0, 0.02], [0.04, 0.08]], np.float32)
    heat = Heat("“cat”", (10, 20, 30, 60), values)
    assert heat.legend(None) == ("0 %", "8 %", "")
    assert heat.legend(QPointF(25, 55))[2] == "here 8 %"
    assert heat.legend(QPointF(9, 20))[2] == ""
    image = heat.image()
    low, high = image.pixelColor(2, 2), image.pixelColor(image.width() - 2, image.height() - 2)
    assert low.alphaF() == pytest.approx(0.15, abs=0.02)
    assert high.alphaF() == pytest.approx(0.8, abs=0.02)
    assert (high.red(), high.green()) > (200, 200)
    assert low.blue() > low.green()


def test_the_legend_follows_the_mouse(
    seeing: MainWindow, engine: list, outcome: Callable[..., Outcome], qtbot: QtBot
) -> None:
    seeing.registry["heat_map"].trigger()
    _look(seeing, engine, outcome)
    qtbot.waitUntil(lambda: not seeing.canvas.scene.legend.isEmpty())
    none, middle = Qt.MouseButton.NoButton, QPointF(seeing.canvas.rect().center())
    where = QPointF(seeing.canvas.mapToGlobal(seeing.canvas.rect().center()))
    moved = QMouseEvent(QEvent.Type.MouseMove, middle, where, none, none, Qt.KeyboardModifier.NoModifier)
    QCoreApplication.sendEvent(seeing.canvas, moved)
    assert seeing.canvas.scene.hover == seeing.canvas.view.to_document(middle)


def test_the_error_of_an_inversion_is_shown_once_it_is_known(
    seeing: MainWindow, engine: list, outcome: Callable[..., Outcome]
) -> None:
    action = seeing.registry["error_map"]
    action.trigger()
    assert not action.isChecked()
    assert "Invert the photo first" in seeing.status.message.full_text
    seeing.registry["invert"].trigger()
    job = engine[0].jobs[0]
    off = InversionReport(
        "direct", 30.0, 42.0, reused=False, steps=50, error_map=np.full((8, 8), 0.25, np.float32)
    )
    seeing.jobs.finished.emit(job.id, _outcome(job, outcome, inversion=off))
    assert seeing.status.inversion.full_text == "Inverted · PSNR 30.0 dB (VAE 42.0)"
    action.trigger()
    heat = _heat(seeing)
    assert heat is not None
    assert heat.title == "Error of the inversion"
    assert "25 % of full range" in seeing.canvas.accessibleDescription()
    seeing.registry["heat_map"].trigger()
    assert not action.isChecked()
