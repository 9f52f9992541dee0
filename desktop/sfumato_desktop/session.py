"""One open document with its undo stack: the only place where the window changes a document."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QUndoCommand, QUndoStack

from sfumato.document.brush import Stroke
from sfumato.document.commands import Command, PaintMask, SetMask, SetOpacity, SetRecipe, Together
from sfumato.document.geometry import Rect
from sfumato.document.layers import Document, Layer
from sfumato.method import Recipe

_MASK_COMMANDS = (SetMask, PaintMask)
_MERGING = {SetOpacity: 1, SetRecipe: 2}


class Session(QObject):
    """Owns a document and the undo stack over core's commands, and says what changed."""

    changed = Signal(tuple)
    """Rect whose flattened pixels may differ."""
    structure_changed = Signal()
    """Layers were added, removed, moved, renamed or restyled."""
    mask_changed = Signal(tuple)
    """Rect of the mask that may differ; an empty document rectangle when it came or went."""
    recipe_changed = Signal()
    """Undo or redo changed the recipe: the edit panel has to follow."""
    title_changed = Signal()
    stepped = Signal()
    """Something was done, undone or redone. Told by this object, since a dying undo stack still speaks."""

    def __init__(
        self,
        document: Document,
        path: Path | None = None,
        parent: QObject | None = None,
        *,
        begun: bool = False,
    ) -> None:
        super().__init__(parent)
        self.document = document
        self.path = path
        """The project file it is saved in, if any."""
        self.begun = begun
        """Whether its recipe was given to it at opening: nobody chose it."""
        self.undo_stack = QUndoStack(self)
        self.undo_stack.cleanChanged.connect(self.title_changed)
        self.undo_stack.indexChanged.connect(self.stepped)
        self._unsaved = False
        self._stroke: Stroke | None = None
        self._without_mask = False
        self._typing = False

    @property
    def title(self) -> str:
        return self.path.name if self.path else self.document.title or "Untitled"

    @property
    def modified(self) -> bool:
        return self._unsaved or not self.undo_stack.isClean()

    def run(self, command: Command) -> None:
        """Do a command and remember it on the undo stack."""
        self.undo_stack.push(_Step(command, self))

    def edit_recipe(self, recipe: Recipe) -> None:
        """Remember what the person set in the edit panel; changes of one field in a row are one step."""
        if recipe == self.document.recipe:
            return
        self._typing = True
        try:
            self.run(SetRecipe(recipe, _recipe_title(self.document.recipe, recipe)))
        finally:
            self._typing = False

    def begin_stroke(self, size: float, hardness: float, erase: bool) -> None:
        """Start painting on the mask; an absent mask starts empty: nothing may change."""
        document = self.document
        self._without_mask = document.mask is None
        if document.mask is None:
            document.mask = np.zeros((document.height, document.width), np.uint8)
        self._stroke = Stroke(document.mask, size, hardness, erase)

    def stroke_to(self, x: float, y: float, pressure: float = 1.0) -> None:
        """Continue the stroke to a point in document pixels."""
        if self._stroke is not None:
            self.mask_changed.emit(self._stroke.to(x, y, pressure))

    def end_stroke(self) -> None:
        """Finish the stroke as one undoable step."""
        if self._stroke is None:
            return
        stroke, self._stroke = self._stroke, None
        command = stroke.finish()
        if self._without_mask:
            self.document.mask = None
        if command.boxes:
            self.run(command)

    def undo(self) -> None:
        """Take back the last step, unless a stroke is being painted."""
        if not self.painting:
            self.undo_stack.undo()

    def redo(self) -> None:
        if not self.painting:
            self.undo_stack.redo()

    @property
    def painting(self) -> bool:
        return self._stroke is not None

    def saved(self, path: Path) -> None:
        """The project is on disk at `path` as it is now."""
        self.path = path
        self._unsaved = False
        self.undo_stack.setClean()
        self.title_changed.emit()

    def never_saved(self) -> None:
        """The document came from nowhere (clipboard, a picture made from words): closing would lose it."""
        self._unsaved = True
        self.title_changed.emit()

    def snapshot(self) -> Document:
        """A copy that later changes leave alone: layer pixels are shared, for no command writes into them."""
        document = self.document
        layers = [dataclasses.replace(layer) for layer in document.layers]
        return dataclasses.replace(
            document, layers=layers, mask=None if document.mask is None else document.mask.copy()
        )

    def layer(self, layer_id: str | None) -> Layer | None:
        return next((layer for layer in self.document.layers if layer.id == layer_id), None)

    def _announce(self, command: Command, dirty: Rect) -> None:
        if isinstance(command, Together):
            for each in command.commands:
                self._announce(each, dirty)
        elif isinstance(command, _MASK_COMMANDS):
            self.mask_changed.emit(dirty)
        elif isinstance(command, SetRecipe):
            if not self._typing:
                self.recipe_changed.emit()
        else:
            self.changed.emit(dirty)
            self.structure_changed.emit()


class _Step(QUndoCommand):
    """One of core's commands on Qt's undo stack."""

    def __init__(self, command: Command, session: Session) -> None:
        super().__init__(command.title)
        self.command = command
        self._session = session

    def redo(self) -> None:
        self._session._announce(self.command, self.command.do(self._session.document))

    def undo(self) -> None:
        self._session._announce(self.command, self.command.undo(self._session.document))

    def id(self) -> int:
        return _MERGING.get(type(self.command), -1)

    def mergeWith(self, other: QUndoCommand) -> bool:
        return isinstance(other, _Step) and self.command.merge(other.command)  # pyright: ignore[reportAttributeAccessIssue]


_FIELDS = {
    "source": "source prompt",
    "target": "target prompt",
    "editor": "method",
    "editor_values": "method settings",
    "inverter": "inversion",
    "inverter_values": "inversion settings",
}


def _recipe_title(before: Recipe, after: Recipe) -> str:
    names = [name for name in type(after).model_fields if getattr(before, name) != getattr(after, name)]
    name = names[0] if len(names) == 1 else "edit settings"
    return f"Change {_FIELDS.get(name, name.replace('_', ' '))}"
