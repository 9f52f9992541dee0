"""What can be said about a checkpoint without loading it: family, parts, bytes, licence."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sfumato.models.catalogue import from_path
from sfumato.models.family import family
from sfumato.models.folder import CLASSES, Folder
from sfumato.models.inspection import inspect

_LICENCE_FILES = re.compile(r"(licen[cs]e|copying)([.-].*)?", re.IGNORECASE)
_LICENCE_LINE = re.compile(r"(?mi)^licen[cs]e:\s*(\S.*)$")
_LICENCE_SECTION = re.compile(r"(?mis)^#+ licen[cs]e\s*\n(.+?)(?=^#|\Z)")
_CARDS = ("README.md", "MODEL_CARD.md")
_MOST_TEXT = 200_000


@dataclass(frozen=True)
class Part:
    """One network or file group of a model."""

    name: str
    kind: str
    """The class it is, such as "UNet2DConditionModel"."""
    bytes: int


@dataclass(frozen=True)
class Content:
    """What a usable model is made of."""

    family: str
    parts: tuple[Part, ...]
    bytes: int
    """Of the files a load reads."""
    licence: str
    """The licence's text, or its name if only that is given; empty if nothing is."""


def content(place: Path) -> Content:
    """Describe what a model's folder or file holds. Raises `ModelError` as `inspection.inspect` does."""
    source = inspect(from_path(place))
    if isinstance(source, Folder):
        index, names = source.configs["index"], (*source.parts, "scheduler")
        parts = tuple(Part(name, _kind(index, name), _bytes(place / name)) for name in names)
    else:
        parts = tuple(Part(name, CLASSES[name], size) for name, size in source.sizes.items())
    total = sum(path.stat().st_size for path in source.files.values())
    return Content(family(source.configs), parts, total, licence(place))


def licence(place: Path) -> str:
    """The text of a licence file in the folder, else what its card says: a `license:` line, or a section."""
    if not place.is_dir():
        return ""
    for path in sorted(place.iterdir()):
        if path.is_file() and _LICENCE_FILES.fullmatch(path.name):
            return _read(path)
    for card in (place / name for name in _CARDS if (place / name).is_file()):
        text = _read(card)
        if found := _LICENCE_LINE.search(text) or _LICENCE_SECTION.search(text):
            return found[1].strip()
    return ""


def _read(path: Path) -> str:
    with path.open(encoding="utf-8", errors="replace") as file:
        return file.read(_MOST_TEXT)


def _kind(index: Mapping[str, Any], part: str) -> str:
    value = index.get(part)
    return str(value[1]) if isinstance(value, list) and len(value) > 1 else ""


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir() if path.is_file())
