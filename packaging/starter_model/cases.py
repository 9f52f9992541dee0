"""Editing cases with their true result, in PIE-Bench's own structure: the benchmark that this world allows.

`mapping_file.json` maps ids of twelve digits to what PIE-Bench says of a case (Ju et al., Direct Inversion,
ICLR 2024, and its published data), and here also to the true edited picture, to what a reader of pictures
must find in a good result, and to the scenes themselves.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from difflib import SequenceMatcher
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from sfumato.benchmark.cases import Case
from sfumato.benchmark.folder import Drawn, write_cases
from sfumato.benchmark.judge import Expected
from sfumato.benchmark.masks import encode_runs
from starter_model.artwork import Sprites
from starter_model.captions import prompt
from starter_model.changes import KINDS, Change, draw_change, instruction
from starter_model.judge import layout
from starter_model.render import render

GROWN = 3
"""Pixels by which a mask is larger than what truly changes, as one painted by hand would be."""


def bracketed(before: str, after: str) -> str:
    """The second prompt with what is new in it in [brackets]."""
    old, new = before.split(), after.split()
    said: list[str] = []
    for tag, _, _, first, last in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        words = " ".join(new[first:last])
        if words:
            said.append(words if tag == "equal" else f"[{words}]")
    return " ".join(said)


def blended_words(change: Change) -> tuple[str, ...] | None:
    """The words whose places change, (source, target); None where more changes than a thing's place."""
    if change.kind not in ("object", "colour", "size", "place"):
        return None
    return tuple(scene.things[change.which].word for scene in (change.before, change.after))


def expected(change: Change) -> Iterator[Expected]:
    """What must be found in a good result: what was asked for, and the right things."""
    scene = change.after
    for place, thing in enumerate(scene.shown):
        yield Expected("object", thing.word, place)
        if change.kind in ("colour", "two changes") and thing.colour is not None:
            yield Expected("colour", thing.colour, place)
    if change.kind == "remove":
        yield Expected("absent", scene.things[change.which].word)
    if change.kind in ("background", "surroundings", "two changes"):
        yield Expected("background", scene.background)
    if stands := layout(scene) if change.kind in ("size", "place", "relation") else None:
        yield Expected("layout", stands)


def changed_mask(before: NDArray[np.uint8], after: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """(H, W): where the true edit differs, grown by `GROWN` pixels."""
    differs = Image.fromarray((before != after).any(axis=-1).astype(np.uint8))
    return np.asarray(differs.filter(ImageFilter.MaxFilter(2 * GROWN + 1))) > 0


def drawn_case(name: str, change: Change, sprites: Sprites, side: int) -> Drawn:
    """A case with its pictures of side × side pixels."""
    source, truth = (render(scene, sprites, side).pixels for scene in (change.before, change.after))
    before, after = prompt(change.before), prompt(change.after)
    case = Case(
        id=name,
        picture=Path(),
        size=(side, side),
        source=before,
        target=bracketed(before, after),
        instruction=instruction(change),
        kind=str(KINDS.index(change.kind)),
        blended=blended_words(change),
        mask=encode_runs(changed_mask(source, truth)),
        expected=tuple(expected(change)),
        world={"before": asdict(change.before), "after": asdict(change.after), "which": change.which},
    )
    return Drawn(case, source, truth)


def draw_cases(words: tuple[str, ...], each: int, seed: int) -> Iterator[tuple[str, Change]]:
    """`each` held-out changes of every kind with their ids, always the same ones for a seed."""
    for number, kind in enumerate(KINDS):
        rng = np.random.default_rng([seed, number])
        for index in range(each):
            yield f"{number}{index:011}", draw_change(kind, words, rng, kept=True)


def write_world_cases(
    folder: Path, sprites: Sprites, words: tuple[str, ...], *, each: int, seed: int, side: int
) -> int:
    """Write the cases into a folder; returns how many. Raises `StorageError`."""
    cases = (drawn_case(name, change, sprites, side) for name, change in draw_cases(words, each, seed))
    return write_cases(folder, cases, {str(number): kind for number, kind in enumerate(KINDS)})
