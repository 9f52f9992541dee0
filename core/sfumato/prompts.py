"""Words of a prompt, how much they weigh, and which of them change between two prompts.

`(word:1.3)` gives what is inside the weight 1.3; such a bracket inside another multiplies. Everything that
asks for the words of a prompt sees them without the brackets.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Literal

Change = Literal["kept", "replaced", "added", "removed"]

_WORD = re.compile(r"\w+(?:['’-]\w+)*")
_WEIGHTED = re.compile(r"\(([^()]*):[ ]*(\d{1,3}(?:\.\d{0,6})?|\.\d{1,6})[ ]*\)")
LARGEST_WEIGHT = 10.0


@dataclass(frozen=True)
class Weighed:
    """A prompt without its weights, and for each character left its weight and where it stood."""

    bare: str
    weights: tuple[float, ...]
    places: tuple[int, ...]


def weigh(prompt: str) -> Weighed:
    """Take `(words:1.3)` out of a prompt, innermost first."""
    places, weights, bare = list(range(len(prompt))), [1.0] * len(prompt), prompt
    while match := _WEIGHTED.search(bare):
        before, inside, after = slice(match.start()), slice(*match.span(1)), slice(match.end(), None)
        heavier = [weight * float(match[2]) for weight in weights[inside]]
        weights = weights[before] + heavier + weights[after]
        places = places[before] + places[inside] + places[after]
        bare = bare[before] + bare[inside] + bare[after]
    return Weighed(bare, tuple(weights), tuple(places))


@dataclass(frozen=True)
class Word:
    """A word and where it stands in its prompt: characters [start, end)."""

    text: str
    start: int
    end: int


def words(prompt: str) -> tuple[Word, ...]:
    """Split a prompt into words; punctuation and weights belong to none of them."""
    weighed = weigh(prompt)
    return tuple(
        Word(m.group(), weighed.places[m.start()], weighed.places[m.end() - 1] + 1)
        for m in _WORD.finditer(weighed.bare)
    )


_FUNCTION_WORDS = frozenset({
    "a", "an", "the", "this", "that", "these", "those", "some", "of", "on", "in", "at", "to", "by",
    "for", "from", "with", "without", "and", "or", "into", "onto", "near", "under", "over", "behind",
    "beside", "between", "is", "are", "it", "its",
})  # fmt: skip


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


def changed_things(source: str, target: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What an edit is about, in words of the source and of the target.

    These are the changed words that name something, and the word behind a changed one, which it describes:
    of "a [pink -> yellow] umbrella" the umbrella. Articles and prepositions say little about where they look,
    since a causal text encoder lets them attend to whatever stands before them.
    """
    pieces = [piece for piece in compare(source, target) if piece.change != "kept"]
    return (
        _things(words(source), [piece.source for piece in pieces]),
        _things(words(target), [piece.target for piece in pieces]),
    )


def _things(all_words: tuple[Word, ...], runs: list[tuple[int, int]]) -> tuple[str, ...]:
    chosen = {k for a, b in runs if a < b for k in range(a, b + 1) if k < len(all_words)}
    naming = [k for k in sorted(chosen) if all_words[k].text.lower() not in _FUNCTION_WORDS]
    return tuple(all_words[k].text for k in naming)
