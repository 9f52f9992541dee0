"""What a project keeps beyond OpenRaster, in `sfumato/document.json`: requests, masks, candidates, prompts.

Other programs pass over it. The version rises when an older Sfumato could not read what a newer one writes.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from sfumato.errors import InputError
from sfumato.files.archive import Archive
from sfumato.files.recipe import parse_json, refuse_newer
from sfumato.method import Recipe

VERSION = 1
ENTRY = "sfumato/document.json"
MAX_JSON_BYTES = 32 * 2**20


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SavedEdit(_Strict):
    """An `EditInfo`; pictures are named by the entry they lie in."""

    recipe: Recipe
    mask: str | None
    provenance: dict[str, Any]
    candidates: tuple[str, ...]
    chosen: int
    below: str


class SavedLayer(_Strict):
    """What a `Layer` knows that stack.xml does not say."""

    src: str
    id: str
    name: str
    edit: SavedEdit | None = None


class Extras(_Strict):
    """What a `Document` knows that stack.xml does not say."""

    version: Literal[1] = VERSION
    title: str = ""
    recipe: Recipe = Recipe()
    mask: str | None = None
    profile: str | None = None
    exif: str | None = None
    layers: tuple[SavedLayer, ...] = ()

    def to_json(self) -> bytes:
        """Return JSON; what it cannot hold in a provenance becomes null or text, lest it stops a save."""
        return self.model_dump_json(fallback=str).encode()


def storable(text: str) -> str:
    """Return a text that UTF-8 can hold: names of files need not be valid, and titles come from them."""
    return text.encode("utf-8", "replace").decode()


def read_extras(archive: Archive) -> tuple[Extras | None, tuple[str, ...]]:
    """Return a project's extras and notes for the person; no extras if they are absent, newer, or damaged."""
    if ENTRY not in archive:
        return None, ()
    data = archive.read(ENTRY, MAX_JSON_BYTES)
    try:
        content = parse_json(data, "This project")
        refuse_newer(content.get("version"), VERSION, "This project")
        return Extras.model_validate(content), ()
    except (InputError, ValidationError) as error:
        what = (
            error.what if isinstance(error, InputError) else "What Sfumato keeps with a project is damaged."
        )
        return None, (
            what,
            "Its layers were opened as plain pictures; save under another name to keep the rest.",
        )
