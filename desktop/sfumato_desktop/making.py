"""New pictures from words: the dialog, what it showed last, and where the result goes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QObject

from sfumato.document.commands import AddLayer
from sfumato.method import Recipe
from sfumato_desktop.from_words import FromWordsDialog
from sfumato_desktop.running import Runs
from sfumato_desktop.session import Session

if TYPE_CHECKING:
    from sfumato_desktop.window import MainWindow


class Making(QObject):
    """Asks for new pictures and has them made."""

    def __init__(self, window: MainWindow, runs: Runs) -> None:
        super().__init__(window)
        self._window, self._runs = window, runs
        self._last: Recipe | None = None

    def ask(self, session: Session | None) -> FromWordsDialog:
        """Open the dialog as it was left; where nothing was asked yet, with the words of the open picture."""
        librarian = self._window.librarian
        fresh = librarian.fresh_recipe()
        recipe = self._last or fresh.model_copy(update={"size": librarian.defaults(fresh.model).size})
        if self._last is None and session is not None:
            told = session.document.recipe
            words = {"target": told.target, "negative": told.negative, "seed": told.seed}
            recipe = recipe.model_copy(update=words)
        dialog = FromWordsDialog(
            self._window, recipe, over_picture=session is not None, starting=librarian.starting
        )
        if librarian.ready is not None:
            dialog.set_catalogue(librarian.ready)
        librarian.catalogue_changed.connect(dialog.set_catalogue)
        dialog.asked.connect(self._make)
        dialog.open()
        dialog.words.setFocus()
        return dialog

    def lay_in(self, made: Session, session: Session) -> None:
        """Keep a picture whose place was refused: as a layer in the middle of the open one."""
        layer, document = made.document.layers[0], session.document
        height, width = layer.pixels.shape[:2]
        layer.left, layer.top = (document.width - width) // 2, (document.height - height) // 2
        session.run(AddLayer(layer))

    def _make(self, recipe: Recipe, apart: bool) -> None:
        self._last = recipe
        self._runs.make(recipe, apart=apart)
