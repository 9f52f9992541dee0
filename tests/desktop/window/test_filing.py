"""Files in and out, and no unsaved work lost by accident."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QDragEnterEvent, QDropEvent, QGuiApplication
from PySide6.QtWidgets import QAbstractButton, QFileDialog, QMenu, QMessageBox

from sfumato.document.commands import AddLayer, SetVisible
from sfumato.document.compositor import flatten
from sfumato.document.layers import EditInfo, Layer
from sfumato.events import Defaults, ModelInfo, Ready
from sfumato.files.images import export_image, read_recipe
from sfumato.method import Ability, MethodInfo, Need, Recipe
from sfumato_desktop import images
from sfumato_desktop.dialogs import Dialog
from sfumato_desktop.export_dialog import ExportChoice, ExportDialog
from sfumato_desktop.samples import Sample, load_samples
from sfumato_desktop.window import MainWindow

WISHES = Defaults(steps=20, guidance=2.5, editors={"swap": {"guidance": 4}})
MODEL = ModelInfo("starter", "Starter", 128, 16, frozenset(Ability), defaults=WISHES)
METHODS = tuple(
    MethodInfo("editor", name, name.title(), "", "", frozenset({Need.IMAGE}), frozenset(), ())
    for name in ("p2p", "swap")
)
READY = Ready(METHODS, (MODEL,), ())


def _answer(monkeypatch: pytest.MonkeyPatch, button: QMessageBox.StandardButton) -> list[str]:
    asked: list[str] = []

    def question(_parent: object, _title: str, text: str, *_rest: object) -> QMessageBox.StandardButton:
        asked.append(text)
        return button

    monkeypatch.setattr(QMessageBox, "question", question)
    return asked


def test_a_picture_opens_fitted_with_its_pixels(window: MainWindow, photo: Path, pixels: np.ndarray) -> None:
    window.workbench.filing.open(photo)
    session = window.workbench.session
    assert session is not None
    assert np.array_equal(flatten(session.document), pixels)
    assert window.canvas.view.fitted
    assert window.canvas.hasFocus()
    assert "photo.png" in window.windowTitle()
    assert window.status.picture.text().startswith("128 × 96 · ")
    assert window.preferences.recent == [photo]


def test_recent_files_are_offered_in_the_menu_and_on_the_start_screen(
    window: MainWindow, photo: Path
) -> None:
    window.workbench.filing.open(photo)
    window.registry["close"].trigger()
    recent = window.findChild(QMenu, "menu_recent")
    assert recent is not None
    recent.aboutToShow.emit()
    recent.actions()[0].trigger()
    assert window.workbench.session is not None
    window.registry["close"].trigger()
    button = window.start.findChild(QAbstractButton, "recent")
    assert button is not None
    assert photo.name in button.text()
    button.click()
    assert window.workbench.session is not None


def test_a_file_that_cannot_be_opened_is_a_dialog_and_the_open_picture_stays(
    opened: MainWindow, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"not a picture")
    session = opened.workbench.session
    for path in (broken, tmp_path / "missing.jpg", tmp_path / "missing.ora"):
        opened.workbench.filing.open(path)
        dialog = opened.findChild(Dialog, "error")
        assert dialog is not None
        dialog.setObjectName("seen")
        dialog.close()
    assert opened.workbench.session is session
    assert QGuiApplication.overrideCursor() is None


def test_dropping_a_file_opens_it(window: MainWindow, photo: Path) -> None:
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(photo))])
    buttons, keys = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    enter = QDragEnterEvent(QPoint(5, 5), Qt.DropAction.CopyAction, data, buttons, keys)
    window.dragEnterEvent(enter)
    assert enter.isAccepted()
    window.dropEvent(QDropEvent(QPointF(5, 5), Qt.DropAction.CopyAction, data, buttons, keys))
    assert window.workbench.session is not None


def test_copy_and_paste_bring_the_same_pixels_back(opened: MainWindow, pixels: np.ndarray) -> None:
    opened.registry["copy"].trigger()
    opened.registry["paste"].trigger()
    session = opened.workbench.session
    assert session is not None
    assert np.array_equal(session.document.layers[1].pixels, pixels)
    assert opened.layers.current is session.document.layers[1]


def test_pasting_with_nothing_open_makes_an_unsaved_document(window: MainWindow, pixels: np.ndarray) -> None:
    QGuiApplication.clipboard().setImage(images.to_image(pixels))
    window.registry["paste"].trigger()
    assert window.workbench.session is not None
    assert window.isWindowModified()


def test_pasting_nothing_says_so(window: MainWindow) -> None:
    QGuiApplication.clipboard().clear()
    window.registry["paste"].trigger()
    assert "no picture" in window.status.message.text()


def test_save_and_reopen_give_everything_back(
    opened: MainWindow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "work"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(place), ""))
    session = opened.workbench.session
    assert session is not None
    opened.registry["select_all"].trigger()
    session.edit_recipe(Recipe(source="a cat", target="a dog", seed=3))
    assert opened.isWindowModified()
    opened.registry["save"].trigger()
    assert not opened.isWindowModified()
    assert opened.windowTitle().startswith("work.ora")
    opened.registry["undo"].trigger()
    assert opened.isWindowModified(), "undoing past the save is a change"
    opened.registry["redo"].trigger()
    before = flatten(session.document)
    opened.workbench.filing.open(tmp_path / "work.ora")
    again = opened.workbench.session
    assert again is not None
    assert again is not session
    assert np.array_equal(flatten(again.document), before)
    assert again.document.mask is not None
    assert again.document.mask.min() == 255
    assert opened.panel.recipe().target == "a dog"
    assert not opened.isWindowModified()


@pytest.mark.parametrize(
    ("button", "closes"),
    [(QMessageBox.StandardButton.Cancel, False), (QMessageBox.StandardButton.Discard, True)],
)
def test_closing_asks_about_unsaved_changes(
    opened: MainWindow, monkeypatch: pytest.MonkeyPatch, button: QMessageBox.StandardButton, closes: bool
) -> None:
    asked = _answer(monkeypatch, button)
    session = opened.workbench.session
    assert session is not None
    session.run(SetVisible(session.document.layers[0].id, False))
    opened.registry["close"].trigger()
    assert len(asked) == 1
    assert (opened.workbench.session is None) is closes
    if not closes:
        assert opened.close() is False


def test_closing_an_unchanged_picture_asks_nothing(
    opened: MainWindow, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = _answer(monkeypatch, QMessageBox.StandardButton.Cancel)
    opened.registry["close"].trigger()
    assert asked == []
    assert opened.workbench.session is None


def test_save_failing_on_close_keeps_the_document(
    opened: MainWindow, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _answer(monkeypatch, QMessageBox.StandardButton.Save)
    monkeypatch.setattr(
        QFileDialog, "getSaveFileName", lambda *_: (str(tmp_path / "no" / "such" / "a.ora"), "")
    )
    session = opened.workbench.session
    assert session is not None
    session.run(SetVisible(session.document.layers[0].id, False))
    opened.registry["close"].trigger()
    assert opened.workbench.session is session
    dialog = opened.findChild(Dialog, "error")
    assert dialog is not None
    dialog.close()


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_export_writes_the_flattened_pixels(
    opened: MainWindow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pixels: np.ndarray, suffix: str
) -> None:
    monkeypatch.setattr(ExportDialog, "exec", lambda _self: 1)
    monkeypatch.setattr(ExportDialog, "choice", ExportChoice(suffix, 95, recipe=True))
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(tmp_path / "out"), ""))
    opened.registry["export"].trigger()
    written = np.asarray(Image.open(tmp_path / f"out{suffix}").convert("RGBA"))
    assert np.array_equal(written, pixels)
    assert read_recipe(tmp_path / f"out{suffix}") is None, "nothing was edited, so there is no recipe"


def test_a_recipe_comes_back_from_an_exported_picture_and_can_be_undone(
    opened: MainWindow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = opened.workbench.session
    assert session is not None
    pixels, recipe = np.full((8, 8, 4), 255, np.uint8), Recipe(source="a cat", target="a dog", seed=5)
    session.run(AddLayer(Layer("edit", pixels, edit=EditInfo(recipe, None, {}, (pixels,), 0, ""))))
    export_image(session.document, tmp_path / "out.png")
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (str(tmp_path / "out.png"), ""))
    opened.registry["load_recipe"].trigger()
    assert (opened.panel.recipe().target, opened.panel.recipe().seed) == ("a dog", 5)
    opened.registry["undo"].trigger()
    assert opened.panel.recipe().target == ""


def test_a_sample_brings_its_prompts_and_mask(window: MainWindow, tmp_path: Path, photo: Path) -> None:
    mask = np.zeros((96, 128), np.uint8)
    mask[10:20] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    sample = Sample(photo, "Try", "a cat", "a dog", tmp_path / "mask.png")
    window.start.open_sample.emit(sample)
    session = window.workbench.session
    assert session is not None
    assert session.document.mask is not None
    assert session.document.mask[15].min() == 255
    assert window.panel.recipe().target == "a dog"
    assert window.canvas.scene.show_overlay
    assert not window.isWindowModified()


def test_what_is_opened_before_the_models_are_known_begins_as_its_model_wishes(
    window: MainWindow, photo: Path
) -> None:
    window.workbench.filing.open(photo)
    assert window.panel.recipe().guidance == 5
    window.jobs.ready.emit(READY)
    assert (window.panel.recipe().guidance, window.panel.recipe().steps) == (2.5, 20)
    assert not window.isWindowModified()
    window.workbench.filing.open_sample(Sample(photo, "Try", "a cat", "a dog", editor="swap"))
    shown = window.panel.recipe()
    assert (shown.guidance, shown.editor, shown.model) == (4, "swap", "starter")


def test_what_a_project_was_saved_with_stays_when_the_models_come(opened: MainWindow) -> None:
    opened.jobs.ready.emit(READY)
    assert opened.panel.recipe().guidance == 5


def test_the_bundled_samples_open(window: MainWindow) -> None:
    for sample in load_samples():
        window.workbench.filing.open_sample(sample)
        assert window.workbench.session is not None
        shown = window.panel.recipe()
        said = (sample.source, sample.target, sample.instruction)
        assert all(said)
        assert (shown.source, shown.target, shown.instruction) == said
    assert window.findChild(Dialog, "error") is None


def test_a_file_copied_elsewhere_is_opened_by_paste(window: MainWindow, photo: Path) -> None:
    copied = QMimeData()
    copied.setUrls([QUrl.fromLocalFile(str(photo))])
    QGuiApplication.clipboard().setMimeData(copied)
    window.registry["paste"].trigger()
    session = window.workbench.session
    assert session is not None
    assert session.title == photo.name
