"""New pictures from words: what can be asked, and where the result lands."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QComboBox, QLabel, QPushButton, QRadioButton, QSpinBox
from pytestqt.qtbot import QtBot

from sfumato.document.layers import EditInfo, Layer
from sfumato.events import ModelInfo, Outcome, Ready
from sfumato.method import Ability, MethodInfo, Need, Recipe
from sfumato_desktop.from_words import FromWordsDialog
from sfumato_desktop.session import Session
from sfumato_desktop.size_field import SizeField
from sfumato_desktop.window import MainWindow

DRAW = MethodInfo(
    "editor", "draw", "Draw", "Draws.", "", frozenset({Need.TARGET_PROMPT}), frozenset({Ability.PROMPTS}), ()
)
SWAP = MethodInfo(
    "editor", "swap", "Swap", "Swaps.", "", frozenset({Need.IMAGE}), frozenset(), (), inversion="required"
)
MODEL = ModelInfo("starter", "Starter", 128, 16, frozenset(Ability))
READY = Ready((SWAP, DRAW), (MODEL,), ())


@pytest.fixture
def asking(window: MainWindow) -> FromWordsDialog:
    """The dialog of a window without a picture, ready to be filled in."""
    window.jobs.ready.emit(READY)
    dialog = window.workbench.making.ask(None)
    return dialog


def _drawn(recipe: Recipe, shade: int = 9) -> Outcome:
    assert recipe.size is not None
    width, height = recipe.size
    return Outcome(
        box=(0, 0, width, height),
        patches=(np.full((height, width, 4), shade, np.uint8),),
        inversion=None,
        changed_outside=0,
        rows={"inversion": 0, "edit": 10},
        provenance={"device": "cpu", "threads": 1},
    )


def _button(dialog: FromWordsDialog) -> QPushButton:
    found = dialog.findChild(QPushButton, "words_make")
    assert isinstance(found, QPushButton)
    return found


def test_it_is_in_the_file_menu_and_opens_without_a_picture(window: MainWindow) -> None:
    window.registry["new_from_words"].trigger()
    dialog = window.findChild(FromWordsDialog)
    assert dialog is not None
    assert dialog.isVisible()
    assert not _button(dialog).isEnabled()
    dialog.reject()


def test_it_says_what_is_missing(window: MainWindow) -> None:
    dialog = FromWordsDialog(window, Recipe(), over_picture=False)
    message = dialog.findChild(QLabel, "words_message")
    assert message is not None
    assert message.text() == "Loading the methods…"
    dialog.set_catalogue(Ready((SWAP,), (MODEL,), ()))
    assert message.text() == "No method here makes pictures from words alone."
    dialog.set_catalogue(READY)
    assert message.text() == "Say what the picture shows."
    dialog.words.setPlainText("a hill")
    assert message.text() == ""
    assert _button(dialog).isEnabled()


def test_the_recipe_is_what_the_dialog_shows(asking: FromWordsDialog) -> None:
    asking.words.setPlainText("a hill")
    asking.form.edit("negative", "fog")
    asking.form.edit("eta", 1.0)
    asking.form.edit("timestep_offset", "as_published")
    asking.form.edit("candidates", 3)
    asking.size_field.set_value((160, 96))
    asking.seed.set_value(5)
    assert asking.recipe() == Recipe(
        target="a hill",
        editor="draw",
        negative="fog",
        eta=1.0,
        timestep_offset=0,
        candidates=3,
        size=(160, 96),
        seed=5,
    )


def test_ctrl_enter_makes_the_picture_and_it_becomes_a_document(
    window: MainWindow, asking: FromWordsDialog, engine: list, qtbot: QtBot
) -> None:
    asking.words.setPlainText("a hill")
    qtbot.keyClick(asking.words, Qt.Key.Key_Return, Qt.KeyboardModifier.ControlModifier)
    (job,) = engine[0].jobs
    assert job.image is None
    assert job.recipe.size == (128, 128)
    window.jobs.finished.emit(job.id, _drawn(job.recipe))
    session = window.workbench.session
    assert session is not None
    assert session.modified
    assert (session.document.width, session.document.layers[0].name) == (128, "a hill")
    assert session.document.recipe == job.recipe


def _ask_over(window: MainWindow, place: str) -> FromWordsDialog:
    window.jobs.ready.emit(READY)
    dialog = window.workbench.making.ask(window.workbench.session)
    dialog.words.setPlainText("a hill")
    dialog.size_field.set_value((64, 32))
    button = dialog.findChild(QRadioButton, place)
    assert isinstance(button, QRadioButton)
    button.setChecked(True)
    dialog.make()
    return dialog


def test_over_a_picture_it_becomes_a_layer_in_the_middle_and_can_be_undone(
    opened: MainWindow, engine: list
) -> None:
    _ask_over(opened, "words_as_layer")
    (job,) = engine[0].jobs
    opened.jobs.finished.emit(job.id, _drawn(job.recipe))
    session = opened.workbench.session
    assert session is not None
    layer = session.document.layers[-1]
    assert layer.box == (32, 32, 96, 64)
    assert layer.edit is not None
    assert layer.edit.below == ""
    session.undo()
    assert len(session.document.layers) == 1


def test_a_layer_from_words_is_made_again_from_words_and_where_it_is(
    opened: MainWindow, engine: list
) -> None:
    session = opened.workbench.session
    assert session is not None
    pixels = np.zeros((32, 64, 4), np.uint8)
    recipe = Recipe(target="a hill", editor="draw", size=(64, 32))
    session.document.layers.append(
        Layer("a hill", pixels, 5, 7, edit=EditInfo(recipe, None, {}, (pixels,), 0, ""))
    )
    opened.workbench.runs.again(session.document.layers[-1])
    (job,) = engine[0].jobs
    assert job.image is None
    opened.jobs.finished.emit(job.id, _drawn(recipe))
    assert session.document.layers[-1].box == (5, 7, 69, 39)
    assert session.document.layers[-1].pixels[0, 0, 0] == 9


def test_as_a_new_picture_it_asks_for_the_open_one_and_is_never_lost(
    opened: MainWindow, engine: list, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened.registry["select_all"].trigger()
    _ask_over(opened, "words_as_new")
    (job,) = engine[0].jobs
    before = opened.workbench.session
    monkeypatch.setattr(opened.workbench.filing, "may_close", lambda _session: False)
    opened.jobs.finished.emit(job.id, _drawn(job.recipe))
    assert opened.workbench.session is before
    assert before is not None
    assert before.document.layers[-1].box == (32, 32, 96, 64)
    monkeypatch.setattr(opened.workbench.filing, "may_close", lambda _session: True)
    _ask_over(opened, "words_as_new")
    opened.jobs.finished.emit(engine[0].jobs[1].id, _drawn(job.recipe))
    after = opened.workbench.session
    assert after is not None
    assert (after.document.width, after.document.height) == (64, 32)


def test_the_dialog_comes_back_as_it_was_left(window: MainWindow, asking: FromWordsDialog) -> None:
    asking.words.setPlainText("a hill")
    asking.form.edit("eta", 1.0)
    asking.make()
    again = window.workbench.making.ask(None)
    assert again.words.text() == "a hill"
    assert again.recipe().eta == 1.0
    again.reject()


def test_it_starts_from_the_words_of_the_open_picture(opened: MainWindow) -> None:
    session = opened.workbench.session
    assert isinstance(session, Session)
    session.document.recipe = Recipe(source="a cat", target="a dog")
    dialog = opened.workbench.making.ask(session)
    assert dialog.words.text() == "a dog"
    dialog.reject()


@pytest.fixture
def size(qtbot: QtBot) -> SizeField:
    made = SizeField()
    qtbot.addWidget(made)
    made.follow(ModelInfo("m", "M", 512, 64, frozenset()))
    return made


def _shape(size: SizeField, name: str) -> None:
    size.shape.setCurrentText(name)
    size.shape.activated.emit(size.shape.currentIndex())


@pytest.mark.parametrize("shape", ["Square", "Landscape 3:2", "Tall 9:16"])
def test_shapes_keep_to_multiples_and_to_the_models_number_of_pixels(size: SizeField, shape: str) -> None:
    _shape(size, shape)
    width, height = size.value()
    assert width % 64 == height % 64 == 0
    assert width * height == pytest.approx(512 * 512, rel=0.15)


def test_numbers_typed_are_rounded_to_what_the_model_can_draw(size: SizeField) -> None:
    box: Callable[[str], QSpinBox] = lambda name: size.findChild(QSpinBox, name)  # noqa: E731
    box("words_width").setValue(500)
    assert size.value() == (512, 512)
    box("words_height").setValue(333)
    assert size.value() == (512, 320)
    assert size.findChild(QComboBox, "words_shape").currentText() == "Own size"
    box("words_width").setValue(4096)
    hint = size.findChild(QLabel, "words_size_hint")
    assert hint.text() == "This model draws best near 512 × 512 px."
