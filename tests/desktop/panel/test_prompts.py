"""Changed words are marked as they are typed, readably, and not by colour alone."""

from __future__ import annotations

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QAction, QColor, QKeySequence, QPalette, QTextCharFormat
from PySide6.QtWidgets import QLabel, QVBoxLayout, QWidget

from sfumato.method import MethodInfo, Need
from sfumato_desktop.change_marks import contrast, mark
from sfumato_desktop.prompt_editor import PromptEditor
from sfumato_desktop.prompt_field import LONGEST
from sfumato_desktop.theme import COLOURS, palette

Line = QTextCharFormat.UnderlineStyle


@pytest.fixture
def editor(qtbot):
    made = PromptEditor()
    qtbot.addWidget(made)
    made.show()
    return made


def marks(field):
    """The marked words of a field with their formats."""
    return {each.cursor.selectedText(): QTextCharFormat(each.format) for each in field.extraSelections()}


def put_cursor_on(field, word):
    cursor = field.textCursor()
    cursor.setPosition(field.text().index(word) + 1)
    field.setTextCursor(cursor)


def test_marks_follow_the_words_as_they_are_typed(editor, qtbot):
    qtbot.keyClicks(editor.source, "a cat on a wooden bench")
    qtbot.keyClicks(editor.target, "a dog on a bench in snow")
    assert list(marks(editor.source)) == ["cat", "wooden"]
    assert list(marks(editor.target)) == ["dog", "in", "snow"]


def test_each_change_has_a_line_of_its_own(editor):
    editor.source.set_text("a cat on a wooden bench")
    editor.target.set_text("a dog on a bench in snow")
    editor.show_for(None)
    before, after = marks(editor.source), marks(editor.target)
    assert before["cat"].underlineStyle() == after["dog"].underlineStyle() == Line.WaveUnderline
    assert before["wooden"].fontStrikeOut()
    assert before["wooden"].underlineStyle() == Line.NoUnderline
    assert after["snow"].underlineStyle() == Line.SingleUnderline
    assert editor.target.accessibleDescription() == "Replaced cat by dog. Removed wooden. Added in snow."


def test_equal_and_empty_prompts_have_no_marks(editor, qtbot):
    qtbot.keyClicks(editor.target, "a dog")
    assert marks(editor.target) == {}
    qtbot.keyClicks(editor.source, "A dog")
    assert marks(editor.target) == {}


@pytest.mark.parametrize("change", ["replaced", "added", "removed"])
@pytest.mark.parametrize(
    "ground", ["#ffffff", "#efefef", "#232323", "#353535", "#000000", "#1e2022", "#c0c0c0"]
)
def test_marks_can_be_read_on_any_usual_ground(change, ground):
    look = QPalette()
    look.setColor(QPalette.ColorRole.Base, QColor(ground))
    assert contrast(mark(change, look).foreground().color(), QColor(ground)) >= 4.5


def test_marks_change_with_the_theme(editor, qtbot):
    qtbot.keyClicks(editor.source, "a cat")
    qtbot.keyClicks(editor.target, "a dog")
    inks = []
    for name in ("light", "dark"):
        editor.setPalette(palette(COLOURS[name]))
        inks.append(marks(editor.target)["dog"].foreground().color().name())
    assert inks[0] != inks[1]


def test_keys_weigh_the_word_under_the_cursor_and_show_it(editor, qtbot):
    editor.target.set_text("a red Dog")
    put_cursor_on(editor.target, "Dog")
    with qtbot.waitSignal(editor.edited):
        qtbot.keyClick(editor.target, Qt.Key.Key_Up, Qt.KeyboardModifier.ControlModifier)
    qtbot.keyClick(editor.target, Qt.Key.Key_Up, Qt.KeyboardModifier.ControlModifier)
    assert editor.word_weights() == {"dog": 1.2}
    shown = editor.findChild(QLabel, "weights_line")
    assert shown.isVisible()
    assert "dog ×1.2" in shown.text()
    for _ in range(2):
        qtbot.keyClick(editor.target, Qt.Key.Key_Down, Qt.KeyboardModifier.ControlModifier)
    assert editor.word_weights() == {}
    assert not shown.isVisible()


def test_weights_stay_within_their_range(editor, qtbot):
    editor.target.set_text("dog")
    for _ in range(40):
        qtbot.keyClick(editor.target, Qt.Key.Key_Up, Qt.KeyboardModifier.ControlModifier)
    assert editor.word_weights() == {"dog": 3.0}
    for _ in range(40):
        qtbot.keyClick(editor.target, Qt.Key.Key_Down, Qt.KeyboardModifier.ControlModifier)
    assert editor.word_weights() == {"dog": 0.0}


def test_weights_of_words_that_are_gone_do_not_count_and_come_back_with_the_word(editor):
    editor.target.set_text("a dog")
    editor.set_word_weights({"dog": 1.5})
    editor.target.set_text("a cat")
    assert editor.word_weights() == {}
    editor.target.set_text("a dog")
    assert editor.word_weights() == {"dog": 1.5}


def test_showing_the_same_text_again_leaves_the_cursor(editor):
    editor.target.set_text("a red dog")
    put_cursor_on(editor.target, "dog")
    editor.target.set_text("a red dog")
    assert editor.target.textCursor().position() == 7


def test_setting_a_text_is_not_an_edit_and_a_long_one_is_cut_when_typed(editor, qtbot):
    with qtbot.assertNotEmitted(editor.edited):
        editor.source.set_text("a cat")
    editor.source.set_text("x" * LONGEST)
    qtbot.keyClicks(editor.source, "y")
    assert len(editor.source.text()) == LONGEST


def test_the_lines_follow_the_method(editor):
    def wants(*needs):
        info = MethodInfo("editor", "m", "M", "", "", frozenset(needs), frozenset(), ())
        editor.show_for(info)
        return [field.isVisible() for field in (editor.source, editor.target, editor.instruction)]

    assert wants(Need.IMAGE, Need.SOURCE_PROMPT, Need.TARGET_PROMPT) == [True, True, False]
    assert wants(Need.IMAGE, Need.INSTRUCTION) == [False, False, True]
    assert wants(Need.TARGET_PROMPT) == [False, True, False]


@pytest.mark.parametrize("keys", ["Ctrl+Z", "Ctrl+Shift+Z", "Ctrl+Return"])
def test_the_windows_keys_work_while_a_prompt_has_the_focus(qtbot, keys):
    window, editor = QWidget(), PromptEditor()
    QVBoxLayout(window).addWidget(editor)
    action = QAction(window)
    action.setShortcut(QKeySequence(keys))
    window.addAction(action)
    qtbot.addWidget(window)
    with qtbot.waitActive(window):
        window.show()
        window.activateWindow()
    editor.target.setFocus()
    qtbot.keyClicks(editor.target, "dog")
    combination = QKeySequence(keys)[0]
    with qtbot.waitSignal(action.triggered):
        qtbot.keyClick(editor.target, combination.key(), combination.keyboardModifiers())
    assert editor.target.text() == "dog"


def test_a_prompt_grows_with_its_text(editor):
    low = editor.target.height()
    editor.resize(200, 400)
    editor.target.set_text("a photo of a dog " * 12)
    assert editor.target.height() > low
