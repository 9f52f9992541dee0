"""Cases of a benchmark: a picture, what it shows, what it should show, and what the answer is, if known.

A folder of cases is PIE-Bench's (Ju et al., 2023): `mapping_file.json` and pictures in `annotation_images`.
Beyond it an entry may have "truth_path" (a picture in `truth_images`), "expected" and "world", and the folder
an `edit_types.json` with names of its own.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from sfumato.benchmark.judge import Expected
from sfumato.benchmark.masks import Area, Runs, decode_runs
from sfumato.benchmark.metrics import Picture
from sfumato.document.compositor import flatten
from sfumato.document.layers import Document
from sfumato.errors import InputError
from sfumato.files.images import open_image

PIE_TYPES: Mapping[str, str] = {
    "0": "random",
    "1": "change object",
    "2": "add object",
    "3": "delete object",
    "4": "change content",
    "5": "change pose",
    "6": "change colour",
    "7": "change material",
    "8": "change background",
    "9": "change style",
}
"""PIE-Bench's ten types of edits, by `editing_type_id`."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """One edit to be tried."""

    id: str
    picture: Path
    size: tuple[int, int]
    """(width, height) of the picture in pixels, upright."""
    source: str
    target: str
    instruction: str = ""
    kind: str = ""
    """The id of its edit type; empty if it has none."""
    blended: tuple[str, ...] | None = None
    """(word of the source, word of the target) the edit is about; () for none; None if nothing is said."""
    mask: Runs | None = None
    """Where the picture should change, as annotated; None if nothing is said."""
    truth: Path | None = None
    """The picture that is right."""
    expected: tuple[Expected, ...] = ()
    world: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """Anything else that is known of it."""

    @property
    def area(self) -> Area | None:
        """The mask, (H, W); None without one."""
        return None if self.mask is None else decode_runs(self.mask, self.size)

    @property
    def digest(self) -> str:
        """A hash of everything in it, pictures included."""
        told = [self.source, self.target, self.instruction, self.kind, self.blended, self.mask]
        told += [[each.what, each.value, each.thing] for each in self.expected]
        whole = hashlib.sha256(json.dumps(told).encode())
        for path in (self.picture, *([] if self.truth is None else [self.truth])):
            whole.update(hashlib.sha256(path.read_bytes()).digest())
        return whole.hexdigest()


@dataclass(frozen=True)
class CaseFolder:
    """Cases read from a folder, and those that could not be."""

    cases: tuple[Case, ...]
    refused: Mapping[str, str]
    """By its id, why a case cannot be used, in one sentence."""
    types: Mapping[str, str]
    """The name of each edit type."""

    def type_of(self, kind: str) -> str:
        """The name of an edit type for people."""
        return self.types.get(kind, f"type {kind}" if kind else "no type")


@dataclass(frozen=True, eq=False)
class Pictures:
    """What a case shows, in pixels: (H, W, 3), in the picture's own colours."""

    document: Document
    source: Picture
    truth: Picture | None


def load_pictures(case: Case) -> Pictures:
    """Decode a case's pictures. Raises `InputError` if one is damaged or they differ in size."""
    document = open_image(case.picture)
    source = flatten(document)[..., :3].copy()
    truth = None if case.truth is None else flatten(open_image(case.truth))[..., :3].copy()
    if truth is not None and truth.shape != source.shape:
        raise InputError(
            f"The true edited picture is {truth.shape[1]} x {truth.shape[0]} pixels, "
            f"the picture {source.shape[1]} x {source.shape[0]}.",
            advice="They must be the same size.",
        )
    return Pictures(document, source, truth)


def png(picture: Picture) -> bytes:
    """The bytes of a picture as PNG."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG")
    return buffer.getvalue()


def png_pixels(data: bytes) -> Picture:
    """The picture that `png` made bytes of. Raises what Pillow raises if they are damaged."""
    return np.asarray(Image.open(io.BytesIO(data), formats=("PNG",)).convert("RGB"))
