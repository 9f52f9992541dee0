"""Undoable changes of the edit mask. Each returns the rectangle whose mask may have changed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sfumato.document.geometry import NOTHING, Rect, unite, window
from sfumato.document.layers import Document
from sfumato.method import Mask


class SetMask:
    """Replace the edit mask; None lets the whole picture change. The mask is copied."""

    def __init__(self, mask: Mask | None, title: str = "Change mask") -> None:
        self.title = title
        self._other = None if mask is None else mask.copy()

    def do(self, document: Document) -> Rect:
        if self._other is not None and self._other.shape != (document.height, document.width):
            raise ValueError("a mask has the document's size")
        document.mask, self._other = self._other, document.mask
        return document.bounds

    undo = do


class PaintMask:
    """A finished stroke: the tiles it touched, as they were and as they are."""

    def __init__(
        self,
        boxes: Sequence[Rect],
        before: Sequence[Mask],
        after: Sequence[Mask],
        title: str = "Paint mask",
    ) -> None:
        self.title = title
        self.boxes = tuple(boxes)
        self._before = tuple(before)
        self._after = tuple(after)
        self._made_mask = False

    def do(self, document: Document) -> Rect:
        if document.mask is None:
            document.mask = np.zeros((document.height, document.width), np.uint8)
            self._made_mask = True
        return self._write(document.mask, self._after)

    def undo(self, document: Document) -> Rect:
        assert document.mask is not None, "undo comes after do"
        dirty = self._write(document.mask, self._before)
        if self._made_mask:
            document.mask = None
            self._made_mask = False
        return dirty

    def _write(self, mask: Mask, tiles: Sequence[Mask]) -> Rect:
        dirty = NOTHING
        for box, tile in zip(self.boxes, tiles, strict=True):
            mask[window(box)] = tile
            dirty = unite(dirty, box)
        return dirty
