"""The models dialog on real folders: what is listed, what can be done, and what the edit panel learns."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PySide6.QtWidgets import QComboBox, QFileDialog, QLabel, QMessageBox, QPlainTextEdit, QPushButton
from pytestqt.qtbot import QtBot

from sfumato.events import Ready
from sfumato.models.catalogue import Checkpoint
from sfumato.models.inspection import describe
from sfumato.settings import ModelDefaults, Settings
from sfumato.starting import starting
from sfumato_desktop.edit_panel import EditPanel
from sfumato_desktop.jobs import Jobs
from sfumato_desktop.librarian import Librarian
from sfumato_desktop.models_dialog import ModelsDialog
from sfumato_resources import plugin
from tests.checkpoints import copy_model


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path / "data", cache_dir=tmp_path / "cache", state_dir=tmp_path / "state")


@pytest.fixture
def starter() -> Checkpoint:
    return plugin.register_models()[0]


@pytest.fixture
def librarian(qtbot: QtBot, settings: Settings, starter: Checkpoint):
    made = Librarian(settings)
    made.set_ready(Ready((), (describe(starter),), (), (starter,)))
    yield made
    made.close()


@pytest.fixture
def copied(tmp_path: Path, starter: Checkpoint) -> Path:
    """A second model: the starter's files under another name, with a licence."""
    place = copy_model(starter.folder, tmp_path / "my model")
    (place / "LICENSE.txt").write_text("Be kind.")
    return place


@pytest.fixture
def dialog(qtbot: QtBot, librarian: Librarian, tmp_path: Path) -> ModelsDialog:
    made = ModelsDialog(None, librarian, str(tmp_path))
    made.show()
    # Not for the signal: it comes from another thread, and could be heard here before the page hears it.
    qtbot.waitUntil(made.page.form.isEnabled)
    return made


def _listed(dialog: ModelsDialog) -> dict[str, list[str]]:
    tops = [dialog.tree.topLevelItem(row) for row in range(dialog.tree.topLevelItemCount())]
    return {top.text(0): [top.child(row).text(0) for row in range(top.childCount())] for top in tops}


def _press(dialog: ModelsDialog, name: str) -> None:
    button = dialog.findChild(QPushButton, name)
    assert isinstance(button, QPushButton)
    assert button.isEnabled(), name
    button.click()


def _said(dialog: ModelsDialog, name: str) -> str:
    label = dialog.findChild(QLabel, name)
    assert isinstance(label, QLabel)
    return label.text()


def test_it_lists_the_starter_and_says_all_about_it(dialog: ModelsDialog, starter: Checkpoint) -> None:
    assert _listed(dialog) == {"Ready to use": ["Starter (built in)  ★"]}
    assert _said(dialog, "model_size") == "128 × 128 px"
    weights = sum(file.stat().st_size for file in starter.folder.rglob("*.safetensors"))
    assert _said(dialog, "model_bytes").startswith(f"{weights // 1_000_000}")
    assert not dialog.findChild(QPushButton, "model_remove").isEnabled()
    assert not dialog.findChild(QPushButton, "model_prefer").isEnabled()


def test_a_folder_is_added_offered_to_edits_and_removed_again(
    dialog: ModelsDialog, librarian: Librarian, copied: Path, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(copied))
    with qtbot.waitSignals([librarian.listed, librarian.catalogue_changed]):
        _press(dialog, "model_add_folder")
    assert _listed(dialog)["Ready to use"] == ["Starter (built in)  ★", "my model"]
    assert librarian.ready is not None
    assert [model.name for model in librarian.ready.models] == ["starter", str(copied)]
    dialog._select(str(copied))
    licence = dialog.findChild(QPlainTextEdit, "model_licence")
    qtbot.waitUntil(lambda: licence.toPlainText() == "Be kind.")
    monkeypatch.setattr(QMessageBox, "question", lambda *_: QMessageBox.StandardButton.Yes)
    with qtbot.waitSignals([librarian.listed, librarian.catalogue_changed]):
        _press(dialog, "model_remove")
    assert _listed(dialog)["Ready to use"] == ["Starter (built in)  ★"]
    assert [model.name for model in librarian.ready.models] == ["starter"]
    assert copied.is_dir()


def test_what_cannot_be_used_is_listed_with_its_sentence(
    librarian: Librarian, settings: Settings, starter: Checkpoint, tmp_path: Path, qtbot: QtBot
) -> None:
    settings = settings.changed(models=(tmp_path / "gone",))
    other = Librarian(settings)
    other.set_ready(Ready((), (), (), (starter,)))
    with qtbot.waitSignal(other.listed):
        made = ModelsDialog(None, other, str(tmp_path))
    made._select(str(tmp_path / "gone"))
    assert _listed(made)["Cannot be used"] == ["gone"]
    assert _said(made, "model_note").startswith("There is no model")
    assert not made.findChild(QPushButton, "model_use").isEnabled()
    other.close()


def test_a_place_that_is_no_model_is_refused_in_a_sentence(
    dialog: ModelsDialog, librarian: Librarian, tmp_path: Path, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sfumato_desktop.dialogs.show_error", lambda _parent, _error: None)
    with qtbot.waitSignal(librarian.failed) as told:
        librarian.add(tmp_path)
    assert "is not a diffusers model" in str(told.args[0])


def test_the_default_is_kept_and_new_edits_start_with_it(
    dialog: ModelsDialog, librarian: Librarian, settings: Settings, copied: Path, qtbot: QtBot
) -> None:
    with qtbot.waitSignal(librarian.listed):
        librarian.add(copied)
    dialog._select(str(copied))
    with qtbot.waitSignal(librarian.listed):
        _press(dialog, "model_prefer")
    assert _listed(dialog)["Ready to use"] == ["Starter (built in)", "my model  ★"]
    assert librarian.fresh_recipe().model == str(copied)
    assert json.loads(settings.path.read_text())["default_model"] == str(copied)


def test_defaults_of_a_model_are_kept_and_edits_follow_them(
    dialog: ModelsDialog, librarian: Librarian, qtbot: QtBot
) -> None:
    with qtbot.waitSignal(librarian.listed):
        dialog.page.form.edit("steps", 20)
    assert librarian.defaults("starter") == ModelDefaults(steps=20)
    assert librarian.fresh_recipe().steps == 20
    with qtbot.waitSignal(librarian.listed):
        dialog.page.size_field.set_value((96, 64))
        dialog.page.size_field.edited.emit()
    assert librarian.defaults("starter") == ModelDefaults(steps=20, size=(96, 64))


def test_defaults_are_set_only_where_it_is_known_what_they_were(
    dialog: ModelsDialog, librarian: Librarian, copied: Path, qtbot: QtBot
) -> None:
    """Else what the page showed of the model before would be kept as this one's."""
    with qtbot.waitSignal(librarian.listed):
        librarian.add(copied)
    page = dialog.page
    assert page.form.isEnabled(), "listing anew takes nothing from under a person's hands"
    dialog._select(str(copied))
    assert not page.form.isEnabled()
    assert not page.size_field.isEnabled()
    qtbot.waitUntil(page.form.isEnabled)
    assert page.size_field.isEnabled()


def test_the_hash_is_made_when_asked_for(dialog: ModelsDialog, librarian: Librarian, qtbot: QtBot) -> None:
    with qtbot.waitSignal(librarian.hashed, timeout=20_000):
        _press(dialog, "model_hash_now")
    assert len(_said(dialog, "model_hash")) == 64


def test_the_panel_takes_the_models_defaults_but_not_over_what_was_set(
    qtbot: QtBot, librarian: Librarian
) -> None:
    panel = EditPanel()
    qtbot.addWidget(panel)
    assert librarian.ready is not None
    panel.set_catalogue(librarian.ready)
    chosen = ModelDefaults(steps=8, guidance=1.0)
    panel.starting = lambda name, editor: starting(None, editor, chosen if name == "quick" else None)
    panel.set_recipe(panel.recipe().model_copy(update={"guidance": 3.0}))
    panel.choose_model("quick")
    assert (panel.recipe().model, panel.recipe().steps, panel.recipe().guidance) == ("quick", 8, 3.0)
    panel.choose_model("starter")
    assert (panel.recipe().steps, panel.recipe().guidance) == (50, 3.0)
    assert panel.findChild(QComboBox, "model") is not None


def test_the_page_shows_what_the_model_was_made_for(
    dialog: ModelsDialog, librarian: Librarian, copied: Path, qtbot: QtBot
) -> None:
    (copied / "sfumato.json").write_text('{"steps": 4, "guidance": 1.0}')
    with qtbot.waitSignal(librarian.listed):
        librarian.add(copied)
    dialog._select(str(copied))
    qtbot.waitUntil(lambda: dialog.page.form.field("steps").value() == 4)
    with qtbot.waitSignal(librarian.listed):
        dialog.page.form.edit("guidance", 2.0)
    assert librarian.defaults(str(copied)) == ModelDefaults(guidance=2.0)
    assert librarian.starting(str(copied), "generate") == {"steps": 4, "guidance": 2.0, "solver": "ddim"}


def test_it_opens_from_the_menu_before_anything_is_loaded(window) -> None:
    assert isinstance(window.jobs, Jobs)
    window.registry["models"].trigger()
    dialog = window.findChild(ModelsDialog)
    assert dialog is not None
    assert "still being loaded" in _said(dialog, "models_said")
    dialog.reject()


def test_a_pickled_file_is_converted_only_if_the_person_agrees(
    dialog: ModelsDialog, librarian: Librarian, tmp_path: Path, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Path] = []
    monkeypatch.setattr(
        "sfumato_desktop.librarian.convert", lambda place, _settings: asked.append(place) or place
    )
    answers = iter((QMessageBox.StandardButton.Cancel, QMessageBox.StandardButton.Yes))
    monkeypatch.setattr(QMessageBox, "question", lambda *_: next(answers))
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (str(tmp_path / "old.ckpt"), ""))
    _press(dialog, "model_add_file")
    with qtbot.waitSignal(librarian.said) as said:
        _press(dialog, "model_add_file")
    assert asked == [tmp_path / "old.ckpt"]
    assert said.args == [f"Converted to {tmp_path / 'old.ckpt'}; the original stays."]
