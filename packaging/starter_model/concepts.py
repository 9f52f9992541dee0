"""The words of the world: which objects there are, which drawing each has and which can change colour."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path


@dataclass(frozen=True)
class Concept:
    """One object word; `natural` is its colour as drawn where it can be recoloured, else None."""

    word: str
    code: str
    kind: str
    natural: str | None = None


@cache
def concepts() -> dict[str, Concept]:
    """Every concept by its word, in the order of concepts.toml."""
    kinds = tomllib.loads(Path(__file__).with_name("concepts.toml").read_text())
    return {
        word: Concept(word, entry["code"], kind, entry.get("natural"))
        for kind, entries in kinds.items()
        for word, entry in entries.items()
    }
