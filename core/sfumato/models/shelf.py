"""The models a person has: list, add, look at, forget, prefer. Plain data in and out; no torch, no Qt.

A `Shelf` reads the disk, so a window asks it on a thread of its own; it is not to be shared by threads.
What changes the settings saves them, and the settings that hold from then on are `shelf.settings`.
"""

from __future__ import annotations

import shutil
from collections.abc import Generator, Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from sfumato.errors import InputError, ModelError, StorageError
from sfumato.events import Defaults
from sfumato.models import places
from sfumato.models.catalogue import Checkpoint, from_path
from sfumato.models.details import Content, content
from sfumato.models.fingerprint import Fingerprints
from sfumato.models.inspection import describe, inspect
from sfumato.settings import ModelDefaults, Settings, save_settings

STARTER = "starter"
"""The model new recipes start with until a person chooses another."""


class Origin(StrEnum):
    """Where a model comes from; the value is the words shown to people."""

    BUILT_IN = "comes with a plug-in"
    ADDED = "added by you"
    OWN = "downloaded or converted by Sfumato"
    CACHED = "in the Hugging Face cache"


@dataclass(frozen=True)
class Shelved:
    """A model in the list, usable or not."""

    name: str
    """Goes into recipes; the argument of every call of `Shelf`."""
    title: str
    place: Path
    """A folder or a file; it is used where it is."""
    origin: Origin
    size: int | None
    """Side of the square it was trained at, in pixels; None if it cannot be used."""
    note: str
    problem: str
    """Why it cannot be used, in one sentence; empty if it can."""
    preferred: bool
    """A new recipe starts with this one."""

    @property
    def can_forget(self) -> bool:
        """Whether `Shelf.remove` can take it off the list."""
        return self.origin is Origin.ADDED

    @property
    def can_delete(self) -> bool:
        """Whether `Shelf.remove(files=True)` may delete its files: only what Sfumato wrote itself."""
        return self.origin is Origin.OWN


@dataclass(frozen=True)
class Details:
    """All that can be said without loading: family, parts, bytes, licence, and what recipes start with."""

    model: Shelved
    content: Content
    defaults: ModelDefaults
    """What the person chose."""
    own: Defaults
    """What holds where they chose nothing."""
    source: str
    """For a download: repository and commit."""


class Shelf:
    """The models of one person. `built_in` are the checkpoints of plugins (`Ready.checkpoints`)."""

    def __init__(self, settings: Settings, built_in: Iterable[Checkpoint] = ()) -> None:
        self.settings = settings
        self._built_in = tuple(built_in)

    def list(self) -> tuple[Shelved, ...]:
        """Every model there is, plugins' first, then the person's, downloads, and the hub's cache."""
        groups = {
            Origin.BUILT_IN: self._built_in,
            Origin.ADDED: places.pointed_at(self.settings),
            Origin.OWN: places.kept(self.settings),
            Origin.CACHED: places.cached(),
        }
        found: dict[str, Shelved] = {}
        for origin, checkpoints in groups.items():
            for checkpoint in checkpoints:
                if checkpoint.name not in found:
                    found[checkpoint.name] = self._shelved(checkpoint, origin)
        return tuple(found.values())

    def find(self, name: str) -> Shelved:
        """The model of that name, or of that title if only one has it. Raises `InputError` naming them."""
        listed = self.list()
        wanted = str(Path(name).expanduser().absolute())
        matches = [model for model in listed if model.name in (name, wanted)]
        matches = matches or [model for model in listed if model.title == name]
        if len(matches) == 1:
            return matches[0]
        known = ", ".join(f"'{model.name}'" for model in matches or listed) or "none"
        which = f"Several models are called '{name}'" if matches else f"There is no model '{name}'"
        raise InputError(f"{which}.", advice=f"There are: {known}.")

    def add(self, place: Path) -> Shelved:
        """Put a folder or file on the list; it stays where it is. Raises `ModelError` if it is of no use."""
        place = place.expanduser().absolute()
        checkpoint = from_path(place)
        describe(checkpoint)
        if place not in self.settings.models:
            self._change(models=(*self.settings.models, place))
        return self._shelved(checkpoint, Origin.ADDED)

    def inspect(self, name: str) -> Details:
        """Look closely at one model. Raises `InputError` for an unknown, `ModelError` for an unusable one."""
        model = self.find(name)
        record = places.record_of(model.place)
        source = f"{record['repo']}, commit {record.get('commit', '?')}" if record else ""
        own = describe(from_path(model.place)).defaults
        return Details(model, content(model.place), self.defaults(model.name), own, source)

    def fingerprint(self, name: str) -> Generator[None, None, str]:
        """Read the whole model, yielding now and then; return its SHA-256, which is kept for next time."""
        place = self.find(name).place
        kept = Fingerprints(self.settings.cache_dir / "fingerprints.json")
        for digest in kept.of(inspect(from_path(place)).files):
            if digest is not None:
                return digest
            yield
        raise AssertionError("a fingerprint always ends in a digest")

    def remove(self, name: str, *, files: bool = False) -> str:
        """Forget a model and return the sentence that says what was done.

        Files are deleted only if Sfumato wrote them and `files` asks for it. Raises `InputError` if the model
        is not ours to remove, `StorageError` if its files cannot be deleted.
        """
        model = self.find(name)
        if model.origin is Origin.ADDED:
            self._change(models=tuple(place for place in self.settings.models if place != model.place))
            self._forget(model.name)
            return f"'{model.title}' is off the list; its files are where they were, in {model.place}."
        if model.origin is not Origin.OWN:
            raise InputError(f"'{model.title}' {_NOT_OURS[model.origin]}, so it cannot be removed here.")
        if not files:
            raise InputError(
                f"Sfumato itself put '{model.title}' into {model.place}, and lists it while it is there.",
                advice="To remove it, ask for its files to be deleted too (--files).",
            )
        _delete(model.place)
        self._forget(model.name)
        return f"'{model.title}' and its files are gone."

    def set_default(self, name: str) -> Shelved:
        """Have new recipes start with this model. Raises `ModelError` if it cannot be used."""
        model = self.find(name)
        if model.problem:
            raise ModelError(model.problem)
        self._change(default_model=model.name)
        return self.find(model.name)

    def defaults(self, name: str) -> ModelDefaults:
        """What recipes for this model start with where they say nothing themselves."""
        return self.settings.model_defaults.get(name, ModelDefaults())

    def set_defaults(self, name: str, defaults: ModelDefaults) -> None:
        """Keep what recipes for this model start with; empty defaults are forgotten."""
        name = self.find(name).name
        others = {key: value for key, value in self.settings.model_defaults.items() if key != name}
        self._change(model_defaults=others | ({name: defaults} if defaults != ModelDefaults() else {}))

    def _forget(self, name: str) -> None:
        others = {key: value for key, value in self.settings.model_defaults.items() if key != name}
        default = "" if self.settings.default_model == name else self.settings.default_model
        self._change(model_defaults=others, default_model=default)

    def _change(self, **values: object) -> None:
        settings = self.settings.changed(**values)
        save_settings(settings)
        self.settings = settings

    def _shelved(self, checkpoint: Checkpoint, origin: Origin) -> Shelved:
        size, problem = None, ""
        try:
            size = describe(checkpoint).size
        except ModelError as error:
            problem = str(error)
        return Shelved(
            name=checkpoint.name,
            title=checkpoint.title,
            place=checkpoint.folder,
            origin=origin,
            size=size,
            note=checkpoint.note,
            problem=problem,
            preferred=checkpoint.name == (self.settings.default_model or STARTER),
        )


_NOT_OURS = {
    Origin.BUILT_IN: "comes with a plug-in",
    Origin.CACHED: "belongs to the Hugging Face cache, which other programs use",
}


def _delete(place: Path) -> None:
    try:
        if place.is_dir():
            shutil.rmtree(place)
        else:
            place.unlink()
    except OSError as error:
        raise StorageError(
            f"{place} could not be deleted: {error.strerror or error}.", kept="The model is still listed."
        ) from error
