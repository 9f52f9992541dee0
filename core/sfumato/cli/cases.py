"""What is to be made of each of many pictures, and where it goes; what can be wrong is found first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from sfumato.cli import options as o
from sfumato.cli.edit_task import EditTask, File
from sfumato.cli.edits import job_of
from sfumato.cli.lists import OPENED, Entry, is_many, refuse
from sfumato.cli.pictures import PROJECT, control_of, open_document, refuse_output
from sfumato.document.compositor import fingerprint
from sfumato.errors import InputError, SfumatoError
from sfumato.files.images import FORMAT_OF, newest_recipe, read_recipe
from sfumato.files.lookup import is_file
from sfumato.files.recipe import SavedRecipe
from sfumato.many.alike import methods_digest
from sfumato.method import Job, Recipe
from sfumato.order import check, makes_mask
from sfumato.workshop import Workshop

Found = Literal["made", "smaller", "other"]
"""`smaller`: memory was short, and it may come out as asked for another time."""
_BLANK = np.full((1, 1, 4), 255, np.uint8)
"""Stands for pictures that are not opened yet where a request is checked."""


@dataclass(frozen=True)
class Case:
    """One edit of many."""

    entry: Entry
    recipe: Recipe
    given: Mapping[str, Any]
    """The mask and the control images, as the arguments of `sfumato edit` name them."""
    output: Path
    methods: str
    """The `methods_digest` of its recipe here."""

    @property
    def outputs(self) -> list[Path]:
        """Where its results go: all candidates in one project, or a picture each."""
        count = 1 if self.output.suffix.lower() == PROJECT else self.recipe.candidates
        stem = self.output.stem
        return [self.output, *(self.output.with_stem(f"{stem}-{number}") for number in range(2, count + 1))]

    @property
    def inputs(self) -> list[Path]:
        """What it is made from."""
        mask = self.given.get("mask")
        return [self.entry.picture, *([] if mask is None else [mask]), *(path for _, path in self.controls)]

    @property
    def controls(self) -> list[tuple[str, Path]]:
        """(name, file) of its control images."""
        parts = map(control_of, self.given.get("control") or ())
        return [(name, Path(path)) for name, path in parts]

    def task(self) -> EditTask:
        """The task, with what it needs read from disk. Raises `InputError` for what is gone meanwhile."""
        mask = self.given.get("mask")
        return EditTask(
            recipe=self.recipe,
            picture=_read(self.entry.picture),
            output=self.output.name,
            mask=None if mask is None else _read(mask),
            controls=tuple((name, _read(path)) for name, path in self.controls),
            methods=self.methods,
        )

    def found(self, paths: Sequence[Path]) -> Found:
        """What lies there: made of the same picture by the same recipe, made so but smaller, or neither."""
        try:
            job = job_of(self.recipe, open_document(self.entry.picture), dict(self.given))
            saved = [_made_by(path, job) for path in paths]
        except SfumatoError:  # one of them is something else, or the picture is none, which its edit will say
            return "other"
        if not all(saved):
            return "other"
        return "smaller" if any("smaller" in each.provenance for each in saved if each) else "made"


def _read(path: Path) -> File:
    try:
        return path.name, path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {(error.strerror or 'it is gone').lower()}.") from error


def _made_by(path: Path, job: Job) -> SavedRecipe | None:
    """What the picture or project at `path` says it came out of, if that is this job."""
    saved = newest_recipe(open_document(path)) if path.suffix.lower() == PROJECT else read_recipe(path)
    if saved is None or job.image is None:
        return None
    recipe = Recipe.model_validate_json(job.recipe.model_dump_json())  # as it comes back from a file
    same_mask = makes_mask(job) or (None if job.mask is None else fingerprint(job.mask)) == (
        None if saved.mask is None else saved.mask.sha256
    )
    controls = {name: fingerprint(pixels) for name, pixels in job.control_images.items()}
    steered = "networks" in saved.provenance
    same = (
        saved.recipe == recipe
        and saved.source_sha256 == fingerprint(job.image)
        and same_mask
        and (not steered or saved.provenance.get("control_images", {}) == controls)
    )
    return saved if same else None


def cases_of(entries: Sequence[Entry], given: Mapping[str, Any], workshop: Workshop) -> list[Case]:
    """What is to be made, each checked as far as it can be without opening its picture.

    Raises `InputError` that names every one that cannot be done, by its line or its name.
    """
    where = _Places(given)
    cases, bad = [], []
    for entry in entries:
        try:
            cases.append(_case(entry, given, where, workshop))
        except SfumatoError as error:
            bad.append(f"{entry.where}: {error}")
    refuse([*bad, *_clashes(cases)], "Not all of these can be edited")
    return cases


def _case(entry: Entry, given: Mapping[str, Any], where: _Places, workshop: Workshop) -> Case:
    """Raises `SfumatoError` if an entry asks for what cannot be."""
    _refuse_missing(entry.picture)
    said = {**given, **entry.said}
    if "mask" not in entry.said and where.masks is not None:
        said["mask"] = where.mask_of(entry.picture)
    recipe = o.settled(o.recipe_of(said), workshop.registry)
    sources = {name: said.get(name) for name in ("mask", "control")}
    methods = methods_digest(recipe, workshop.registry)
    case = Case(entry, recipe, sources, where.output_of(entry), methods)
    for path in case.inputs[1:]:
        _refuse_missing(path)
    for path in case.outputs:
        there = next(folder for folder in path.absolute().parents if folder.is_dir())
        is_file(there / path.name)  # which need not be there, but must be a name
    masked = sources["mask"] is not None or (
        entry.picture.suffix.lower() == PROJECT and open_document(entry.picture).mask is not None
    )
    blank = {name: _BLANK for name, _ in case.controls}
    mask = _BLANK[..., 0] if masked else None
    check(Job(recipe=recipe, image=_BLANK, mask=mask, control_images=blank), workshop)
    return case


def _refuse_missing(path: Path) -> None:
    if not is_file(path):
        raise InputError(f"There is no file {path}.")


def _clashes(cases: Sequence[Case]) -> list[str]:
    """Results that would take each other's place, or that of what they are made from."""
    inputs = {path.resolve() for case in cases for path in case.inputs}
    taken: dict[str, Case] = {}
    bad = []
    for case in cases:
        for path in case.outputs:
            if path.resolve() in inputs:
                bad.append(f"{case.entry.where}: {path} would be written over what results are made from.")
            elif (other := taken.setdefault(str(path).casefold(), case)) is not case:
                bad.append(
                    f"{case.entry.where}: its result would be called {path.name}, as that of "
                    f'{other.entry.where}; a list may name it under "output".'
                )
    return bad


class _Places:
    """Where results go and masks come from. Raises `InputError` or `StorageError` if they cannot."""

    def __init__(self, given: Mapping[str, Any]) -> None:
        self._output: Path = given["output"]
        self.masks: Path | None = given.get("masks")
        kind = given.get("form")
        self._ending = "" if kind is None else f".{kind.lower().lstrip('.')}"
        if self._ending and self._ending not in (*FORMAT_OF, PROJECT):
            raise InputError(f"There is no format '{kind}'.", advice="Say png, jpg, webp, tif or ora.")
        self._is_file = self._output.suffix.lower() in (*FORMAT_OF, PROJECT) and not self._output.is_dir()
        if self._is_file and is_many(given["pictures"]):
            raise InputError(f"Several results need a folder to be written to, not the file {self._output}.")
        if self._is_file:
            refuse_output(self._output)
        elif self._output.exists() and not self._output.is_dir():
            raise InputError(f"{self._output} is a file; results need a folder.")
        elif any(place.is_dir() and place.resolve() == self._output.resolve() for place in given["pictures"]):
            raise InputError(
                f"Results in {self._output} would be taken for pictures to edit the next time.",
                advice="Name another folder.",
            )
        if self.masks is not None and given.get("mask") is not None:
            raise InputError("Say --mask for one mask or --masks for a folder of them, not both.")
        if self.masks is not None and not self.masks.is_dir():
            raise InputError(f"There is no folder {self.masks}.")

    def output_of(self, entry: Entry) -> Path:
        """Under its own name, or the one its line gives; in its own format unless another is said."""
        if self._is_file:
            return self._output
        if Path(entry.output).name != entry.output:
            raise InputError(f"'{entry.output}' is no plain name of a file.")
        name = Path(entry.output or entry.picture.name)
        own = name.suffix.lower()
        if own in (*FORMAT_OF, PROJECT):
            return self._output / (name.with_suffix(self._ending) if self._ending else name)
        if own in OPENED:
            name = name.with_suffix("")
        return self._output / f"{name}{self._ending or '.png'}"

    def mask_of(self, picture: Path) -> Path:
        """The mask of the same name. Raises `InputError` if there is none, or more than one."""
        assert self.masks is not None
        named = [path for path in self.masks.iterdir() if path.stem == picture.stem]
        found = sorted(path for path in named if path.suffix.lower() in OPENED and path.suffix != PROJECT)
        if len(found) != 1:
            many = f"{len(found)} masks" if found else "no mask"
            raise InputError(f"There is {many} called {picture.stem} in {self.masks}.")
        return found[0]
