"""Generated forms hold exactly what they are given, and only people make them say `edited`."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QWheelEvent
from PySide6.QtWidgets import (
    QApplication,
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QLineEdit,
    QSlider,
    QToolButton,
)

from sfumato.params import Control
from sfumato_desktop.fields import NumberField, make_field
from sfumato_desktop.forms import Form

NUMBER = Control("share", "number", "Share", "How much.", 0.8, "share of steps", 0, 1, 0.05)
STEPS = Control("steps", "integer", "Steps", "How many.", 50, "", 1, 1000, 1)
CONTROLS = (
    NUMBER,
    Control("size", "integer", "Size", "How large.", 4, "px", 1, 64, 1),
    Control("exact", "flag", "Exact", "Whether to be exact.", False),
    Control("mode", "choice", "Mode", "Which way.", "auto", choices=("auto", "as_published")),
    Control("names", "text", "Names", "Which words.", "", advanced=True),
    Control("net", "text", "Net", "Which one.", "", choices=("edges", "areas"), suggests="networks"),
)
OTHERS = {
    "net": "a/folder",
    "share": 1 / 3,
    "size": 7,
    "exact": True,
    "mode": "as_published",
    "names": "dog, cat",
}


@pytest.fixture
def form(qtbot):
    made = Form(CONTROLS, "form")
    qtbot.addWidget(made)
    made.show()
    return made


@pytest.fixture
def said(form):
    heard = []
    form.edited.connect(lambda: heard.append(form.values()))
    return heard


def test_values_of_every_kind_come_back_exactly(form, said):
    form.set_values(OTHERS)
    assert form.values() == OTHERS
    assert {name: type(value) for name, value in form.values().items()} == {
        name: type(value) for name, value in OTHERS.items()
    }
    assert said == []


def test_defaults_are_left_out_unless_they_were_given(form):
    assert form.values() == {}
    form.set_values({"share": 0.8})
    assert form.values() == {"share": 0.8}


def test_values_that_no_control_can_hold(form):
    form.set_values({"share": 7.0, "mode": "sideways", "unknown": 1, "size": "many"})
    assert form.field("share").value() == 1
    assert form.field("mode").value() == "auto"
    assert form.field("size").value() == 4
    assert "unknown" not in form.values()


@pytest.mark.parametrize(
    ("kind", "name", "act", "value"),
    [
        (QDoubleSpinBox, "share_number", lambda w: w.setValue(0.25), 0.25),
        (QSlider, "share_slider", lambda w: w.setValue(500), 0.5),
        (QDoubleSpinBox, "size_number", lambda w: w.setValue(9), 9),
        (QCheckBox, "exact_flag", lambda w: w.click(), True),
        (QComboBox, "mode_choice", lambda w: w.setCurrentIndex(1), "as_published"),
    ],
)
def test_a_person_changes_a_value(form, said, kind, name, act, value):
    act(form.findChild(kind, name))
    assert form.values()[name.split("_")[0]] == value
    assert len(said) == 1


def test_a_suggestion_is_taken_or_something_else_is_typed(form, said, qtbot):
    field = form.field("net")
    field.combo.setCurrentIndex(1)
    field.combo.activated.emit(1)
    assert said[-1]["net"] == "areas"
    field.line.selectAll()
    qtbot.keyClicks(field.line, "mine")
    assert said[-1]["net"] == "mine"
    assert field.combo.count() == 2
    form.set_values({})
    assert field.value() == ""


def test_typing_a_text(form, said, qtbot):
    form.fold.button.click()
    qtbot.keyClicks(form.findChild(QLineEdit, "names_text"), "ab")
    assert form.values() == {"names": "ab"}
    assert len(said) == 2


def test_slider_and_number_agree(form):
    slider = form.findChild(QSlider, "share_slider")
    number = form.findChild(QDoubleSpinBox, "share_number")
    slider.setValue(250)
    assert number.value() == 0.25
    number.setValue(0.7)
    assert slider.value() == 700
    form.set_values({"share": 0.1})
    assert (slider.value(), number.value()) == (100, 0.1)


@pytest.mark.parametrize("control", [NUMBER, STEPS], ids=["short range", "long range"])
def test_arrow_keys_move_a_slider_by_the_controls_own_step(qtbot, control):
    field = make_field(control)
    assert isinstance(field, NumberField)
    qtbot.addWidget(field)
    field.show()
    before = float(field.value())
    qtbot.keyClick(field.slider, Qt.Key.Key_Right)
    assert field.value() == pytest.approx(before + control.step)
    qtbot.keyClick(field.slider, Qt.Key.Key_Left)
    assert field.value() == pytest.approx(before)
    qtbot.keyClick(field.slider, Qt.Key.Key_PageDown)
    assert field.value() == pytest.approx(max(before - 10 * control.step, control.minimum))


def test_every_value_of_a_long_range_keeps_its_place_on_the_slider(qtbot):
    field = NumberField(STEPS)
    qtbot.addWidget(field)
    places = []
    for value in (1, 10, 50, 150, 1000):
        field.set_value(value)
        places.append(field.slider.value())
        assert field.value() == value
    assert places == sorted(set(places))
    assert places[2] > 200, "50 of 1000 steps must not stick to the left end"


@settings(max_examples=60, deadline=None)
@given(
    control=st.sampled_from([NUMBER, STEPS]),
    moves=st.lists(st.tuples(st.sampled_from(["slide", "enter", "step"]), st.floats(0, 1)), max_size=8),
)
def test_slider_and_number_agree_whatever_is_done(qapp, control, moves):
    field = NumberField(control)
    for way, share in moves:
        if way == "slide":
            field.slider.setValue(round(share * 1000))
        elif way == "enter":
            field.spin.setValue(control.minimum + share * (control.maximum - control.minimum))
        else:
            field.slider.triggerAction(QSlider.SliderAction.SliderSingleStepAdd)
        assert field.value() == pytest.approx(field.spin.value(), abs=10 ** -field.spin.decimals())
        told = field.slider.value()
        field.set_value(field.value())
        assert field.slider.value() == told
        assert control.minimum <= field.value() <= control.maximum


def test_reset_shows_only_beside_a_changed_value_and_brings_the_default_back(form, said):
    reset = form.findChild(QToolButton, "share_reset")
    assert not reset.isVisible()
    form.set_values({"share": 0.5})
    assert reset.isVisible()
    reset.click()
    assert form.values() == {}
    assert not reset.isVisible()
    assert len(said) == 1


def test_advanced_controls_are_folded(form):
    line = form.findChild(QLineEdit, "names_text")
    assert not line.isVisible()
    form.fold.button.click()
    assert line.isVisible()


@pytest.mark.parametrize("focused", [False, True])
def test_the_wheel_turns_only_what_has_the_focus(form, qtbot, focused):
    number = form.findChild(QDoubleSpinBox, "share_number")
    with qtbot.waitActive(form):
        form.activateWindow()
    (number if focused else form.findChild(QCheckBox)).setFocus()
    here = QPointF(number.rect().center())
    wheel = QWheelEvent(
        here,
        number.mapToGlobal(here),
        QPoint(),
        QPoint(0, 120),
        Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QApplication.sendEvent(number, wheel)
    assert (form.values() != {}) is focused


def test_everything_is_named_for_screen_readers_and_tests(form):
    for kind in (QSlider, QDoubleSpinBox, QCheckBox, QComboBox, QLineEdit, QToolButton):
        for widget in form.findChildren(kind):
            if widget.objectName().startswith("qt_"):
                continue
            assert widget.objectName(), widget
            assert widget.accessibleName(), widget.objectName()
            assert widget.toolTip(), widget.objectName()
