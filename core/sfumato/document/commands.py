"""Every change of a document, as an object that can do and undo itself exactly.

`do` and `undo` return the rectangle whose flattened pixels (or mask) may have changed; `do` after `undo` is redo.
Commands that `merge` swallow the next one, so that dragging a slider is one entry of the undo list.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np

from sfumato.document.geometry import NOTHING, Rect, unite, window
from sfumato.document.layers import Document, Layer
from sfumato.method import Mask, Recipe


@runtime_checkable
class Command(Protocol):
    """One entry of the undo list."""

    title: str

    def do(self, document: Document) -> Rect:
        """Apply the change; return the dirty rectangle."""
        ...

    def undo(self, document: Document) -> Rect:
        """Take the change back; return the dirty rectangle."""
        ...


class AddLayer:
    """Insert a layer at `index` from the bottom; on top if absent."""

    def __init__(self, layer: Layer, index: int | None = None) -> None:
        self.title = f"Add {layer.name}"
        self.layer = layer
        self.index = index

    def do(self, document: Document) -> Rect:
        index = len(document.layers) if self.index is None else self.index
        document.layers.insert(index, self.layer)
        return self.layer.box

    def undo(self, document: Document) -> Rect:
        document.layers.pop(document.index(self.layer.id))
        return self.layer.box


class RemoveLayer:
    """Take a layer out."""

    def __init__(self, layer_id: str) -> None:
        self.title = "Delete layer"
        self.layer_id = layer_id
        self._removed: tuple[int, Layer] | None = None

    def do(self, document: Document) -> Rect:
        index = document.index(self.layer_id)
        layer = document.layers.pop(index)
        self._removed = index, layer
        return layer.box

    def undo(self, document: Document) -> Rect:
        assert self._removed is not None, "undo comes after do"
        index, layer = self._removed
        document.layers.insert(index, layer)
        return layer.box


class MoveLayer:
    """Give a layer another place in the stack, counted from the bottom."""

    def __init__(self, layer_id: str, index: int) -> None:
        self.title = "Reorder layers"
        self.layer_id = layer_id
        self.index = index
        self._previous = 0

    def do(self, document: Document) -> Rect:
        self._previous = document.index(self.layer_id)
        return self._move(document, self.index)

    def undo(self, document: Document) -> Rect:
        return self._move(document, self._previous)

    def _move(self, document: Document, index: int) -> Rect:
        layer = document.layers.pop(document.index(self.layer_id))
        document.layers.insert(index, layer)
        return layer.box


class RenameLayer:
    """Give a layer another name."""

    def __init__(self, layer_id: str, name: str) -> None:
        self.title = "Rename layer"
        self.layer_id = layer_id
        self._other = name

    def do(self, document: Document) -> Rect:
        layer = document.layer(self.layer_id)
        layer.name, self._other = self._other, layer.name
        return NOTHING

    undo = do


class SetVisible:
    """Show or hide a layer."""

    def __init__(self, layer_id: str, visible: bool) -> None:
        self.title = "Show layer" if visible else "Hide layer"
        self.layer_id = layer_id
        self._other = visible

    def do(self, document: Document) -> Rect:
        layer = document.layer(self.layer_id)
        layer.visible, self._other = self._other, layer.visible
        return layer.box

    undo = do


class SetOpacity:
    """Change a layer's opacity, 0 to 1."""

    def __init__(self, layer_id: str, opacity: float) -> None:
        self.title = "Layer opacity"
        self.layer_id = layer_id
        self.opacity = min(max(float(opacity), 0.0), 1.0)
        self._previous = 1.0

    def do(self, document: Document) -> Rect:
        layer = document.layer(self.layer_id)
        self._previous, layer.opacity = layer.opacity, self.opacity
        return layer.box

    def undo(self, document: Document) -> Rect:
        layer = document.layer(self.layer_id)
        layer.opacity = self._previous
        return layer.box

    def merge(self, other: object) -> bool:
        """Take over a later opacity of the same layer; both have been done. Return whether it was one."""
        if not isinstance(other, SetOpacity) or other.layer_id != self.layer_id:
            return False
        self.opacity = other.opacity
        return True


class ReplaceLayer:
    """Put another layer in a layer's place: a re-run edit, another candidate."""

    def __init__(self, layer_id: str, layer: Layer) -> None:
        self.title = f"Change {layer.name}"
        self.layer_id = layer_id
        self.layer = layer
        self._replaced: Layer | None = None

    def do(self, document: Document) -> Rect:
        index = document.index(self.layer_id)
        self._replaced = document.layers[index]
        document.layers[index] = self.layer
        return unite(self._replaced.box, self.layer.box)

    def undo(self, document: Document) -> Rect:
        assert self._replaced is not None, "undo comes after do"
        document.layers[document.index(self.layer.id)] = self._replaced
        return unite(self._replaced.box, self.layer.box)


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


class SetRecipe:
    """Change what the edit panel asks for."""

    def __init__(self, recipe: Recipe, title: str = "Change edit") -> None:
        self.title = title
        self.recipe = recipe
        self._previous: Recipe | None = None

    def do(self, document: Document) -> Rect:
        self._previous, document.recipe = document.recipe, self.recipe
        return NOTHING

    def undo(self, document: Document) -> Rect:
        assert self._previous is not None, "undo comes after do"
        document.recipe = self._previous
        return NOTHING

    def fields(self) -> frozenset[str]:
        """The fields that this command changed, once it is done."""
        previous = self._previous or self.recipe
        names = type(self.recipe).model_fields
        return frozenset(name for name in names if getattr(previous, name) != getattr(self.recipe, name))

    def merge(self, other: object) -> bool:
        """Take over a later change of the same fields; both have been done. Return whether it was one."""
        if not isinstance(other, SetRecipe) or other.fields() != self.fields():
            return False
        self.recipe = other.recipe
        return True


class Together:
    """Several commands as one entry of the undo list."""

    def __init__(self, title: str, commands: Sequence[Command]) -> None:
        self.title = title
        self.commands = tuple(commands)

    def do(self, document: Document) -> Rect:
        dirty = NOTHING
        for command in self.commands:
            dirty = unite(dirty, command.do(document))
        return dirty

    def undo(self, document: Document) -> Rect:
        dirty = NOTHING
        for command in reversed(self.commands):
            dirty = unite(dirty, command.undo(document))
        return dirty
