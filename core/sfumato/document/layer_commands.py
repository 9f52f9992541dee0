"""Undoable changes of the layer stack. Each returns the rectangle that has to be painted again."""

from __future__ import annotations

from sfumato.document.geometry import NOTHING, Rect, unite
from sfumato.document.layers import Document, Layer


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
