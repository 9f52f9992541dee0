"""Methods that take orders or concepts: the rows they get, what is kept, and what a run is told."""

from __future__ import annotations

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QAbstractButton,
    QComboBox,
    QDoubleSpinBox,
    QLabel,
    QLineEdit,
    QPlainTextEdit,
    QPushButton,
    QWidget,
)

from sfumato.method import Recipe
from sfumato_desktop.concept_list import ConceptList

MIX = Recipe(editor="mix", inverter="noisy", concepts=(("smile", 4.0), ("glasses", -1 / 3)))


def child(panel, kind, name):
    found = panel.findChild(kind, name)
    assert found is not None, name
    return found


def choose(panel, combo, name):
    chooser = child(panel, QComboBox, combo)
    chooser.setCurrentIndex(chooser.findData(name))


@pytest.fixture
def mixing(panel):
    panel.set_recipe(MIX)
    return panel


def test_concepts_stand_where_the_target_was(mixing):
    assert child(mixing, QWidget, "concepts").isVisible()
    assert not child(mixing, QPlainTextEdit, "target_prompt").isVisible()
    assert not child(mixing, QPlainTextEdit, "instruction").isVisible()
    assert child(mixing, QLineEdit, "concept_1").text() == "smile"
    assert child(mixing, QAbstractButton, "concept_1_sign").text() == "+"
    assert child(mixing, QAbstractButton, "concept_2_sign").text() == "−"


def test_strengths_that_no_number_entry_can_show_come_back_exactly(mixing):
    assert mixing.recipe() == MIX


@pytest.mark.parametrize(
    ("inverter", "title"),
    [("noisy", "The photo shows  ·  may stay empty"), ("straight", "The photo shows")],
)
def test_a_source_prompt_that_nobody_needs_says_so(mixing, inverter, title):
    choose(mixing, "inverter", inverter)
    source = child(mixing, QPlainTextEdit, "source_prompt")
    assert next(each.text() for each in mixing.findChildren(QLabel) if each.buddy() is source) == title


def test_every_change_of_the_list_is_a_change_of_the_recipe(mixing, qtbot):
    with qtbot.waitSignal(mixing.changed):
        child(mixing, QAbstractButton, "concept_1_sign").click()
    assert mixing.recipe().concepts[0] == ("smile", -4.0)
    with qtbot.waitSignal(mixing.changed):
        child(mixing, QDoubleSpinBox, "concept_1_strength").setValue(7.5)
    assert mixing.recipe().concepts[0] == ("smile", -7.5)
    with qtbot.waitSignal(mixing.changed):
        child(mixing, QAbstractButton, "concept_1_remove").click()
    assert mixing.recipe().concepts == (("glasses", -1 / 3),)


def test_enter_makes_another_row_and_puts_the_cursor_there(mixing, qtbot):
    child(mixing, QLineEdit, "concept_2").setFocus()
    qtbot.keyClick(child(mixing, QLineEdit, "concept_2"), Qt.Key.Key_Return)
    third = child(mixing, QLineEdit, "concept_3")
    assert third.hasFocus()
    qtbot.keyClicks(third, "snow")
    assert mixing.recipe().concepts[2] == ("snow", 1.0)


def test_ctrl_up_and_down_change_the_strength_while_typing(mixing, qtbot):
    line = child(mixing, QLineEdit, "concept_1")
    qtbot.keyClick(line, Qt.Key.Key_Up, Qt.KeyboardModifier.ControlModifier)
    assert mixing.recipe().concepts[0] == ("smile", 4.1)
    qtbot.keyClick(line, Qt.Key.Key_Down, Qt.KeyboardModifier.ControlModifier)
    assert mixing.recipe().concepts[0] == ("smile", 4.0)


def test_the_last_row_is_emptied_not_removed(panel, qtbot):
    panel.set_recipe(MIX.model_copy(update={"concepts": (("smile", 4.0),)}))
    child(panel, QAbstractButton, "concept_1_remove").click()
    assert panel.recipe().concepts == ()
    assert child(panel, QLineEdit, "concept_1").text() == ""


@pytest.mark.parametrize(
    ("concepts", "problem"),
    [
        ((("smile", 4.0), (" ", 5.0)), "A row without a name counts for nothing."),
        ((("smile", 4.0), ("Smile ", 5.0)), "“smile” is there twice: both rows count."),
        ((("smile", 0.0),), "“smile” has no strength and counts for nothing."),
        ((("smile", 4.0),), ""),
    ],
)
def test_what_is_wrong_with_the_list_is_said(panel, concepts, problem):
    panel.set_recipe(MIX.model_copy(update={"concepts": concepts}))
    said = child(panel, QLabel, "concept_check")
    assert (said.text(), said.isVisible()) == (problem, bool(problem))


def test_run_waits_for_a_concept_with_a_strength(panel):
    panel.set_recipe(MIX.model_copy(update={"concepts": ()}))
    run, said = child(panel, QPushButton, "run"), child(panel, QLabel, "run_message")
    assert not run.isEnabled()
    assert said.text() == "Mix needs something to add or to take away: name it, with how strongly."
    panel.set_recipe(MIX)
    assert run.isEnabled()


def test_the_list_of_needs_names_them_as_run_does(mixing):
    described = child(mixing, QLabel, "editor_description").text().replace("&nbsp;", " ")
    assert "✓ something to add or to take away" in described


def test_what_was_said_to_one_method_waits_while_another_is_chosen(mixing):
    choose(mixing, "editor", "order")
    child(mixing, QPlainTextEdit, "instruction").setPlainText("make it snow")
    choose(mixing, "editor", "mix")
    assert mixing.recipe().concepts == MIX.concepts
    choose(mixing, "editor", "order")
    assert mixing.recipe().instruction == "make it snow"


def test_a_run_is_not_told_what_its_method_never_looks_at(mixing):
    mixing.set_recipe(
        MIX.model_copy(update={"instruction": "make it snow", "concepts": (*MIX.concepts, ("", 5.0))})
    )
    assert mixing.asked() == MIX
    choose(mixing, "editor", "order")
    assert (mixing.asked().instruction, mixing.asked().concepts) == ("make it snow", ())


def test_tab_goes_through_the_rows_in_order(mixing, qtbot):
    child(mixing, QAbstractButton, "concept_1_sign").setFocus()
    order = []
    for _ in range(8):
        order.append(mixing.focusWidget().objectName())
        qtbot.keyClick(mixing.focusWidget(), Qt.Key.Key_Tab)
    assert order[:4] == ["concept_1_sign", "concept_1", "concept_1_strength", "concept_1_remove"]
    assert order[4:] == ["concept_2_sign", "concept_2", "concept_2_strength", "concept_2_remove"]


def test_alt_a_lands_in_the_first_concept(mixing):
    mixing.focus_prompt()
    assert child(mixing, QLineEdit, "concept_1").hasFocus()


def test_no_more_rows_than_the_list_is_meant_for(qtbot):
    made = ConceptList()
    qtbot.addWidget(made)
    made.set_concepts([(f"thing {number}", 1.0) for number in range(8)])
    assert not made.add_button.isEnabled()
    made.add()
    assert len(made.concepts()) == 8
