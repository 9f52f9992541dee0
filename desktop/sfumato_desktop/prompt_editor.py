"""The prompts: what the picture shows, what it should show, and the words between them that change."""

from __future__ import annotations

from collections.abc import Mapping

from PySide6.QtCore import QEvent, QPoint, Signal
from PySide6.QtGui import QTextCharFormat
from PySide6.QtWidgets import QLabel, QToolTip, QVBoxLayout, QWidget

from sfumato.method import MethodInfo, Need
from sfumato.prompts import Change, Piece, Word, compare, words
from sfumato_desktop.change_marks import LEGEND, mark, spell_out
from sfumato_desktop.concept_list import ConceptList
from sfumato_desktop.named import named
from sfumato_desktop.prompt_field import PromptField
from sfumato_desktop.second_line import set_muted

HEAVIEST = 3.0
_WEIGHT_STEP = 0.1
_NOTHING = "Say what the photo shows. A few words are enough."


class PromptEditor(QWidget):
    """Source and target with the changed words marked, one instruction, or concepts, as the method wants."""

    edited = Signal()
    heat_wanted = Signal(str)
    """The person wants to see where a word looks."""
    mask_wanted = Signal(str)
    """The person wants a mask of what a word looks at."""
    reshaped = Signal()
    """Parts came or went: the order of the Tab key has to follow."""

    def __init__(self) -> None:
        super().__init__()
        self._weights: dict[str, float] = {}
        self._compares = True
        self.source = PromptField("source_prompt", "The photo shows", f"What is in the photo now{LEGEND}")
        self.source.setPlaceholderText(_NOTHING)
        tip = f"What it should show instead. Ctrl+Up and Ctrl+Down weigh the word under the cursor.{LEGEND}"
        self.target = PromptField("target_prompt", "It should show", tip)
        self.target.setPlaceholderText("The same words, with the change.")
        self.instruction = PromptField("instruction", "Instruction", "What to do with the photo, as an order")
        self.instruction.setPlaceholderText("Say what to do: make it snow.")
        self.concepts = ConceptList()
        self.weights_line = named(
            QLabel(), "weights_line", "Word weights", "Words with a weight of their own"
        )
        self.weights_line.setWordWrap(True)
        set_muted(self.weights_line)
        parts = (self.source, self.target, self.instruction, self.concepts)
        self._titles = {part: self._title(part) for part in parts}
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(3)
        for part, title in self._titles.items():
            title.setContentsMargins(0, 4, 0, 0)
            column.addWidget(title)
            column.addWidget(part)
            part.edited.connect(self._refresh)
            part.edited.connect(self.edited)
        self._last: PromptField | None = None
        for field in (self.source, self.target):
            field.offers_looks = True
            field.heat_wanted.connect(self.heat_wanted)
            field.mask_wanted.connect(self.mask_wanted)
            field.cursorPositionChanged.connect(lambda at=field: self._touched(at))
        self.concepts.reshaped.connect(self.reshaped)
        column.addWidget(self.weights_line)
        self.target.weigh.connect(self._weigh)
        self.show_for(None)
        self._refresh()

    def show_for(self, editor: MethodInfo | None, inverter: MethodInfo | None = None) -> None:
        """Show what the methods work with: an instruction, concepts or prompts; say what may stay empty."""
        needs = editor.needs if editor is not None else frozenset({Need.IMAGE})
        needed = needs | (inverter.needs if inverter is not None else frozenset())
        orders, concepts = Need.INSTRUCTION in needs, Need.CONCEPTS in needs
        wanted = {
            self.source: Need.SOURCE_PROMPT in needed or (Need.IMAGE in needs and not orders),
            self.target: Need.TARGET_PROMPT in needs or not (orders or concepts),
            self.instruction: orders,
            self.concepts: concepts,
        }
        for part, shown in wanted.items():
            part.setVisible(shown)
            self._titles[part].setVisible(shown)
        optional = editor is not None and Need.SOURCE_PROMPT not in needed
        title = self.source.accessibleName()
        self._titles[self.source].setText(f"{title}  ·  may stay empty" if optional else title)
        self._compares = wanted[self.source] and wanted[self.target]
        self._refresh()

    def first(self) -> QWidget:
        """Where the change is said."""
        if self.concepts.isVisibleTo(self):
            return self.concepts.first()
        fields = (self.instruction, self.target, self.source)
        return next(field for field in fields if field.isVisibleTo(self))

    def word_at_cursor(self) -> str:
        """The word under the cursor of the prompt that was touched last; empty if there is none."""
        touched = self._last is not None and self._last.isVisibleTo(self)
        word = self._last.word_under_cursor() if self._last is not None and touched else None
        return word.text if word is not None else ""

    def word_weights(self) -> dict[str, float]:
        """Weights other than 1 of words that the target prompt has, by the word in small letters."""
        there = {word.text.lower() for word in words(self.target.text())}
        return {word: weight for word, weight in self._weights.items() if word in there and weight != 1}

    def set_word_weights(self, weights: Mapping[str, float]) -> None:
        """Replace all weights, without `edited`."""
        self._weights = {word.lower(): weight for word, weight in weights.items()}
        self._refresh()

    def pieces(self) -> tuple[Piece, ...]:
        """How the two prompts align."""
        return compare(self.source.text(), self.target.text())

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange:
            self._refresh()

    def _title(self, part: QWidget) -> QLabel:
        title = QLabel(part.accessibleName())
        title.setBuddy(part)
        title.setToolTip(part.toolTip())
        return title

    def _touched(self, field: PromptField) -> None:
        if field.hasFocus():
            self._last = field

    def _weigh(self, word: Word, direction: int) -> None:
        name = word.text.lower()
        weight = round(self._weights.get(name, 1.0) + direction * _WEIGHT_STEP, 2)
        self._weights[name] = min(max(weight, 0.0), HEAVIEST)
        self._refresh()
        below = self.target.cursorRect().bottomLeft() + QPoint(0, 4)
        QToolTip.showText(
            self.target.mapToGlobal(below), _weighed(word.text, self._weights[name]), self.target
        )
        self.edited.emit()

    def _refresh(self) -> None:
        before, after = words(self.source.text()), words(self.target.text())
        pieces = self.pieces() if before and after and self._compares else ()
        self.source.show_marks(self._marks(pieces, before, "source"))
        self.target.show_marks(self._marks(pieces, after, "target"))
        self.target.setAccessibleDescription(spell_out(pieces, before, after) if pieces else "")
        weights = self.word_weights()
        self.weights_line.setText("Weights: " + ", ".join(_weighed(*item) for item in weights.items()))
        self.weights_line.setVisible(bool(weights) and self.target.isVisibleTo(self))

    def _marks(
        self, pieces: tuple[Piece, ...], there: tuple[Word, ...], side: str
    ) -> list[tuple[Word, QTextCharFormat]]:
        looks: dict[Change, QTextCharFormat] = {p.change: mark(p.change, self.palette()) for p in pieces}
        return [
            (word, looks[piece.change])
            for piece in pieces
            if piece.change != "kept"
            for word in there[slice(*getattr(piece, side))]
        ]


def _weighed(word: str, weight: float) -> str:
    return f"{word} ×{weight:.4g}"
