"""Editing cases with their true result, in PIE-Bench's own structure: the benchmark that this world allows.

`mapping_file.json` maps ids of twelve digits to what PIE-Bench says of a case (Ju et al., Direct Inversion,
ICLR 2024, and its published data), and here also to the true edited picture, to what a reader of pictures
must find in a good result, and to the scenes themselves.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import asdict
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from sfumato.benchmark.masks import encode_runs
from starter_model.artwork import Sprites
from starter_model.captions import prompt
from starter_model.changes import KINDS, Change, draw_change, instruction
from starter_model.judge import layout
from starter_model.render import render
from starter_model.state import write_whole

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


def blended_words(change: Change) -> dict[str, str]:
    """The words whose places change, "source target"; left unsaid where more changes than a thing's place."""
    if change.kind not in ("object", "colour", "size", "place"):
        return {}
    old, new = (scene.things[change.which].word for scene in (change.before, change.after))
    return {"blended_word": f"{old} {new}"}


def expected(change: Change) -> list[dict[str, Any]]:
    """What must be found in a good result: what was asked for, and the right things."""
    scene = change.after
    found: list[dict[str, Any]] = []
    for place, thing in enumerate(scene.shown):
        found.append({"what": "object", "thing": place, "value": thing.word})
        if change.kind in ("colour", "two changes") and thing.colour is not None:
            found.append({"what": "colour", "thing": place, "value": thing.colour})
    if change.kind == "remove":
        found.append({"what": "absent", "value": scene.things[change.which].word})
    if change.kind in ("background", "surroundings", "two changes"):
        found.append({"what": "background", "value": scene.background})
    if change.kind in ("size", "place", "relation"):
        found.append({"what": "layout", "value": layout(scene)})
    return found


def changed_mask(before: NDArray[np.uint8], after: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """(H, W): where the true edit differs, grown by `GROWN` pixels."""
    differs = Image.fromarray((before != after).any(axis=-1).astype(np.uint8))
    return np.asarray(differs.filter(ImageFilter.MaxFilter(2 * GROWN + 1))) > 0


def webp(pixels: NDArray[np.uint8]) -> bytes:
    """A picture (H, W, 3), not a pixel of it lost."""
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "WEBP", lossless=True, method=6)
    return content.getvalue()


def entry(change: Change, place: str, mask: NDArray[np.bool_]) -> dict[str, Any]:
    """A case as the mapping file holds it; its pictures are at `place` under their folders."""
    before, after = prompt(change.before), prompt(change.after)
    return {
        "image_path": place,
        "original_prompt": before,
        "editing_prompt": bracketed(before, after),
        "editing_instruction": instruction(change),
        "editing_type_id": str(KINDS.index(change.kind)),
        **blended_words(change),
        "mask": encode_runs(mask),
        "truth_path": place,
        "expected": expected(change),
        "world": {"before": asdict(change.before), "after": asdict(change.after), "which": change.which},
    }


def draw_cases(words: tuple[str, ...], each: int, seed: int) -> Iterator[tuple[str, Change]]:
    """`each` held-out changes of every kind with their ids, always the same ones for a seed."""
    for number, kind in enumerate(KINDS):
        rng = np.random.default_rng([seed, number])
        for index in range(each):
            yield f"{number}{index:011}", draw_change(kind, words, rng, kept=True)


def write_cases(
    folder: Path, sprites: Sprites, words: tuple[str, ...], *, each: int, seed: int, side: int
) -> int:
    """Write the cases with their pictures of side × side pixels into a folder; returns how many."""
    entries = {}
    for name, change in draw_cases(words, each, seed):
        number = KINDS.index(change.kind)
        before, after = (render(scene, sprites, side).pixels for scene in (change.before, change.after))
        place = f"{number}_{change.kind.replace(' ', '_')}/{name}.webp"
        write_whole(folder / "annotation_images" / place, webp(before))
        write_whole(folder / "truth_images" / place, webp(after))
        entries[name] = entry(change, place, changed_mask(before, after))
    types = {str(number): kind for number, kind in enumerate(KINDS)}
    write_whole(folder / "edit_types.json", (json.dumps(types, indent=1) + "\n").encode())
    lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(each)}" for name, each in entries.items())
    write_whole(folder / "mapping_file.json", f"{{\n{lines}\n}}\n".encode())
    return len(entries)
