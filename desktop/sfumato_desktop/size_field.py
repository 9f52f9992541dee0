"""Width and height of a new picture: shapes to choose from, and numbers a model can draw."""

from __future__ import annotations

from math import sqrt

from PySide6.QtCore import QSignalBlocker, Signal
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QLabel, QSpinBox, QVBoxLayout, QWidget

from sfumato.events import ModelInfo
from sfumato.order import LONGEST_SIDE
from sfumato_desktop.fields import WheelGuard
from sfumato_desktop.forms import LABEL_WIDTH, RESET_WIDTH
from sfumato_desktop.named import named
from sfumato_desktop.second_line import set_muted

Size = tuple[int, int]
_SHAPES = {"Square": 1.0, "Landscape 4:3": 4 / 3, "Landscape 3:2": 3 / 2, "Wide 16:9": 16 / 9}
_SHAPES |= {"Portrait 3:4": 3 / 4, "Portrait 2:3": 2 / 3, "Tall 9:16": 9 / 16}
_OWN = "Own size"
_NUMBER_WIDTH = 74
_TOO_MUCH = 1.5
"""Times the model's own side from which pictures start to repeat themselves."""


class SizeField(QWidget):
    """A size that fits the model's multiples."""

    edited = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._native, self._multiple = 512, 8
        self._asked: Size | None = None
        self.shape = named(
            QComboBox(), "words_shape", "Shape", "Shapes with as many pixels as the model was made for"
        )
        self.shape.addItems([*_SHAPES, _OWN])
        self.width_box = named(QSpinBox(), "words_width", "Width in pixels", "")
        self.height_box = named(QSpinBox(), "words_height", "Height in pixels", "")
        self._hint = named(QLabel(), "words_size_hint", "About this size", "")
        self._hint.setToolTip("")
        self._hint.setWordWrap(True)
        set_muted(self._hint)
        self._guard = WheelGuard(self)
        self._guard.guard(self.shape, self.width_box, self.height_box)
        self._lay_out()
        self.shape.activated.connect(self._take_shape)
        for box in (self.width_box, self.height_box):
            box.setKeyboardTracking(False)
            box.setFixedWidth(_NUMBER_WIDTH)
            box.valueChanged.connect(self._typed)
        self._show(self._fitting(1.0))

    def value(self) -> Size:
        """(width, height), both multiples of what the model wants."""
        return self.width_box.value(), self.height_box.value()

    def set_value(self, size: Size | None) -> None:
        """Show a size, without `edited`; None is the model's own square."""
        self._asked = size
        self._show(size or self._fitting(1.0))

    def follow(self, model: ModelInfo) -> None:
        """Keep to what a model can draw."""
        self._native, self._multiple = model.size, model.multiple
        self._show(self._asked or self._fitting(_SHAPES.get(self.shape.currentText(), 1.0)))

    def _show(self, size: Size) -> None:
        step = self._multiple
        for box, side in zip((self.width_box, self.height_box), size, strict=True):
            with QSignalBlocker(box):
                box.setRange(step, LONGEST_SIDE // step * step)
                box.setSingleStep(step)
                box.setValue(self._rounded(side))
                box.setToolTip(f"A multiple of {step} pixels")
        shape = next((name for name, ratio in _SHAPES.items() if self._fitting(ratio) == self.value()), _OWN)
        self.shape.setCurrentText(shape)
        far = max(self.value()) > _TOO_MUCH * self._native
        self._hint.setText(f"This model draws best near {self._native} × {self._native} px." if far else "")
        self._hint.setVisible(far)

    def _take_shape(self) -> None:
        ratio = _SHAPES.get(self.shape.currentText())
        if ratio is None:
            self.width_box.setFocus()
            return
        self._asked = None
        self._show(self._fitting(ratio))
        self.edited.emit()

    def _typed(self) -> None:
        self._asked = self.value()
        self._show(self._asked)
        self._asked = self.value()
        self.edited.emit()

    def _fitting(self, ratio: float) -> Size:
        """The size of that width : height with about as many pixels as the model's square."""
        return self._rounded(self._native * sqrt(ratio)), self._rounded(self._native / sqrt(ratio))

    def _rounded(self, side: float) -> int:
        return min(max(round(side / self._multiple), 1), LONGEST_SIDE // self._multiple) * self._multiple

    def _lay_out(self) -> None:
        title = QLabel("Size")
        title.setBuddy(self.shape)
        title.setFixedWidth(LABEL_WIDTH + RESET_WIDTH + 6)
        row = QHBoxLayout()
        row.setSpacing(6)
        row.addWidget(title)
        row.addWidget(self.shape, 1)
        row.addWidget(self.width_box)
        row.addWidget(QLabel("×"))
        row.addWidget(self.height_box)
        row.addWidget(QLabel("px"))
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(2)
        column.addLayout(row)
        column.addWidget(self._hint)
