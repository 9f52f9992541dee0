"""A form made from a list of controls: label, editor and reset per row, and a fold for the advanced ones."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QPalette
from PySide6.QtWidgets import QGridLayout, QLabel, QVBoxLayout, QWidget

from sfumato.params import Control, Value
from sfumato_desktop.fields import SHORT_UNIT, Field, make_field
from sfumato_desktop.glyphs import GlyphButton
from sfumato_desktop.second_line import set_muted

LABEL_WIDTH = 100
RESET_WIDTH = 20
_FLAT = """
QToolButton { padding: 3px 6px 3px 0 }
QToolButton:checked { background: transparent; color: palette(button-text) }
"""
"""An open fold is not a pressed button, and its title stands in line with the labels."""


class Fold(QWidget):
    """A heading that opens and closes what is below it."""

    def __init__(self, title: str, name: str) -> None:
        super().__init__()
        tip = f"Show or hide: {title.lower()}"
        self.button = GlyphButton("chevron-right", f"{name}_fold", title, tip, side=12)
        self.button.setText(title)
        self.button.setCheckable(True)
        self.button.setStyleSheet(_FLAT)
        self.button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.body = QWidget()
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addWidget(self.button)
        column.addWidget(self.body)
        self.button.toggled.connect(self._turn)
        self._turn(False)

    def _turn(self, is_open: bool) -> None:
        self.button.set_glyph("chevron-down" if is_open else "chevron-right")
        self.body.setVisible(is_open)


class Form(QWidget):
    """The generated form of a list of controls."""

    edited = Signal()

    def __init__(self, controls: Iterable[Control], name: str) -> None:
        super().__init__()
        self.setObjectName(name)
        self._fields: dict[str, Field] = {}
        self._dots: dict[str, GlyphButton] = {}
        self._given: set[str] = set()
        self._usual: dict[str, Value] = {}
        controls = tuple(controls)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        plain, advanced = ([c for c in controls if c.advanced is folded] for folded in (False, True))
        if plain:
            column.addLayout(self._rows(plain))
        self.fold = Fold("Advanced", name)
        column.addWidget(self.fold)
        self.fold.setVisible(bool(advanced))
        self.fold.body.setLayout(self._rows(advanced))

    def values(self) -> dict[str, Value]:
        """The values that differ from the defaults, and those that were given by `set_values`."""
        return {
            name: field.value()
            for name, field in self._fields.items()
            if name in self._given or field.value() != field.control.default
        }

    def set_values(self, values: Mapping[str, Value]) -> None:
        """Show these values, and the default of every control not among them; emits nothing."""
        self._given = set(values) & set(self._fields)
        for name, field in self._fields.items():
            value = values.get(name, field.control.default)
            if field.value() != value:
                field.set_value(value)
            self._mark(name)

    def set_usual(self, values: Mapping[str, Value]) -> None:
        """Have reset go to these values, for what is usual here is not the default; changes no value."""
        usual = {name: value for name, value in values.items() if name in self._fields}
        if usual == self._usual:  # told with every key that is typed
            return
        self._usual = usual
        for name in self._fields:
            self._mark(name)

    def names(self) -> tuple[str, ...]:
        return tuple(self._fields)

    def field(self, name: str) -> Field:
        """The editor of one control; raises `KeyError` if there is none of that name."""
        return self._fields[name]

    def edit(self, name: str, value: Value) -> None:
        """Set one value as if the person had; emits `edited` if it changed."""
        field = self.field(name)
        before = field.value()
        field.set_value(value)
        if field.value() != before:
            self._edited(name)

    def _rows(self, controls: list[Control]) -> QGridLayout:
        grid = QGridLayout()
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(6)
        grid.setVerticalSpacing(4)
        grid.setColumnMinimumWidth(0, LABEL_WIDTH)
        grid.setColumnStretch(2, 1)
        for row, control in enumerate(controls):
            self._add_row(grid, row, control)
        return grid

    def _add_row(self, grid: QGridLayout, row: int, control: Control) -> None:
        field = make_field(control)
        dot = GlyphButton("reset", f"{control.name}_reset", f"Reset {control.label}", "", side=12)
        dot.set_role(QPalette.ColorRole.Link)
        dot.setFixedSize(RESET_WIDTH, RESET_WIDTH)
        dot.setStyleSheet("QToolButton { padding: 0 }")
        policy = dot.sizePolicy()
        policy.setRetainSizeWhenHidden(True)
        dot.setSizePolicy(policy)
        dot.hide()
        for column, part in enumerate((_label(control, field), dot, field)):
            grid.addWidget(part, row, column)
        self._fields[control.name], self._dots[control.name] = field, dot
        field.edited.connect(lambda name=control.name: self._edited(name))
        dot.clicked.connect(lambda _=False, name=control.name: self._reset(name))

    def _reset(self, name: str) -> None:
        field = self._fields[name]
        self._given.discard(name)
        field.setFocus()  # the dot is about to vanish, and focus with it
        field.set_value(self._usual_of(field.control))
        self._edited(name)

    def _edited(self, name: str) -> None:
        self._mark(name)
        self.edited.emit()

    def _mark(self, name: str) -> None:
        field, dot = self._fields[name], self._dots[name]
        usual = self._usual_of(field.control)
        whose = "what suits the model" if name in self._usual else "the default"
        dot.setToolTip(f"Back to {whose}: {_words(usual)}")
        dot.setVisible(field.value() != usual)

    def _usual_of(self, control: Control) -> Value:
        return self._usual.get(control.name, control.default)


def _label(control: Control, field: Field) -> QWidget:
    """The label, and a longer unit muted on a line of its own."""
    name = QLabel(control.label)
    name.setBuddy(field)
    lines = [name]
    if len(control.unit) > SHORT_UNIT:
        unit = QLabel(control.unit)
        set_muted(unit)
        lines.append(unit)
    cell = QWidget()
    cell.setFixedWidth(LABEL_WIDTH)
    column = QVBoxLayout(cell)
    column.setContentsMargins(0, 0, 0, 0)
    column.setSpacing(0)
    for line in lines:
        line.setWordWrap(True)
        line.setToolTip(control.help)
        column.addWidget(line)
    return cell


def _words(value: Value) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"{value:g}" if isinstance(value, float) else str(value) or "empty"
