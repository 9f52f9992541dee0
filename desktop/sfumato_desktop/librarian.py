"""The person's models, asked for on a thread of their own; what comes back arrives as signals."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, Signal

from sfumato.errors import ModelError, SfumatoError, StorageError
from sfumato.events import ModelInfo, Ready
from sfumato.method import Recipe
from sfumato.models.catalogue import from_path
from sfumato.models.conversion import convert
from sfumato.models.inspection import describe
from sfumato.models.shelf import Details, Shelf, Shelved
from sfumato.settings import ModelDefaults, Settings
from sfumato.starting import starting
from sfumato_desktop.downloads import Downloads


class Librarian(QObject):
    """One thread and one shelf. What was asked is done in order; every change is followed by a new list."""

    catalogue_changed = Signal(Ready)
    """Methods and models to choose from: the engine's, and what was added since."""
    listed = Signal(tuple)
    """Every `Shelved`, usable or not."""
    detailed = Signal(Details)
    hashed = Signal(str, str)
    """A model's name and its SHA-256."""
    said = Signal(str)
    failed = Signal(SfumatoError)
    _described = Signal(tuple, tuple)

    def __init__(self, settings: Settings, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._settings = settings
        self._shelf: Shelf | None = None
        self._ready: Ready | None = None
        self._thread = ThreadPoolExecutor(1, "sfumato-models")
        self._stopped = False
        self._hashing = ""
        self.downloads = Downloads(settings, self)
        self.downloads.done.connect(lambda _repo, _place: self.list())
        self._described.connect(self._tell)

    @property
    def ready(self) -> Ready | None:
        """The catalogue as it is now."""
        return self._ready

    def set_ready(self, ready: Ready) -> None:
        """Begin with what the engine has."""
        self._ready = ready
        self._shelf = Shelf(self._settings, ready.checkpoints)
        self.catalogue_changed.emit(ready)

    def fresh_recipe(self, model: str = "", editor: str = "") -> Recipe:
        """What an edit of a newly opened picture starts with, by default with the person's own model."""
        settings = self._shelf.settings if self._shelf else self._settings
        model = model or settings.default_model or Recipe().model
        editor = editor or Recipe().editor
        kept = self.starting(model, editor)
        return Recipe.model_validate({"model": model, "editor": editor, **kept, "size": None})

    def defaults(self, name: str) -> ModelDefaults:
        """What the person chose that recipes for a model start with."""
        settings = self._shelf.settings if self._shelf else self._settings
        return settings.model_defaults.get(name, ModelDefaults())

    def starting(self, model: str, editor: str) -> dict[str, Any]:
        """What recipes for a model and an editor start with, by the person's choice or the model's nature."""
        models = self._ready.models if self._ready else ()
        info = next((each for each in models if each.name == model), None)
        return starting(info, editor, self.defaults(model))

    def list(self) -> None:
        self._do(lambda shelf: None)

    def add(self, place: Path) -> None:
        self._do(lambda shelf: f"{shelf.add(place).title} is on the list; its files stay where they are.")

    def convert(self, place: Path) -> None:
        """Write a pickled checkpoint anew without pickles, in a process that can run nothing."""
        self._do(lambda shelf: f"Converted to {convert(place, shelf.settings)}; the original stays.")

    def remove(self, name: str, *, files: bool) -> None:
        self._do(lambda shelf: shelf.remove(name, files=files))

    def prefer(self, name: str) -> None:
        self._do(lambda shelf: f"New edits start with {shelf.set_default(name).title}.")

    def set_defaults(self, name: str, defaults: ModelDefaults) -> None:
        self._do(lambda shelf: shelf.set_defaults(name, defaults))

    def inspect(self, name: str) -> None:
        """Ask for all that can be said about a model: `detailed`."""
        self._ask(lambda shelf: self.detailed.emit(shelf.inspect(name)))

    def fingerprint(self, name: str) -> None:
        """Read a whole model for its hash, which takes a while: `hashed`, unless another is asked for."""
        self._hashing = name
        self._ask(lambda shelf: self._hash(shelf, name))

    def close(self) -> None:
        """Stop reading and wait for the thread."""
        self._stopped = True
        self.downloads.close()
        self._thread.shutdown(cancel_futures=True)

    def _hash(self, shelf: Shelf, name: str) -> None:
        steps = shelf.fingerprint(name)
        while not self._stopped and self._hashing == name:
            try:
                next(steps)
            except StopIteration as end:
                self.hashed.emit(name, end.value)
                return

    def _do(self, change: Callable[[Shelf], str | None]) -> None:
        """Change something, say so, and list anew."""

        def work(shelf: Shelf) -> None:
            if sentence := change(shelf):
                self.said.emit(sentence)
            models = shelf.list()
            self._described.emit(models, tuple(_infos(models)))

        self._ask(work)

    def _ask(self, work: Callable[[Shelf], None]) -> None:
        if self._shelf is not None and not self._stopped:
            self._thread.submit(self._guarded, work, self._shelf)

    def _guarded(self, work: Callable[[Shelf], None], shelf: Shelf) -> None:
        try:
            work(shelf)
        except SfumatoError as error:
            self.failed.emit(error)
        except OSError as error:
            told = StorageError(f"The models could not be read: {error}.")
            told.__cause__ = error
            self.failed.emit(told)

    def _tell(self, models: tuple[Shelved, ...], infos: tuple[ModelInfo, ...]) -> None:
        """Pass the list on, and offer in the catalogue what the engine did not know when it began."""
        assert self._ready is not None
        gone = {info.name for info in self._ready.models} - {info.name for info in infos}
        known = {info.name: info for info in self._ready.models if info.name not in gone}
        merged = tuple((known | {info.name: info for info in infos if info.name not in known}).values())
        if merged != self._ready.models:
            self._ready = replace(self._ready, models=merged)
            self.catalogue_changed.emit(self._ready)
        self.listed.emit(models)


def _infos(models: Iterable[Shelved]) -> Iterable[ModelInfo]:
    """What the edit panel has to know about the usable ones."""
    for model in models:
        if not model.problem:
            try:
                info = describe(replace(from_path(model.place), name=model.name, title=model.title))
            except ModelError:
                continue  # it went away since it was listed
            yield replace(info, note=model.note)
