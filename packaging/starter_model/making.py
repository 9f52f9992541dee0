"""Edits that the program makes for a sibling's figures; kept as they are made, so that none is made twice."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sfumato.method import Recipe
from sfumato.workshop import Workshop
from starter_model.encoded import recipe_name
from starter_model.export import hashes
from starter_model.sibling_figures import begun
from starter_model.state import write_whole
from starter_model.swaps import edited

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Maker:
    """The program with one model; `folder` is where what it made is kept."""

    workshop: Workshop
    model: Path
    folder: Path

    def begun(self, editor: str) -> Recipe:
        """An edit as the program begins it with the model."""
        return begun(self.model, editor, self.workshop)

    def made(self, name: str, shown: Pixels, recipes: Sequence[Recipe]) -> tuple[Pixels, Pixels]:
        """Pictures (n, H, W, 3) as finished and as decoded, one recipe and another noise each.

        Anything that they depend on is in the name of their file, but for the program itself.
        """
        recipes = [recipe.model_copy(update={"seed": seed}) for seed, recipe in enumerate(recipes)]
        told = {
            "weights": hashes(self.model),
            "shown": hashlib.sha256(shown.tobytes()).hexdigest(),
            "recipes": [recipe.model_dump(mode="json") for recipe in recipes],
        }
        file = self.folder / f"{recipe_name(name, told)}.npz"
        if not file.exists():
            both = [edited(*each, self.workshop) for each in zip(shown, recipes, strict=True)]
            finished, decoded = (np.stack(some) for some in zip(*both, strict=True))
            held = io.BytesIO()
            np.savez_compressed(held, finished=finished, decoded=decoded)
            self.folder.mkdir(parents=True, exist_ok=True)
            write_whole(file, held.getvalue())
        with np.load(file) as kept:
            return kept["finished"], kept["decoded"]
