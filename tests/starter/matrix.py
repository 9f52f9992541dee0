"""Every pairing of inverter and editor on the shipped model, with numbers.

    python -m tests.starter.matrix FOLDER [--steps 50] [--pairs 02,04] [-o sheet.png]

FOLDER is the one `pairs` reads. One line per pairing and pair: gain (how far the edit went towards the true
edited picture, where something should change), PSNR of what should not change against the opened picture and,
as the model decodes it, against the VAE's round trip, and the row evaluations it took.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from sfumato import compose
from sfumato.errors import SfumatoError
from sfumato.method import Job, MethodInfo, Need, Recipe
from sfumato.order import facts_of
from sfumato.pairing import refusal
from sfumato.perform import perform
from sfumato.prompts import compare, words
from sfumato.walking import stepped
from tests.starter.pairs import Pair, Picture, blurred_gain, load_pairs, psnr
from tests.tiny import drain


@dataclass(frozen=True)
class Pairing:
    """An inverter, or none, and an editor."""

    inverter: str
    editor: str

    def __str__(self) -> str:
        return f"{self.inverter} + {self.editor}" if self.inverter else self.editor


@dataclass(frozen=True)
class Line:
    """One pairing on one pair."""

    pairing: Pairing
    pair: str
    gain: float
    outside: float
    rows: tuple[int, int]


def job_of(pair: Pair, pairing: Pairing, needs: frozenset[Need], steps: int) -> Job:
    """The edit of a pair that a pairing is asked for, with all that its editor needs."""
    pixels = np.full((*pair.source.shape[:2], 4), 255, np.uint8)
    pixels[..., :3] = np.rint(pair.source * 255)
    mask = np.where(pair.changed, np.uint8(255), np.uint8(0)) if Need.MASK in needs else None
    recipe = Recipe(
        source=pair.source_prompt,
        target=pair.target_prompt,
        concepts=concepts_of(pair) if Need.CONCEPTS in needs else (),
        inverter=pairing.inverter or "direct",
        editor=pairing.editor,
        steps=steps,
    )
    return Job(recipe=recipe, image=pixels, mask=mask)


def concepts_of(pair: Pair) -> tuple[tuple[str, float], ...]:
    """What the target has and the source has not is added, what only the source has is taken away."""
    pieces = [piece for piece in compare(pair.source_prompt, pair.target_prompt) if piece.change != "kept"]
    gone = [word.text for piece in pieces for word in words(pair.source_prompt)[slice(*piece.source)]]
    come = [word.text for piece in pieces for word in words(pair.target_prompt)[slice(*piece.target)]]
    return (" ".join(come), 1.0), (" ".join(gone), -1.0)


def pairings(workshop: Any, pair: Pair) -> Iterator[tuple[Pairing, str | None]]:
    """Every pairing there is, and why it cannot be tried on the shipped model, if so."""
    ready = workshop.registry.describe()
    editors = [info for info in ready.methods if info.kind == "editor" and Need.IMAGE in info.needs]
    inverters = [info for info in ready.methods if info.kind == "inverter"]
    for editor in editors:
        for inverter in inverters if editor.inversion == "required" else [None]:
            pairing = Pairing(inverter.name if inverter else "", editor.name)
            yield pairing, _reason(workshop, pair, pairing, editor, inverter)


def _reason(
    workshop: Any, pair: Pair, pairing: Pairing, editor: MethodInfo, inverter: MethodInfo | None
) -> str | None:
    job = job_of(pair, pairing, editor.needs, 50)
    return refusal(editor, inverter, workshop.describe("starter"), facts=facts_of(job))


def run(pair: Pair, pairing: Pairing, workshop: Any, steps: int) -> tuple[Line, Picture]:
    """Perform the edit as the program does, and measure the finished picture."""
    needs = workshop.registry.info("editor", pairing.editor).needs
    outcome = drain(stepped(perform(job_of(pair, pairing, needs, steps), workshop)))
    left, top, right, bottom = outcome.box
    patch = outcome.patches[0].astype(np.float32) / 255
    finished = pair.source.copy()
    alpha = patch[..., 3:]
    here = finished[top:bottom, left:right]
    finished[top:bottom, left:right] = here * (1 - alpha) + patch[..., :3] * alpha
    rows = outcome.rows["inversion"], outcome.rows["edit"]
    gain, outside = blurred_gain(pair, finished), psnr(finished, pair.source, ~pair.changed)
    return Line(pairing, pair.id, gain, outside, rows), finished


def main() -> None:
    """Print the matrix; draw it if asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--pairs", default="02,04")
    parser.add_argument("-o", dest="sheet", type=Path)
    given = parser.parse_args()
    workshop = compose.workshop()
    pairs = [pair for pair in load_pairs(given.folder) if pair.id in given.pairs.split(",")]
    sheet: dict[Pairing, list[Picture]] = {}
    print(f"{'pairing':34}{'pair':>5}{'gain':>7}{'outside':>9}{'inversion':>11}{'edit':>6}")
    for pair in pairs:
        for pairing, reason in pairings(workshop, pair):
            if reason is not None:
                print(f"{pairing!s:34}{pair.id:>5}  {reason}")
                continue
            try:
                line, picture = run(pair, pairing, workshop, given.steps)
            except SfumatoError as error:
                print(f"{pairing!s:34}{pair.id:>5}  {error}", flush=True)
                continue
            numbers = f"{line.gain:7.2f}{line.outside:9.1f}{line.rows[0]:11}{line.rows[1]:6}"
            print(f"{pairing!s:34}{pair.id:>5}{numbers}", flush=True)
            sheet.setdefault(pairing, [pair.source, pair.truth]).append(picture)
    if given.sheet is not None:
        grid = np.concatenate([np.concatenate(row, axis=1) for row in sheet.values()])
        Image.fromarray(np.rint(grid * 255).astype(np.uint8)).save(given.sheet)


if __name__ == "__main__":
    main()
