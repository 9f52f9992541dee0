"""One of many edits, as bytes in and bytes out, so that it can be done in any process on any machine."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sfumato.cli.edits import job_of
from sfumato.cli.pictures import open_document, write_results
from sfumato.errors import StorageError
from sfumato.many.alike import demand
from sfumato.method import Recipe
from sfumato.perform import perform
from sfumato.walking import finished, stepped
from sfumato.workshop import Workshop

File = tuple[str, bytes]
"""A file: its name and what is in it."""


@dataclass(frozen=True)
class EditTask:
    """What is to be made of a picture."""

    recipe: Recipe
    picture: File
    output: str
    """The name of the result; its ending is its format."""
    mask: File | None = None
    controls: tuple[tuple[str, File], ...] = ()
    """Control images by their names."""
    methods: str = ""
    """The `methods_digest` that whoever does it must have; empty if that does not matter."""


@dataclass(frozen=True)
class Edited:
    """What came of it."""

    files: tuple[File, ...]
    """The candidates, as they are to be written."""
    notes: tuple[str, ...]
    seconds: float


def edit_one(task: EditTask, workshop: Workshop) -> Edited:
    """Do a task: the same files as if each had been asked for alone. Raises `SfumatoError`."""
    demand(task.methods, task.recipe, workshop.registry)
    with _told():
        folder = tempfile.TemporaryDirectory(prefix="sfumato-edit-")
    with folder:
        place = Path(folder.name)
        document = open_document(_laid(place / "picture", task.picture))
        controls = [
            f"{name}={_laid(place / str(number), (f'control{Path(file[0]).suffix}', file[1]))}"
            for number, (name, file) in enumerate(task.controls)
        ]
        mask = None if task.mask is None else _laid(place / "mask", task.mask)
        job = job_of(task.recipe, document, {"mask": mask, "control": controls})
        outcome = finished(stepped(perform(job, workshop)))
        with _told():
            written = write_results(document, job, outcome, place / task.output)
        return Edited(_files(written), (*document.notes, *outcome.notes), outcome.seconds)


@contextmanager
def _told() -> Iterator[None]:
    """Around what needs room for temporary files. Raises `StorageError` if there is none."""
    try:
        yield
    except (OSError, StorageError) as error:
        if isinstance(error, OSError) and error.errno is None:  # not the disk's doing
            raise
        why = error.what if isinstance(error, StorageError) else f"{error.strerror}."
        raise StorageError(
            f"Temporary files cannot be written: {why}",
            advice="Make room, or name another folder for them in TMPDIR.",
        ) from error


def _laid(folder: Path, file: File) -> Path:
    path = folder / file[0]
    with _told():
        folder.mkdir()
        path.write_bytes(file[1])
    return path


def _files(paths: Iterable[Path]) -> tuple[File, ...]:
    return tuple((path.name, path.read_bytes()) for path in paths)
