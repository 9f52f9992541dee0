"""The selected edit layer: what was asked, or that it is stale, and its candidates."""

from __future__ import annotations

import dataclasses

from PySide6.QtCore import QSize
from PySide6.QtGui import QIcon, QPixmap
from PySide6.QtWidgets import (
    QButtonGroup,
    QHBoxLayout,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from sfumato.document.commands import ReplaceLayer
from sfumato.document.layers import Layer
from sfumato.method import Recipe
from sfumato_desktop import images
from sfumato_desktop.landing import concepts_in_words
from sfumato_desktop.named import ElidedLabel, named
from sfumato_desktop.session import Session

_THUMB = 44


class EditDetails(QWidget):
    """Hidden unless an edit layer is selected."""

    def __init__(self) -> None:
        super().__init__()
        named(self, "edit_details", "Selected edit")
        self._session: Session | None = None
        self._layer: Layer | None = None
        self._stale: frozenset[str] = frozenset()
        self._words = named(ElidedLabel(), "edit_words", "What was asked", "The prompts of this edit")
        self._candidates = QHBoxLayout()
        self._candidates.setSpacing(4)
        self._group = QButtonGroup(self)
        self._group.idClicked.connect(self._choose)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 2, 0, 2)
        layout.setSpacing(5)
        layout.addWidget(self._words)
        layout.addLayout(self._candidates)
        self.setVisible(False)

    def show_session(self, session: Session | None) -> None:
        self._session = session

    def show_layer(self, layer: Layer | None) -> None:
        self._layer = layer
        edit = layer.edit if layer is not None else None
        self.setVisible(edit is not None)
        if edit is None:
            return
        self._show_state()
        self._show_candidates()

    def set_stale(self, layer_ids: frozenset[str]) -> None:
        self._stale = layer_ids
        self._show_state()

    def _show_state(self) -> None:
        if self._layer is None or self._layer.edit is None:
            return
        recipe = self._layer.edit.recipe
        facts = f"{recipe.editor} · {recipe.inverter} · seed {recipe.seed} · {recipe.steps} steps"
        asked = summary(recipe)
        stale = self._layer.id in self._stale
        self._words.show_text("Stale: what lies below has changed." if stale else asked)
        self._words.setToolTip(f"{asked}\n{facts}")

    def _show_candidates(self) -> None:
        for button in self._group.buttons():
            self._group.removeButton(button)
            button.setParent(None)
            button.deleteLater()
        while self._candidates.takeAt(0) is not None:
            pass
        edit = self._layer.edit if self._layer else None
        if edit is None or len(edit.candidates) < 2 or self._session is None:
            return
        for number, pixels in enumerate(edit.candidates):
            every = max(1, max(pixels.shape[:2]) // 96)
            thumbnail = QPixmap.fromImage(images.picture(pixels[::every, ::every]))
            text = f"Candidate {number + 1} of {len(edit.candidates)}"
            button = named(QToolButton(), f"candidate_{number}", text, f"Show {text.lower()}")
            button.setIcon(QIcon(thumbnail))
            button.setIconSize(QSize(_THUMB, _THUMB))
            button.setCheckable(True)
            button.setChecked(number == edit.chosen)
            self._group.addButton(button, number)
            self._candidates.addWidget(button)
        self._candidates.addStretch(1)

    def _choose(self, number: int) -> None:
        layer, session = self._layer, self._session
        if layer is None or layer.edit is None or session is None or number == layer.edit.chosen:
            return
        edit = dataclasses.replace(layer.edit, chosen=number)
        session.run(
            ReplaceLayer(layer.id, dataclasses.replace(layer, pixels=edit.candidates[number], edit=edit))
        )


def summary(recipe: Recipe) -> str:
    """What an edit was asked, in one line."""
    if recipe.instruction:
        return recipe.instruction
    if recipe.concepts:
        return concepts_in_words(recipe)
    return (
        f"{recipe.source} → {recipe.target}"
        if recipe.source and recipe.target
        else recipe.target or recipe.source
    )
