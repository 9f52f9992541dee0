"""The window as a whole: keys, names, looks, layout, and how light it starts."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from itertools import product
from pathlib import Path

import pytest
from PySide6.QtCore import QObject, QSettings, Qt
from PySide6.QtGui import QColor, QKeySequence
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QAbstractSlider,
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QDialog,
    QDockWidget,
    QLabel,
    QLineEdit,
    QPlainTextEdit,
    QTabBar,
    QWidget,
)
from pytestqt.qtbot import QtBot

from sfumato.document.commands import AddLayer
from sfumato.document.layers import Document, EditInfo, Layer
from sfumato.errors import InputError, SfumatoError
from sfumato.events import Broken, ModelInfo, Ready
from sfumato.method import MethodInfo, Recipe
from sfumato_desktop import app, dialogs, theme
from sfumato_desktop.action_table import SPECS
from sfumato_desktop.download_dialog import DownloadDialog
from sfumato_desktop.export_dialog import ExportDialog
from sfumato_desktop.from_words import FromWordsDialog
from sfumato_desktop.models_dialog import ModelsDialog
from sfumato_desktop.session import Session
from sfumato_desktop.window import MainWindow

CONTROLS = (
    QAbstractButton,
    QAbstractItemView,
    QAbstractSlider,
    QAbstractSpinBox,
    QComboBox,
    QDockWidget,
    QLineEdit,
    QPlainTextEdit,
)
INSIDES = (QAbstractSpinBox, QComboBox, QTabBar)
"""Controls whose own parts Qt makes and names."""


def _inside(widget: QObject) -> bool:
    parent = widget.parent()
    return parent is not None and (isinstance(parent, INSIDES) or _inside(parent))


def _unnamed(root: QWidget) -> list[str]:
    """Controls that lack an object name, an accessible name, or a tooltip."""
    bad = []
    for widget in root.findChildren(QWidget):
        made_by_qt = widget.objectName().startswith("qt_") or _inside(widget)
        scroll_bar = type(widget).__name__ == "QScrollBar"
        if not isinstance(widget, CONTROLS) or made_by_qt or scroll_bar:
            continue
        tip_elsewhere = isinstance(widget, QDockWidget | QAbstractItemView)
        if not (widget.objectName() and widget.accessibleName() and (widget.toolTip() or tip_elsewhere)):
            bad.append(f"{type(widget).__name__} {widget.objectName()!r} {widget.accessibleName()!r}")
    return bad


def test_every_control_has_a_name_a_tooltip_and_an_accessible_name(opened: MainWindow) -> None:
    assert _unnamed(opened) == []
    assert _unnamed(opened.start) == []


def test_the_dialogs_controls_are_named_too(window: MainWindow) -> None:
    made: list[QDialog] = [
        dialogs.show_error(window, InputError("No.")),
        dialogs.show_shortcuts(window),
        dialogs.show_plugins(window, None),
        dialogs.show_offline(window),
        dialogs.show_about(window),
        ExportDialog(window, "photo.jpg"),
        FromWordsDialog(window, Recipe(), over_picture=True),
        ModelsDialog(window, window.librarian, ""),
        DownloadDialog(window, window.librarian.downloads),
    ]
    for dialog in made:
        assert _unnamed(dialog) == [], dialog.objectName()
        dialog.close()


def test_no_two_actions_share_a_key() -> None:
    keys = Counter(QKeySequence(key).toString() for spec in SPECS for key in spec.keys)
    assert [key for key, count in keys.items() if count > 1] == []
    assert all(QKeySequence(key).toString() for spec in SPECS for key in spec.keys)


def test_single_letters_belong_to_the_canvas() -> None:
    letters = [spec for spec in SPECS if any(len(key) == 1 for key in spec.keys)]
    assert letters
    assert all(spec.scope == "canvas" for spec in letters)


def test_every_action_is_in_a_menu_has_a_tip_with_its_key_and_does_something(opened: MainWindow) -> None:
    for spec in SPECS:
        action = opened.registry[spec.name]
        signal = "2toggled(bool)" if action.isCheckable() else "2triggered(bool)"
        assert action.receivers(signal) > 0, spec.name
        assert spec.tip in action.toolTip()
        if spec.keys:
            assert action.shortcuts()[0].toString(QKeySequence.SequenceFormat.NativeText) in action.toolTip()
    titles = [action.text().replace("&", "") for action in opened.menuBar().actions()]
    assert titles == [
        "File",
        "Edit",
        "Select",
        "Tools",
        "Layer",
        "Generate",
        "View",
        "Plugins",
        "Window",
        "Help",
    ]


def test_without_a_picture_what_needs_one_is_off(window: MainWindow) -> None:
    assert not window.registry["save"].isEnabled()
    assert window.registry["open"].isEnabled()
    assert window.start.isVisible()


def test_undo_is_named_after_its_step(opened: MainWindow) -> None:
    undo = opened.registry["undo"]
    assert not undo.isEnabled()
    opened.registry["select_all"].trigger()
    assert undo.isEnabled()
    assert undo.text() == "&Undo Select all"


def _luminance(colour: QColor) -> float:
    def linear(value: float) -> float:
        return value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4

    return 0.2126 * linear(colour.redF()) + 0.7152 * linear(colour.greenF()) + 0.0722 * linear(colour.blueF())


@pytest.mark.parametrize("name", list(theme.COLOURS))
def test_text_stands_out_from_its_background(name: str) -> None:
    colours = theme.COLOURS[name]
    inks = (colours.text, colours.muted, colours.accent_text, colours.good, colours.warning, colours.bad)
    papers = (colours.window, colours.panel, colours.field)
    for ink, paper in [
        *product(inks, papers),
        (colours.on_accent, colours.accent),
        (colours.text, colours.hover),
    ]:
        light, dark = sorted((_luminance(QColor(ink)), _luminance(QColor(paper))), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5, (ink, paper)


def test_the_theme_can_be_changed_at_any_time_and_is_remembered(
    opened: MainWindow, qapp: QApplication
) -> None:
    for name in ("light", "contrast", "dark"):
        opened.set_theme(name)
        assert qapp.palette().window().color() == QColor(theme.COLOURS[name].window)
        assert opened.preferences.theme == name


def test_docks_close_float_and_come_back(opened: MainWindow, qtbot: QtBot) -> None:
    edit, layers = opened.docks
    qtbot.mouseClick(layers.findChild(QAbstractButton, "dock_layers_close"), Qt.MouseButton.LeftButton)
    qtbot.mouseClick(edit.findChild(QAbstractButton, "dock_edit_float"), Qt.MouseButton.LeftButton)
    assert layers.isHidden()
    assert edit.isFloating()
    opened.default_layout()
    assert not layers.isHidden()
    assert not edit.isFloating()


def test_edit_has_most_of_the_column_also_with_an_edit_selected(
    opened: MainWindow, qtbot: QtBot, document: Document
) -> None:
    edit, layers = opened.docks
    made = EditInfo(Recipe(source="a cat", target="a dog"), None, {}, (), 0, "")
    opened.canvas.open_session.run(AddLayer(Layer("edit", document.layers[0].pixels, edit=made)))
    qtbot.waitUntil(lambda: opened.layers.details.isVisible())
    assert edit.height() > 1.6 * layers.height()


def test_what_was_said_of_one_picture_is_gone_with_the_next(opened: MainWindow, document: Document) -> None:
    opened.panel.job_ended("Done in 1.5 s.")
    opened.status.say("It is in CMYK.")
    opened.workbench.replace_session(Session(document))
    assert opened.status.message.full_text == ""
    message = opened.panel.findChild(QLabel, "run_message")
    assert message is not None
    assert "Done" not in message.text()


def test_without_a_display_there_is_a_sentence_and_no_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("QT_QPA_PLATFORM", "DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    with pytest.raises(SfumatoError, match="no display"):
        app.make_application([])


def test_in_a_low_window_the_docks_become_tabs(opened: MainWindow) -> None:
    opened.resize(911, 512)  # 1366 x 768 at 150 %
    opened.default_layout()
    assert opened.tabifiedDockWidgets(opened.docks[0]) == [opened.docks[1]]
    assert (opened.width(), opened.height()) == (911, 512), "everything fits"


def test_the_layout_is_kept(make_window: Callable[[], MainWindow], qtbot: QtBot) -> None:
    first = make_window()
    first.docks[1].close()
    first.close()
    assert make_window().docks[1].isHidden()
    assert isinstance(first.preferences.layout(), tuple)


def test_damaged_preferences_are_no_reason_not_to_start(
    make_window: Callable[[], MainWindow], tmp_path: object
) -> None:
    window = make_window()
    settings = QSettings(window.preferences.file_name, QSettings.Format.IniFormat)
    settings.setValue("geometry", 3)
    settings.setValue("recent", 7)
    settings.setValue("theme", "plaid")
    settings.sync()
    assert make_window().isVisible()


def test_the_plugin_dialog_lists_methods_with_their_origin_and_what_broke(window: MainWindow) -> None:
    method = MethodInfo(
        "editor",
        "p2p",
        "Prompt-to-Prompt",
        "Swaps words",
        "",
        frozenset(),
        frozenset(),
        (),
        "none",
        "sfumato 0.1",
    )
    broken = Broken("nice-plugin", "It needs a library that is missing.", "Traceback ...")
    window.jobs.ready.emit(
        Ready((method,), (ModelInfo("starter", "Starter", 128, 8, frozenset()),), (broken,))
    )
    window.registry["manage_plugins"].trigger()
    dialog = window.findChild(QDialog, "plugins")
    assert dialog is not None
    table = dialog.findChild(QAbstractItemView, "plugin_table")
    assert table is not None
    texts = _texts(table)
    assert {"Prompt-to-Prompt", "sfumato 0.1", "nice-plugin", "It needs a library that is missing."} <= texts
    assert "nice-plugin" in window.status.message.text()
    dialog.close()


def _texts(view: QAbstractItemView) -> set[str]:
    model, found = view.model(), set()
    for row in range(model.rowCount()):
        group = model.index(row, 0)
        for child in range(model.rowCount(group)):
            found |= {
                str(model.index(child, column, group).data()) for column in range(model.columnCount(group))
            }
    return found


def test_the_self_test_opens_and_closes_the_window(tmp_path: Path) -> None:
    env = {**os.environ, "SFUMATO_HOME": str(tmp_path)}
    program = "import sys; from sfumato_desktop.app import main; sys.exit(main(['--self-test']))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=100, env=env
    )
    assert done.returncode == 0, done.stderr


def test_the_window_is_up_before_torch_and_nothing_of_ours_imports_it(tmp_path: Path) -> None:
    env = {**os.environ, "SFUMATO_HOME": str(tmp_path)}
    program = """
import sys
from sfumato import compose
from sfumato_desktop.app import make_application, make_window
application = make_application([])
window = make_window(compose.chosen())
window.show()
application.processEvents()
assert window.isVisible()
heavy = {"torch", "diffusers", "transformers"} & set(sys.modules)
assert not heavy, heavy
window.close()
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=100, env=env
    )
    assert done.returncode == 0, done.stderr
