"""Every change of a document, as an object that can do and undo itself exactly.

`do` and `undo` return the rectangle whose flattened pixels (or mask) may have changed; redo is `do` again.
Commands that `merge` swallow the next one, so that dragging a slider is one entry of the undo list.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from sfumato.document.geometry import NOTHING, Rect, unite
from sfumato.document.layer_commands import (
    AddLayer,
    MoveLayer,
    RemoveLayer,
    RenameLayer,
    ReplaceLayer,
    SetOpacity,
    SetVisible,
)
from sfumato.document.layers import Document
from sfumato.document.mask_commands import PaintMask, SetMask
from sfumato.method import Recipe

__all__ = [
    "AddLayer",
    "Command",
    "MoveLayer",
    "PaintMask",
    "RemoveLayer",
    "RenameLayer",
    "ReplaceLayer",
    "SetMask",
    "SetOpacity",
    "SetRecipe",
    "SetVisible",
    "Together",
]


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
