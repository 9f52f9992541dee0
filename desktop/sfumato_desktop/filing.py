"""Opening, saving, exporting, pasting: everything between the window and files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from PySide6.QtCore import QMimeData, QObject, Qt, Signal
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QFileDialog, QMessageBox, QWidget

from sfumato.document.commands import AddLayer, SetRecipe
from sfumato.document.compositor import flatten
from sfumato.document.layers import Document, Layer
from sfumato.errors import InputError, SfumatoError, StorageError
from sfumato.files.images import export_image, open_image, open_mask, read_recipe
from sfumato.files.openraster import open_project, save_project
from sfumato.files.recipe import load_recipe
from sfumato.method import Recipe
from sfumato_desktop import dialogs, images
from sfumato_desktop.export_dialog import ExportDialog
from sfumato_desktop.preferences import Preferences
from sfumato_desktop.samples import Sample
from sfumato_desktop.session import Session

PICTURES = ("png", "jpg", "jpeg", "webp", "tif", "tiff", "avif")
PROJECT = ".ora"
_OPEN_FILTER = (
    f"Pictures and projects (*{PROJECT} {' '.join(f'*.{ending}' for ending in PICTURES)});;All files (*)"
)
_RECIPE_FILTER = f"Recipes and pictures (*.json {' '.join(f'*.{ending}' for ending in PICTURES)})"


class Filing(QObject):
    """Makes sessions from files and files from sessions; failures become one dialog."""

    opened = Signal(Session)
    written = Signal(str)
    """A sentence about what was written."""

    def __init__(self, window: QWidget, preferences: Preferences) -> None:
        super().__init__(window)
        self._window = window
        self._preferences = preferences
        self.fresh: Callable[..., Recipe] = lambda model="", editor="": Recipe()
        """What an edit of a newly opened picture starts with, perhaps with a certain model and editor."""

    # Opening -----------------------------------------------------------------------------------

    def ask_and_open(self) -> None:
        """Open what the person picks."""
        chosen, _filter = QFileDialog.getOpenFileName(
            self._window, "Open", self._preferences.last_folder, _OPEN_FILTER
        )
        if chosen:
            self.open(Path(chosen))

    def open(self, path: Path) -> None:
        """Open a picture or a project; the open document stays if that fails."""
        with self._told():
            project = path.suffix.lower() == PROJECT
            document = open_project(path) if project else open_image(path)
            begun = document.recipe == Recipe()
            if begun:
                document.recipe = self.fresh()
            self._preferences.add_recent(path)
            self._preferences.set_last_folder(path.parent)
            self.opened.emit(Session(document, path if project else None, begun=begun))

    def open_sample(self, sample: Sample) -> None:
        """Open a sample with its prompts and mask in place."""
        with self._told():
            document = open_image(sample.path)
            said = {"source": sample.source, "target": sample.target, "instruction": sample.instruction}
            document.recipe = self.fresh(Recipe().model, sample.editor).model_copy(update=said)
            if sample.mask is not None:
                document.mask = open_mask(sample.mask, (document.width, document.height))
            self.opened.emit(Session(document, begun=True))

    def ask_and_load_recipe(self, session: Session) -> None:
        """Take the recipe of a recipe file, or of a picture that Sfumato exported, into the edit panel."""
        chosen, _filter = QFileDialog.getOpenFileName(
            self._window, "Load recipe", self._preferences.last_folder, _RECIPE_FILTER
        )
        if not chosen:
            return
        path = Path(chosen)
        with self._told("The edit panel is as it was."):
            saved = load_recipe(path) if path.suffix.lower() == ".json" else read_recipe(path)
            if saved is None:
                raise InputError(
                    f"{path.name} has no recipe inside.", advice="Choose a file Sfumato exported."
                )
            session.run(SetRecipe(saved.recipe, "Load recipe"))

    def from_clipboard(self) -> None:
        """Open the copied picture, or the copied file, as a new document."""
        image = QGuiApplication.clipboard().image()
        if image.isNull():
            copied: QMimeData | None = QGuiApplication.clipboard().mimeData()  # None where it is empty
            for url in copied.urls() if copied is not None else ():
                if url.isLocalFile():
                    self.open(Path(url.toLocalFile()))
                    return
            self.written.emit("There is no picture on the clipboard.")
            return
        pixels = images.from_image(image)
        height, width = pixels.shape[:2]
        layers = [Layer("Pasted picture", pixels)]
        document = Document(width, height, layers, title=layers[0].name, recipe=self.fresh())
        session = Session(document, begun=True)
        session.never_saved()
        self.opened.emit(session)

    def paste(self, session: Session | None) -> None:
        """Paste the copied picture as a layer in the middle, or as a document where none is open."""
        image = QGuiApplication.clipboard().image()
        if session is None or image.isNull():
            self.from_clipboard()
            return
        document = session.document
        pixels = images.from_image(image, document.profile)
        height, width = pixels.shape[:2]
        left, top = (document.width - width) // 2, (document.height - height) // 2
        session.run(AddLayer(Layer("Pasted picture", pixels, left, top)))

    def copy(self, session: Session) -> None:
        """Copy the visible layers as one picture."""
        document = session.document
        QGuiApplication.clipboard().setImage(images.to_image(flatten(document), document.profile))
        self.written.emit("Picture copied.")

    # Writing -----------------------------------------------------------------------------------

    def save(self, session: Session) -> bool:
        """Save the project where it was; the first time, ask. Return whether it is on disk."""
        return self._save_to(session, session.path) if session.path else self.save_as(session)

    def save_as(self, session: Session) -> bool:
        proposed = Path(self._preferences.last_folder) / f"{Path(session.title).stem}{PROJECT}"
        path = self._ask_place("Save project", proposed, f"OpenRaster project (*{PROJECT})", PROJECT)
        return path is not None and self._save_to(session, path)

    def export(self, session: Session) -> None:
        """Ask for format and place, and write the flattened picture."""
        dialog = ExportDialog(self._window, session.title)
        if not dialog.exec():
            return
        choice = dialog.choice
        proposed = Path(self._preferences.last_folder) / f"{Path(session.title).stem} edited{choice.suffix}"
        path = self._ask_place("Export picture", proposed, f"Picture (*{choice.suffix})", choice.suffix)
        if path is None:
            return
        with self._told("The open picture is as it was."):
            export_image(session.document, path, quality=choice.quality, recipe=choice.recipe)
            self._preferences.set_last_folder(path.parent)
            self.written.emit(f"Exported {path.name}.")

    def may_close(self, session: Session | None) -> bool:
        """Ask about unsaved changes; return whether the document may go."""
        if session is None or not session.modified:
            return True
        button = QMessageBox.StandardButton
        answer = QMessageBox.question(
            self._window,
            "Unsaved changes",
            f"Save the changes of {session.title} before closing?",
            button.Save | button.Discard | button.Cancel,
            button.Save,
        )
        if answer == button.Save:
            return self.save(session)
        return answer == button.Discard

    def _save_to(self, session: Session, path: Path) -> bool:
        with self._told("The open picture and its changes are still here."):
            save_project(session.document, path)
            session.saved(path)
            self._preferences.add_recent(path)
            self._preferences.set_last_folder(path.parent)
            self.written.emit(f"Saved {path.name}.")
            return True
        return False

    def _ask_place(self, title: str, proposed: Path, kinds: str, suffix: str) -> Path | None:
        chosen, _filter = QFileDialog.getSaveFileName(self._window, title, str(proposed), kinds)
        if not chosen:
            return None
        path = Path(chosen)
        return path if path.suffix.lower() == suffix else path.with_name(path.name + suffix)

    @contextmanager
    def _told(self, kept: str = "") -> Iterator[None]:
        """Busy cursor inside; whatever fails for a reason people understand is shown, not raised."""
        QGuiApplication.setOverrideCursor(Qt.CursorShape.WaitCursor)
        try:
            yield
        except (SfumatoError, OSError, MemoryError) as error:
            QGuiApplication.restoreOverrideCursor()
            dialogs.show_error(self._window, _for_people(error, kept))
        else:
            QGuiApplication.restoreOverrideCursor()


def _for_people(error: Exception, kept: str) -> SfumatoError:
    if isinstance(error, SfumatoError):
        return error
    if isinstance(error, MemoryError):
        shown = SfumatoError(
            "There is not enough memory for that.", kept=kept, advice="Close other programs."
        )
    else:
        shown = StorageError(f"The file could not be read or written: {error}.", kept=kept)
    shown.__cause__ = error
    return shown
