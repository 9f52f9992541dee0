"""Pictures in, results out."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from sfumato.document.compositor import fingerprint, flatten
from sfumato.document.geometry import window
from sfumato.document.layers import Document, EditInfo, Layer
from sfumato.errors import InputError, MethodError, StorageError
from sfumato.events import Outcome
from sfumato.files.figures import refuse_figure
from sfumato.files.heat import heat
from sfumato.files.images import FORMAT_OF, export_image, open_image
from sfumato.files.openraster import open_project, save_project
from sfumato.method import Job, Pixels

PROJECT = ".ora"


def open_document(path: Path) -> Document:
    """Open a picture or a project. Raises `InputError`."""
    return open_project(path) if path.suffix.lower() == PROJECT else open_image(path)


def control_images(texts: Iterable[str] | None) -> dict[str, Pixels]:
    """Read [NAME=]FILE texts. Raises `InputError`."""
    return {name: flatten(open_image(Path(file))) for name, file in map(control_of, texts or ())}


def control_of(text: str) -> tuple[str, str]:
    """(name, file) of [NAME=]FILE; an unnamed one is called "control". A folder's name may have an "="."""
    name, equals, file = text.partition("=")
    named = equals and not any(each in name for each in ("/", os.sep))
    return (name, file) if named else ("control", text)


def refuse_drawing(path: Path) -> None:
    """As `refuse_output`, of a figure, which is always a PNG."""
    refuse_figure(path)
    refuse_output(path)


def refuse_output(path: Path) -> None:
    """Say before a long run that its result could not be kept. Raises `InputError` or `StorageError`."""
    if path.suffix.lower() not in (*FORMAT_OF, PROJECT):
        raise InputError(
            f"Results cannot be written as '{path.suffix or path.name}'.",
            advice="End the name in .png, .jpg, .webp, .tif or .ora.",
        )
    folder = path.resolve().parent
    if not folder.is_dir():
        raise StorageError(f"{path} cannot be written: its folder does not exist.")
    if path.is_dir() or not os.access(path if path.exists() else folder, os.W_OK):
        raise StorageError(f"{path} cannot be written: it is a folder, read-only, or somebody else's.")


def edit_layer(job: Job, outcome: Outcome, chosen: int = 0) -> Layer:
    """The layer of a result; it remembers its request and what it was computed from."""
    edit = EditInfo(
        recipe=job.recipe,
        mask=job.mask if outcome.mask is None else outcome.mask,
        provenance=outcome.provenance,
        candidates=outcome.patches,
        chosen=chosen,
        below="" if job.image is None else fingerprint(job.image[window(outcome.box)]),
    )
    name = (job.recipe.target or job.recipe.instruction or job.recipe.editor)[:40]
    return Layer(name, outcome.patches[chosen], *outcome.box[:2], edit=edit)


def write_results(document: Document | None, job: Job, outcome: Outcome, path: Path) -> list[Path]:
    """Write the first candidate to `path` and any others beside it, as NAME-2, NAME-3 and so on.

    A project holds all candidates in one file. Raises `StorageError`.
    """
    written = []
    project = path.suffix.lower() == PROJECT
    for index in range(1 if project else len(outcome.patches)):
        layer = edit_layer(job, outcome, index)
        width, height = layer.pixels.shape[1::-1] if document is None else (document.width, document.height)
        below = [] if document is None else document.layers
        result = Document(width, height, [*below, layer], recipe=job.recipe)
        if document is not None:
            result.mask, result.profile, result.exif = document.mask, document.profile, document.exif
        place = path if index == 0 else path.with_stem(f"{path.stem}-{index + 1}")
        save_project(result, place) if project else export_image(result, place)
        written.append(place)
    return written


def write_error_map(outcome: Outcome, path: Path) -> Path:
    """Write where the reconstruction differs from the picture: dark is the same, bright the most different.

    Raises `MethodError` if nothing was measured, `StorageError` if it cannot be kept.
    """
    errors = None if outcome.inversion is None else outcome.inversion.error_map
    if errors is None:
        raise MethodError("This inversion brings nothing back by itself, so there is no error to show.")
    colours = heat(errors)
    opaque = np.full((*colours.shape[:2], 1), 255, np.uint8)
    height, width = errors.shape
    pixels = np.concatenate([colours, opaque], axis=-1)
    result = Document(width, height, [Layer("error", pixels)])
    save_project(result, path) if path.suffix.lower() == PROJECT else export_image(result, path)
    return path
