"""What to add to a picture and what to take away: one row per concept, with its sign and its strength."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import copysign

from PySide6.QtCore import QSignalBlocker, Qt, Signal
from PySide6.QtWidgets import QDoubleSpinBox, QHBoxLayout, QLabel, QToolButton, QVBoxLayout, QWidget

from sfumato_desktop.fields import WheelGuard
from sfumato_desktop.glyphs import GlyphButton
from sfumato_desktop.named import named, push_button
from sfumato_desktop.one_line import OneLine
from sfumato_desktop.second_line import set_muted

Concept = tuple[str, float]
USUAL = 1.0
"""Strength of a new concept: the guidance of the recipe multiplies it."""
_STRONGEST = 50.0
_STEP = 0.1
_MOST = 8
_SIGN_WIDTH, _NUMBER_WIDTH = 28, 62


class ConceptList(QWidget):
    """A list of signed concepts. Without any it offers one empty row, which counts only once it is named."""

    edited = Signal()
    reshaped = Signal()
    """Rows came or went: the order of the Tab key has to follow."""

    def __init__(self) -> None:
        super().__init__()
        named(self, "concepts", "Add or take away", "What to add to the picture, and what to take away")
        self._rows: list[_Row] = []
        self._column = QVBoxLayout()
        self._column.setSpacing(4)
        self.add_button = push_button("Add another", "concept_add", "One more thing to change (Enter)")
        self._check = named(QLabel(), "concept_check", "What is wrong with the list", "")
        self._check.setToolTip("")
        self._check.setWordWrap(True)
        set_muted(self._check)
        foot = QHBoxLayout()
        foot.addWidget(self.add_button)
        foot.addStretch(1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addLayout(self._column)
        column.addWidget(self._check)
        column.addLayout(foot)
        self.add_button.clicked.connect(self.add)
        self.set_concepts(())

    def concepts(self) -> tuple[Concept, ...]:
        """The rows as they stand; a lone empty one is none."""
        made = tuple(row.concept() for row in self._rows)
        return () if len(made) == 1 and not made[0][0].strip() else made

    def set_concepts(self, concepts: Sequence[Concept]) -> None:
        """Show these, without `edited`; rows that are there already keep the cursor."""
        if tuple(concepts) == self.concepts() and self._rows:
            return
        wanted = list(concepts) or [("", USUAL)]
        for row, concept in zip(self._rows, wanted, strict=False):
            row.show_concept(concept)
        while len(self._rows) > len(wanted):
            self._drop(self._rows[-1])
        for concept in wanted[len(self._rows) :]:
            self._append(concept)
        self._follow()

    def first(self) -> QWidget:
        """Where to start typing."""
        return self._rows[0].text

    def add(self) -> None:
        """One more row, with the cursor in it."""
        if len(self._rows) < _MOST and self._rows[-1].concept()[0].strip():
            self._append(("", USUAL))
            self._follow()
            self.edited.emit()
        self._rows[-1].text.setFocus(Qt.FocusReason.OtherFocusReason)

    def problem(self) -> str:
        """One sentence about the rows, or nothing if they are well."""
        named_ones = [" ".join(name.lower().split()) for name, _ in self.concepts()]
        twice = [name for name, count in Counter(filter(None, named_ones)).items() if count > 1]
        idle = [name for name, strength in self.concepts() if name.strip() and not strength]
        if "" in named_ones:
            return "A row without a name counts for nothing."
        if twice:
            return f"“{twice[0]}” is there twice: both rows count."
        return f"“{idle[0]}” has no strength and counts for nothing." if idle else ""

    def _append(self, concept: Concept) -> None:
        row = _Row()
        row.show_concept(concept)
        row.edited.connect(self._edited)
        row.more.connect(self.add)
        row.removed.connect(lambda: self._remove(row))
        self._rows.append(row)
        self._column.addWidget(row)

    def _remove(self, row: _Row) -> None:
        at = self._rows.index(row)
        if len(self._rows) == 1:
            row.show_concept(("", USUAL))
        else:
            self._drop(row)
        self._rows[min(at, len(self._rows) - 1)].text.setFocus(Qt.FocusReason.OtherFocusReason)
        self._edited()

    def _drop(self, row: _Row) -> None:
        self._rows.remove(row)
        self._column.removeWidget(row)
        row.hide()
        row.deleteLater()

    def _edited(self) -> None:
        self._follow()
        self.edited.emit()

    def _follow(self) -> None:
        for number, row in enumerate(self._rows):
            row.number(number + 1)
        self.add_button.setEnabled(len(self._rows) < _MOST)
        problem = self.problem()
        self._check.setText(problem)
        self._check.setVisible(bool(problem))
        self.reshaped.emit()


class _Strength(QDoubleSpinBox):
    """A number without idle zeros."""

    def textFromValue(self, val: float) -> str:
        return self.locale().toString(val, "g", 6)


class _Row(QWidget):
    """More or less of one thing."""

    edited = Signal()
    removed = Signal()
    more = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._strength, self._number = USUAL, 1
        self.sign = QToolButton()
        self.sign.setProperty("framed", True)
        self.sign.setFixedWidth(_SIGN_WIDTH)
        self.sign.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.text = OneLine(200)
        self.text.setPlaceholderText("smile, snow, glasses…")
        self.strength = _Strength()
        self.strength.setRange(0, _STRONGEST)
        self.strength.setSingleStep(_STEP)
        self.strength.setKeyboardTracking(False)
        self.strength.setFixedWidth(_NUMBER_WIDTH)
        self.remove = GlyphButton("close", "", "", "", side=14)
        self.remove.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(4)
        row.addWidget(self.sign)
        row.addWidget(self.text, 1)
        row.addWidget(self.strength)
        row.addWidget(self.remove)
        self._guard = WheelGuard(self)
        self._guard.guard(self.strength)
        self.sign.clicked.connect(lambda: self._weigh(-self._strength))
        self.strength.valueChanged.connect(lambda size: self._weigh(copysign(size, self._strength)))
        self.text.textEdited.connect(self.edited)
        self.text.returnPressed.connect(self.more)
        self.text.turned.connect(lambda by: self.strength.setValue(abs(self._strength) + by * _STEP))
        self.remove.clicked.connect(self.removed)

    def concept(self) -> Concept:
        return self.text.text(), self._strength

    def show_concept(self, concept: Concept) -> None:
        name, self._strength = concept
        self.text.show_text(name)
        self._show()

    def number(self, number: int) -> None:
        """Name the parts after the row's place, for people who cannot see it."""
        named(self.text, f"concept_{number}", f"Concept {number}", "What to change, in a word or a few")
        tip = "How strongly; Ctrl+Up and Ctrl+Down change it while typing"
        named(self.strength, f"concept_{number}_strength", f"Strength of concept {number}", tip)
        named(self.remove, f"concept_{number}_remove", f"Remove concept {number}", "Remove this row")
        self._number = number
        self._show()

    def _weigh(self, strength: float) -> None:
        self._strength = strength
        self._show()
        self.edited.emit()

    def _show(self) -> None:
        adds = copysign(1, self._strength) > 0
        self.sign.setText("+" if adds else "−")
        does = "Add" if adds else "Take away"
        named(
            self.sign,
            f"concept_{self._number}_sign",
            f"{does} concept {self._number}",
            f"{does}; press to swap",
        )
        with QSignalBlocker(self.strength):
            self.strength.setValue(abs(self._strength))
