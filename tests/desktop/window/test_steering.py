"""Control images: made of the photo and looked at, taken from a layer, or brought in from a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PySide6.QtWidgets import QComboBox, QLabel, QPushButton, QWidget

from sfumato.document.layers import Layer
from sfumato.events import ModelInfo, Outcome, Ready
from sfumato.method import Ability, MethodInfo, Need, Recipe
from sfumato.params import Control
from sfumato.preprocessor import PreprocessorInfo
from sfumato_desktop.window import MainWindow

FOLLOW = MethodInfo(
    "editor",
    "follow",
    "Follow",
    "Follows.",
    "",
    frozenset({Need.TARGET_PROMPT, Need.CONTROL_IMAGE}),
    frozenset(),
    (),
)
PLAIN = MethodInfo("editor", "plain", "Plain", "Draws.", "", frozenset({Need.TARGET_PROMPT}), frozenset(), ())
CANNY = PreprocessorInfo(
    "canny", "Canny edges", "Lines.", (Control("low", "number", "Low", "Less.", 0.1, "", 0, 1, 0.05),)
)
SCRIBBLE = PreprocessorInfo("scribble", "Scribble", "Rough lines.", ())
MODEL = ModelInfo("starter", "Starter", 128, 16, frozenset(Ability))
READY = Ready((FOLLOW, PLAIN), (MODEL,), (), controls=(CANNY, SCRIBBLE))


@pytest.fixture
def following(opened: MainWindow) -> MainWindow:
    """The window with a picture and a method that follows a control image."""
    opened.jobs.ready.emit(READY)
    session = opened.workbench.session
    assert session is not None
    session.document.recipe = Recipe(editor="follow", target="a hill")
    opened.panel.set_recipe(session.document.recipe)
    return opened


def _combo(window: MainWindow) -> QComboBox:
    found = window.findChild(QComboBox, "control_source")
    assert isinstance(found, QComboBox)
    return found


def _titles(window: MainWindow) -> list[str]:
    combo = _combo(window)
    return [combo.itemText(row) for row in range(combo.count())]


def _thumbnail(window: MainWindow) -> QLabel:
    found = window.findChild(QLabel, "control_thumbnail")
    assert isinstance(found, QLabel)
    return found


def test_it_is_there_for_methods_that_follow_one_only(following: MainWindow) -> None:
    box = following.findChild(QWidget, "control_box")
    assert box is not None
    assert not box.isHidden()
    following.panel.set_recipe(Recipe(editor="plain", target="a hill"))
    assert box.isHidden()


def test_photo_layers_and_files_are_offered(following: MainWindow) -> None:
    assert _titles(following) == ["Photo: Canny edges", "Photo: Scribble", "Layer: Background", "File…"]


def test_the_way_it_is_made_goes_into_the_recipe_and_can_be_undone(following: MainWindow) -> None:
    combo, session = _combo(following), following.workbench.session
    assert session is not None
    combo.setCurrentIndex(1)
    assert session.document.recipe.preprocessor == "scribble"
    session.undo()
    assert following.panel.recipe().preprocessor == "canny"
    assert combo.currentText() == "Photo: Canny edges"


def test_look_shows_what_would_be_made(following: MainWindow, engine: list) -> None:
    button = following.findChild(QPushButton, "control_look")
    assert isinstance(button, QPushButton)
    button.click()
    job = engine[0].jobs[-1]
    assert (job.task, job.recipe.preprocessor) == ("control", "canny")
    made = np.full((96, 128, 4), 255, np.uint8)
    following.jobs.finished.emit(job.id, Outcome((0, 0, 128, 96), (made,), None, 0, {}, {}))
    assert not _thumbnail(following).isHidden()
    assert len(following.workbench.session.document.layers) == 1  # pyright: ignore[reportOptionalMemberAccess]


def test_a_layer_is_sent_along_as_it_is_however_it_is_shown(following: MainWindow, engine: list) -> None:
    session = following.workbench.session
    assert session is not None
    lines = Layer("Lines", np.full((96, 128, 4), (1, 2, 3, 255), np.uint8), visible=False)
    session.document.layers.append(lines)
    session.structure_changed.emit()
    _combo(following).setCurrentIndex(_combo(following).findData(f"layer:{lines.id}"))
    assert not _thumbnail(following).isHidden()
    following.panel.run()
    (job,) = engine[0].jobs
    assert np.array_equal(job.control_images["control"], lines.pixels)
    assert not np.array_equal(job.image, lines.pixels)


def test_made_of_the_photo_nothing_is_sent_along(following: MainWindow, engine: list) -> None:
    following.panel.run()
    assert engine[0].jobs[0].control_images == {}


def test_a_file_becomes_a_hidden_layer_that_can_be_undone(following: MainWindow, photo: Path) -> None:
    following.workbench.steering.bring(photo)
    session = following.workbench.session
    assert session is not None
    layer = session.document.layers[-1]
    assert (layer.name, layer.visible, layer.box) == ("Control: photo", False, (0, 0, 128, 96))
    assert _combo(following).currentText() == "Layer: Control: photo"
    session.undo()
    assert _combo(following).currentText() == "Photo: Canny edges"


def test_a_file_that_is_no_picture_is_said(following: MainWindow, tmp_path: Path) -> None:
    (tmp_path / "x.png").write_text("no")
    following.workbench.steering.bring(tmp_path / "x.png")
    assert "could not be read as a picture" in following.status.message.full_text
