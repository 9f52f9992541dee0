"""Prompt-to-Prompt's panel: how much each word of the target prompt counts."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from PySide6.QtCore import QObject, QSignalBlocker, Qt, Signal
from PySide6.QtGui import QWheelEvent
from PySide6.QtWidgets import (
    QDoubleSpinBox,
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QSlider,
    QToolButton,
    QVBoxLayout,
    QWidget,
)
from typing_extensions import override

from sfumato.hookspecs import PanelBridge, hookimpl
from sfumato.prompts import Change, compare, words

HEAVIEST = 3.0
_TICK = 0.05
_LABEL_WIDTH, _RESET_WIDTH, _NUMBER_WIDTH = 100, 20, 74
_SIGNS: dict[Change, str] = {"kept": "", "replaced": "~", "added": "+", "removed": "-"}
_SAID: dict[Change, str] = {
    "kept": "kept",
    "replaced": "in place of another word",
    "added": "added",
    "removed": "removed",
}


@hookimpl
def custom_panel(method: str, bridge: PanelBridge, parent: QWidget) -> QWidget | None:
    """The weights of the words, for the method that weighs them."""
    return WordWeights(bridge, parent) if method == "p2p" else None


class WordWeights(QFrame):
    """One row per word of the target prompt."""

    def __init__(self, bridge: PanelBridge, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("word_weights")
        self.setAccessibleName("Word weights")
        self.setToolTip("How much each word counts: 0 ignores it, 1 leaves it alone, 3 is strongest")
        self._bridge = bridge
        self._rows: list[_Row] = []
        self._fold = _small_button("Word weights", "weights_fold", "Show or hide the weights of the words")
        self._fold.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self._fold.setStyleSheet("QToolButton { padding: 3px 6px 3px 0 }")
        self._fold.clicked.connect(lambda: self._open(self._body.isHidden()))
        self._reset_all = _small_button("Reset all", "weights_reset_all", "Set every word back to 1")
        self._reset_all.clicked.connect(lambda: bridge.set_word_weights({}))
        self._empty = QLabel("Every word of the target prompt gets a weight here.")
        self._empty.setWordWrap(True)
        self._body = QWidget()
        self._lay_out()
        self._open(True)
        bridge.on_change(self.follow)
        self.follow()

    def _lay_out(self) -> None:
        self._grid = QGridLayout(self._body)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setHorizontalSpacing(6)
        self._grid.setVerticalSpacing(2)
        self._grid.setColumnStretch(2, 1)
        self._grid.addWidget(self._empty, 0, 0, 1, 4)
        head = QHBoxLayout()
        head.addWidget(self._fold)
        head.addStretch(1)
        head.addWidget(self._reset_all)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(2)
        column.addLayout(head)
        column.addWidget(self._body)

    def follow(self) -> None:
        """Show the words and weights there are now. Rows are reused, so that typing stays quick."""
        now = tuple(_marked_words(self._bridge.source(), self._bridge.target()))
        if len(now) != len(self._rows):
            self._grow_to(len(now))
        weights = self._bridge.word_weights()
        for row, (word, change) in zip(self._rows, now, strict=True):
            row.show_word(word, change)
            row.show_weight(weights.get(word.lower(), 1.0))
        self._reset_all.setEnabled(bool(weights))

    def _grow_to(self, count: int) -> None:
        while len(self._rows) > count:
            self._rows.pop().remove()
        while len(self._rows) < count:
            row = _Row(self)
            row.weighed.connect(self._weigh)
            self._rows.append(row)
            row.add_to(self._grid, len(self._rows))
        stops = [self._fold, self._reset_all, *(stop for row in self._rows for stop in row.stops())]
        for one, next_one in pairwise(stops):
            QWidget.setTabOrder(one, next_one)
        self._empty.setVisible(not count)

    def _open(self, is_open: bool) -> None:
        """Show or hide the rows."""
        self._fold.setArrowType(Qt.ArrowType.DownArrow if is_open else Qt.ArrowType.RightArrow)
        self._body.setVisible(is_open)

    def _weigh(self, word: str, weight: float) -> None:
        self._bridge.set_word_weights({**self._bridge.word_weights(), word: weight})


class _Row(QObject):
    """The widgets of one word; they live in the panel's grid, so that all rows align."""

    weighed = Signal(str, float)

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._shown: tuple[str, Change] | None = None
        self._label = QLabel()
        self._label.setFixedWidth(_LABEL_WIDTH)
        self._slider = _Slider(Qt.Orientation.Horizontal)
        self._slider.setRange(0, round(HEAVIEST / _TICK))
        self._slider.setPageStep(round(0.5 / _TICK))
        self._slider.setMinimumWidth(44)
        self._number = _Number()
        self._number.setRange(0, HEAVIEST)
        self._number.setSingleStep(_TICK)
        self._number.setKeyboardTracking(False)
        self._number.setPrefix("×")
        self._number.setFixedWidth(_NUMBER_WIDTH)
        self._reset = _small_button("↺", "", "")
        self._reset.setFixedSize(_RESET_WIDTH, _RESET_WIDTH)
        self._reset.setStyleSheet("QToolButton { padding: 0 }")
        self._slider.valueChanged.connect(lambda tick: self._weigh(round(tick * _TICK, 2)))
        self._number.valueChanged.connect(self._weigh)
        self._reset.clicked.connect(lambda: self._weigh(1.0))

    def show_word(self, word: str, change: Change) -> None:
        """Be the row of this word."""
        if self._shown == (word, change):
            return
        self._shown = (word, change)
        self._label.setText(f"{_SIGNS[change]} {word}".strip())
        self._label.setToolTip(f"“{word}” is {_SAID[change]}")
        font = self._label.font()
        font.setBold(change != "kept")
        self._label.setFont(font)
        tip = f"How much “{word}” counts ({_SAID[change]})"
        _name(self._slider, f"weight_{word.lower()}_slider", f"Weight of {word}, slider", tip)
        _name(self._number, f"weight_{word.lower()}_number", f"Weight of {word}", tip)
        back = f"Set “{word}” back to 1"
        _name(self._reset, f"weight_{word.lower()}_reset", back, back)

    def add_to(self, grid: QGridLayout, row: int) -> None:
        for column, part in enumerate(self._parts()):
            grid.addWidget(part, row, column)

    def remove(self) -> None:
        """Go, widgets and all."""
        for part in self._parts():
            part.setParent(None)
            part.deleteLater()
        self.deleteLater()

    def stops(self) -> tuple[QWidget, ...]:
        """What takes the focus, in order."""
        return self._parts()[1:]

    def show_weight(self, weight: float) -> None:
        with QSignalBlocker(self._slider), QSignalBlocker(self._number):
            self._slider.setValue(round(weight / _TICK))
            self._number.setValue(weight)
        if weight == 1 and self._reset.hasFocus():
            self._number.setFocus()  # the button is about to vanish, and focus with it
        self._reset.setVisible(weight != 1)

    def _parts(self) -> tuple[QWidget, ...]:
        return (self._label, self._reset, self._slider, self._number)

    def _weigh(self, weight: float) -> None:
        if self._shown is not None:
            self.weighed.emit(self._shown[0].lower(), weight)


class _Slider(QSlider):
    """The wheel scrolls the panel until the slider has the focus."""

    @override
    def wheelEvent(self, event: QWheelEvent) -> None:
        super().wheelEvent(event) if self.hasFocus() else event.ignore()


class _Number(QDoubleSpinBox):
    """The wheel scrolls the panel until the entry has the focus."""

    @override
    def wheelEvent(self, event: QWheelEvent) -> None:
        super().wheelEvent(event) if self.hasFocus() else event.ignore()


def _small_button(text: str, name: str, tip: str) -> QToolButton:
    button = QToolButton()
    button.setText(text)
    button.setAutoRaise(True)
    _name(button, name, tip, tip)
    policy = button.sizePolicy()
    policy.setRetainSizeWhenHidden(True)
    button.setSizePolicy(policy)
    return button


def _name(widget: QWidget, name: str, accessible: str, tip: str) -> None:
    widget.setObjectName(name)
    widget.setAccessibleName(accessible)
    widget.setToolTip(tip)


def _marked_words(source: str, target: str) -> Iterator[tuple[str, Change]]:
    """Every different word of the target, in order, and whether the edit brought it."""
    after, told = words(target), set[str]()
    for piece in compare(source, target):
        for word in after[slice(*piece.target)]:
            if word.text.lower() not in told:
                told.add(word.text.lower())
                yield word.text, piece.change
