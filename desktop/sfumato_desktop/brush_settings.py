"""The mask brush's size and hardness, shared by keys, scrubbing and the options bar."""

from __future__ import annotations

from PySide6.QtCore import QObject, Signal

SMALLEST, LARGEST = 1, 2000
_STEPS = ((10, 1), (50, 5), (100, 10), (300, 25), (1000, 50), (LARGEST, 100))
"""Up to this size, the bracket keys change it by this much."""


class BrushSettings(QObject):
    """Diameter in document pixels, and the share of the radius that is fully opaque."""

    changed = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._size = 64
        self._hardness = 0.8

    @property
    def size(self) -> int:
        return self._size

    @property
    def hardness(self) -> float:
        return self._hardness

    def set_size(self, size: float) -> None:
        self._size = round(min(max(size, SMALLEST), LARGEST))
        self.changed.emit()

    def set_hardness(self, hardness: float) -> None:
        self._hardness = min(max(hardness, 0.0), 1.0)
        self.changed.emit()

    def larger(self) -> None:
        self.set_size(self._size + next(by for limit, by in _STEPS if self._size < limit or limit == LARGEST))

    def smaller(self) -> None:
        self.set_size(self._size - next(by for limit, by in _STEPS if self._size <= limit))

    def harder(self) -> None:
        self.set_hardness(round(self._hardness * 4 + 1) / 4)

    def softer(self) -> None:
        self.set_hardness(round(self._hardness * 4 - 1) / 4)
