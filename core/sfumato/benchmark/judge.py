"""Whether a picture shows what was asked for, by a network that reads objects, colours and background."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

Attribute = Literal["object", "colour", "background", "layout", "absent"]


@dataclass(frozen=True)
class Expected:
    """One thing a reader must see in the edited picture.

    "object" and "colour" are of the first or second thing, `thing` 0 or 1; an "absent" value must be neither.
    """

    what: Attribute
    value: str
    thing: int = 0


@dataclass(frozen=True)
class Reading:
    """What a picture shows; None where it is none of the words a reader knows (or, second, nothing)."""

    objects: tuple[str | None, str | None]
    colours: tuple[str | None, str | None]
    background: str
    layout: str | None = None
    """Size and place of one thing ("small left"), or how two stand to each other ("beside")."""


class Reader(Protocol):
    """What reads pictures."""

    name: str
    """Of its weights too: another reader, another name."""

    def read(self, pixels: NDArray[np.uint8]) -> list[Reading]:
        """What each of some pictures (n, H, W, 3) uint8 shows."""
        ...


def agrees(expected: Iterable[Expected], reading: Reading) -> bool:
    """Whether all that is expected is seen."""
    return all(_seen(each, reading) for each in expected)


def _seen(expected: Expected, reading: Reading) -> bool:
    if expected.what == "absent":
        return expected.value not in reading.objects
    if expected.what in ("background", "layout"):
        return getattr(reading, expected.what) == expected.value
    seen = reading.objects if expected.what == "object" else reading.colours
    return seen[expected.thing] == expected.value


def load_reader(folder: Path) -> Reader:
    """Load the reader in a folder. Raises `ModelError`."""
    from sfumato.models.judge import load_judge

    return load_judge(folder)
