"""Words of a prompt, and which of them change between two prompts."""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Literal

Change = Literal["kept", "replaced", "added", "removed"]

_WORD = re.compile(r"\w+(?:['’-]\w+)*")


@dataclass(frozen=True)
class Word:
    """A word and where it stands in its prompt: characters [start, end)."""

    text: str
    start: int
    end: int


def words(prompt: str) -> tuple[Word, ...]:
    """Split a prompt into words; punctuation belongs to none of them."""
    return tuple(Word(m.group(), m.start(), m.end()) for m in _WORD.finditer(prompt))


@dataclass(frozen=True)
class Piece:
    """A run of words that is kept, or that the edit replaces, adds or removes; word indices [a, b)."""

    change: Change
    source: tuple[int, int]
    target: tuple[int, int]


def compare(source: str, target: str) -> tuple[Piece, ...]:
    """Align two prompts word by word (case is ignored), in order."""
    a = [word.text.lower() for word in words(source)]
    b = [word.text.lower() for word in words(target)]
    names: dict[str, Change] = {
        "equal": "kept",
        "replace": "replaced",
        "insert": "added",
        "delete": "removed",
    }
    opcodes = SequenceMatcher(a=a, b=b, autojunk=False).get_opcodes()
    return tuple(Piece(names[tag], (a0, a1), (b0, b1)) for tag, a0, a1, b0, b1 in opcodes)
