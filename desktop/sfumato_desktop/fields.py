"""One editor per kind of control: it holds its value exactly, and says `edited` only if a person did that."""

from __future__ import annotations

from decimal import Decimal
from html import escape
from typing import cast

from PySide6.QtCore import QEvent, QObject, QSignalBlocker, Qt, Signal
from PySide6.QtWidgets import (
    QAbstractSlider,
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QHBoxLayout,
    QSlider,
    QWidget,
)

from sfumato.params import Control, Value
from sfumato_desktop.named import named
from sfumato_desktop.one_line import OneLine

NUMBER_WIDTH = 74
SHORT_UNIT = 2
"""A unit of at most this many characters stands in the number entry, a longer one under the label."""
_TICKS = 1000
_LONG_RANGE = 300
"""A range of more steps than this is spread quadratically, so that small values keep room on the slider."""


class WheelGuard(QObject):
    """Lets the wheel scroll the panel, and turn a control only after that control was focused."""

    def guard(self, *widgets: QWidget) -> None:
        for widget in widgets:
            widget.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
            widget.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Wheel and not cast("QWidget", watched).hasFocus():
            event.ignore()
            return True
        return False


class Field(QWidget):
    """The editor of one control's value."""

    edited = Signal()

    def __init__(self, control: Control) -> None:
        super().__init__()
        self.control = control
        self.setObjectName(f"{control.name}_field")
        self._row = QHBoxLayout(self)
        self._row.setContentsMargins(0, 0, 0, 0)
        self._row.setSpacing(6)

    def value(self) -> Value:
        raise NotImplementedError

    def set_value(self, value: Value) -> None:
        """Show a value without `edited`; one that does not fit becomes the nearest, or the default."""
        raise NotImplementedError

    def _adopt(self, widget: QWidget, suffix: str, note: str = "") -> None:
        """Name a widget for people, screen readers and tests, and put it into the row."""
        control = self.control
        unit = f" ({control.unit})" if control.unit else ""
        tip = f"<p><b>{escape(control.label)}</b>{escape(unit)}<br>{escape(control.help)}</p>"
        named(widget, f"{control.name}_{suffix}", f"{control.label}{note}", tip)
        widget.setAccessibleDescription(control.help)
        self._row.addWidget(widget, 0 if suffix == "number" else 1)


class NumberField(Field):
    """A slider and a number entry that always agree."""

    def __init__(self, control: Control) -> None:
        super().__init__(control)
        self._low, self._high = float(control.minimum or 0), float(control.maximum or 0)
        self._step = float(control.step or 1)
        self._long = (self._high - self._low) / self._step > _LONG_RANGE
        self._value: float = float(control.default)
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setRange(0, _TICKS)
        self.slider.setMinimumWidth(44)
        self.spin = QDoubleSpinBox()
        self.spin.setDecimals(_decimals(control))
        self.spin.setRange(self._low, self._high)
        self.spin.setSingleStep(self._step)
        self.spin.setKeyboardTracking(False)
        self.spin.setFixedWidth(NUMBER_WIDTH)
        if 0 < len(control.unit) <= SHORT_UNIT:
            self.spin.setSuffix(f" {control.unit}")
        self._adopt(self.slider, "slider", ", slider")
        self._adopt(self.spin, "number")
        self.setFocusProxy(self.spin)
        self._guard = WheelGuard(self)
        self._guard.guard(self.slider, self.spin)
        self.spin.valueChanged.connect(self._edit)
        self.slider.valueChanged.connect(lambda tick: self._edit(self._at(tick)))
        self.slider.actionTriggered.connect(self._nudge)
        self.slider.sliderReleased.connect(self._show)
        self._show()

    def value(self) -> Value:
        return round(self._value) if self.control.kind == "integer" else self._value

    def set_value(self, value: Value) -> None:
        try:
            self._value = min(max(float(value), self._low), self._high)
        except ValueError:
            self._value = float(self.control.default)
        self._show()

    def _edit(self, value: float) -> None:
        value = min(max(value, self._low), self._high)
        if self.control.kind == "integer":
            value = float(round(value))
        changed, self._value = value != self._value, value
        self._show()
        if changed:
            self.edited.emit()

    def _show(self) -> None:
        with QSignalBlocker(self.slider), QSignalBlocker(self.spin):
            self.spin.setValue(self._value)
            if not self.slider.isSliderDown():
                self.slider.setValue(self._tick(self._value))

    def _nudge(self, action: int) -> None:
        """Let the slider's keys move by the control's own step, whatever the slider's scale."""
        steps = {
            QAbstractSlider.SliderAction.SliderSingleStepAdd: 1,
            QAbstractSlider.SliderAction.SliderSingleStepSub: -1,
            QAbstractSlider.SliderAction.SliderPageStepAdd: 10,
            QAbstractSlider.SliderAction.SliderPageStepSub: -10,
        }.get(QAbstractSlider.SliderAction(action))
        if steps is not None:
            self._edit(round(self._value + steps * self._step, self.spin.decimals()))
            with QSignalBlocker(self.slider):
                self.slider.setSliderPosition(self._tick(self._value))

    def _tick(self, value: float) -> int:
        share = (value - self._low) / ((self._high - self._low) or 1)
        return round(_TICKS * (share**0.5 if self._long else share))

    def _at(self, tick: int) -> float:
        share = (tick / _TICKS) ** 2 if self._long else tick / _TICKS
        steps = round(share * (self._high - self._low) / self._step)
        return round(self._low + steps * self._step, self.spin.decimals())


class FlagField(Field):
    """A tick box."""

    def __init__(self, control: Control) -> None:
        super().__init__(control)
        self.box = QCheckBox()
        self._adopt(self.box, "flag")
        self.set_value(control.default)
        self.setFocusProxy(self.box)
        self.box.toggled.connect(self.edited)

    def value(self) -> Value:
        return self.box.isChecked()

    def set_value(self, value: Value) -> None:
        with QSignalBlocker(self.box):
            self.box.setChecked(bool(value))


class ChoiceField(Field):
    """A list to choose from."""

    def __init__(self, control: Control) -> None:
        super().__init__(control)
        self.combo = QComboBox()
        for choice in control.choices:
            self.combo.addItem(choice.replace("_", " "), choice)
        self.combo.setMinimumContentsLength(6)
        self._adopt(self.combo, "choice")
        self.set_value(control.default)
        self.setFocusProxy(self.combo)
        self._guard = WheelGuard(self)
        self._guard.guard(self.combo)
        self.combo.currentIndexChanged.connect(self.edited)

    def value(self) -> Value:
        return self.combo.currentData()

    def set_value(self, value: Value) -> None:
        choices = self.control.choices
        known = str(value) if str(value) in choices else str(self.control.default)
        with QSignalBlocker(self.combo):
            self.combo.setCurrentIndex(choices.index(known))


class TextField(Field):
    """A line of text."""

    def __init__(self, control: Control) -> None:
        super().__init__(control)
        self.line = OneLine()
        self._adopt(self.line, "text")
        self.set_value(control.default)
        self.setFocusProxy(self.line)
        self.line.textEdited.connect(self.edited)

    def value(self) -> Value:
        return self.line.text()

    def set_value(self, value: Value) -> None:
        self.line.show_text(str(value))


class SuggestionField(Field):
    """A line of text that also opens a list of what there is."""

    def __init__(self, control: Control) -> None:
        super().__init__(control)
        self.combo = QComboBox()
        self.combo.setEditable(True)
        self.combo.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        self.combo.setMinimumContentsLength(6)
        self.combo.addItems(control.choices)
        self.line = named(OneLine(), f"{control.name}_text", f"{control.label}, text", control.help)
        self.combo.setLineEdit(self.line)
        self._adopt(self.combo, "suggestions")
        self.set_value(control.default)
        self.setFocusProxy(self.combo)
        self._guard = WheelGuard(self)
        self._guard.guard(self.combo)
        self.line.textEdited.connect(self.edited)
        self.combo.activated.connect(lambda _: self.edited.emit())

    def value(self) -> Value:
        return self.line.text()

    def set_value(self, value: Value) -> None:
        with QSignalBlocker(self.combo):
            self.combo.setCurrentIndex(self.combo.findText(str(value)))
        self.line.show_text(str(value))


def make_field(control: Control) -> Field:
    """Return the editor for a control, showing its default."""
    if control.kind == "text" and control.choices:
        return SuggestionField(control)
    kinds: dict[str, type[Field]] = {
        "number": NumberField,
        "integer": NumberField,
        "flag": FlagField,
        "choice": ChoiceField,
        "text": TextField,
    }
    return kinds[control.kind](control)


def _decimals(control: Control) -> int:
    """As many decimals as the step and the default are written with."""
    if control.kind == "integer":
        return 0
    written = [Decimal(repr(float(number))).normalize() for number in (control.step or 1, control.default)]
    return min(6, max(0, *(-int(number.as_tuple().exponent) for number in written)))
