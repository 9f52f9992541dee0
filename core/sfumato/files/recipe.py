"""Recipes as files: all that is needed to run an edit again and to check that it came out the same."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any, Literal, NoReturn

import numpy as np
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sfumato.document.compositor import fingerprint
from sfumato.document.layers import EditInfo
from sfumato.errors import InputError
from sfumato.files.atomic import write_atomically
from sfumato.files.decoding import open_file, open_header, reading
from sfumato.method import Mask, Recipe
from sfumato.params import explain

VERSION = 1
MAX_BYTES = 4_000_000
MAX_MASK_BYTES = 32_000
"""Masks that compress to more are named by their hash alone."""


class SavedMask(BaseModel):
    """The mask of an edit: its hash, and itself if it is small."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sha256: str
    png: str = ""
    """Base64 of a PNG; empty if the mask was too large to travel along."""

    @classmethod
    def of(cls, mask: Mask) -> SavedMask:
        """Describe a mask."""
        buffer = io.BytesIO()
        Image.fromarray(mask).save(buffer, "PNG")
        png = base64.b64encode(buffer.getvalue()).decode() if buffer.tell() <= MAX_MASK_BYTES else ""
        return cls(sha256=fingerprint(mask), png=png)

    def pixels(self) -> Mask | None:
        """Return the mask, or None if only its hash travelled. Raises `InputError` if it is damaged."""
        if not self.png:
            return None
        with reading("The recipe's mask"):
            image = open_header(io.BytesIO(base64.b64decode(self.png)), "The recipe's mask", ("PNG",))
            mask = np.array(image.convert("L"))
        if fingerprint(mask) != self.sha256:
            raise InputError("The recipe's mask is damaged: it does not match its hash.")
        return mask


class SavedRecipe(BaseModel):
    """A recipe and what it was used on: `source_sha256` is `compositor.fingerprint` of that picture."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1] = VERSION
    recipe: Recipe
    provenance: dict[str, Any] = Field(default_factory=dict)
    source_sha256: str = ""
    mask: SavedMask | None = None

    @classmethod
    def of(cls, edit: EditInfo, source_sha256: str = "") -> SavedRecipe:
        """Describe the run that made an edit layer."""
        mask = None if edit.mask is None else SavedMask.of(edit.mask)
        return cls(recipe=edit.recipe, provenance=edit.provenance, source_sha256=source_sha256, mask=mask)

    def to_json(self, *, indent: int | None = None) -> str:
        """Return JSON in plain ASCII, so that it passes unharmed through every kind of metadata.

        What JSON cannot hold in the provenance becomes null or text: it must not stand in the way of a save.
        """
        return json.dumps(json.loads(self.model_dump_json(fallback=str)), indent=indent)

    @classmethod
    def from_json(cls, text: str | bytes, name: str = "The recipe") -> SavedRecipe:
        """Read a recipe. Raises `InputError`: not JSON, another version, or a value out of its range."""
        data = parse_json(text, name)
        refuse_newer(data.get("version"), VERSION, name)
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            raise InputError(explain(error, name, tuple(cls.model_fields))) from error


def parse_json(text: str | bytes, name: str) -> dict[str, Any]:
    """Parse a JSON object from a stranger: no NaN, no infinity, no abyss of brackets. Raises `InputError`."""
    try:
        data = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{name} is not a valid JSON file.") from error
    if not isinstance(data, dict):
        raise InputError(f"{name} does not hold what Sfumato writes.")
    return data


def _refuse_constant(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def refuse_newer(version: object, known: int, name: str) -> None:
    """Raise `InputError` unless `version` is one this program knows, 1 to `known`."""
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise InputError(f"{name} does not say which version of Sfumato's format it is in.")
    if version > known:
        raise InputError(
            f"{name} was made by a newer Sfumato (format {version}; this one reads up to {known}).",
            advice="Update Sfumato to use it.",
        )


def save_recipe(saved: SavedRecipe, path: Path) -> None:
    """Write a recipe file. Raises `StorageError`."""
    with write_atomically(path) as file:
        file.write(saved.to_json(indent=2).encode() + b"\n")


def load_recipe(path: Path) -> SavedRecipe:
    """Read a recipe file. Raises `InputError`."""
    with open_file(path) as file, reading(path.name, "recipe"):
        text = file.read(MAX_BYTES + 1)
        if len(text) > MAX_BYTES:
            raise InputError(f"{path.name} is too large for a recipe.")
        return SavedRecipe.from_json(text, path.name)
