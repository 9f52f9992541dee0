"""Pairings of inverter and editor to be measured, and what each of them is asked for a case.

Every editor gets what PIE-Bench's own runs give it: blended latent diffusion the annotated mask, methods with
a local blend the two blend words, those that follow instructions the instruction, LEDITS++ the changed words.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from sfumato.benchmark.cases import Case
from sfumato.costs import pairings
from sfumato.errors import InputError
from sfumato.method import Mask, MethodInfo, Need, Recipe
from sfumato.params import explain
from sfumato.plugins import Registry
from sfumato.prompts import compare, words

HEADLINE = (
    "ddim+p2p",
    "null_text+p2p",
    "negative_prompt+p2p",
    "direct+p2p",
    "edit_friendly+p2p",
    "ddim+reprompt",
)
"""The pairings that run on all cases unless others are named: one editor under the ways to invert that the
published table compares it under (and edit-friendly DDPM, which h-Edit's table adds), and an inversion under
other words alone, which shows what the editor itself does."""
OWN = ("headline", "use_mask", "reweight", "whole", "decoded")
"""What an entry of a file may say beside its name and its recipe."""
IDENTITY, VAE, TRUTH = "identity", "vae", "truth"
"""Rows that are no pairing: the picture itself, what the model's autoencoder makes of it, the true edit."""


@dataclass(frozen=True)
class Pairing:
    """A row of the table."""

    name: str
    recipe: Recipe
    """Without prompts."""
    headline: bool = False
    """To be run on all cases."""
    use_mask: bool = False
    """Give the editor the annotated mask though it could do without."""
    reweight: float = 1.0
    """Weight of the target's blend word; 2 in published Prompt-to-Prompt rows."""
    whole: bool = False
    """Where a case names no blend words, let a method with a local blend change the whole picture, as
    published; else it decides for itself."""
    decoded: bool = False
    """Show the figures of what the model decodes, as published, before the picture's own detail is put back.

    Both are made and measured in any case."""


def named(name: str, base: Recipe, registry: Registry) -> Pairing:
    """The pairing INVERTER+EDITOR, or EDITOR alone, on top of a recipe.

    Raises `InputError` or `PairingError` if there are no such methods or they cannot be paired.
    """
    inverter, plus, editor = name.rpartition("+")
    info = registry.info("editor", editor)
    if plus and info.inversion == "none":
        raise InputError(f"{info.title} uses no inversion: leave '{inverter}+' out.")
    if not plus and info.inversion == "required":
        raise InputError(f"{info.title} starts from an inversion: say which, such as direct+{editor}.")
    measures = plus and any(each.name == "measure" for each in registry.info("inverter", inverter).controls)
    recipe = base.model_copy(
        update={
            "editor": editor,
            "inverter": inverter,
            # Measuring the reconstruction belongs to no edit and changes none.
            "inverter_values": {"measure": False} if measures else {},
            "editor_values": {},
        }
    )
    return Pairing(name, recipe, name in HEADLINE)


def every(registry: Registry) -> Iterator[str]:
    """The names of all pairings that start from a picture, the headline first."""
    found = [
        editor.name if inverter is None else f"{inverter.name}+{editor.name}"
        for inverter, editor in pairings(registry)
        if Need.IMAGE in editor.needs or editor.inversion != "none"
    ]
    yield from (name for name in HEADLINE if name in found)
    yield from (name for name in found if name not in HEADLINE)


def from_file(path: Path, base: Recipe) -> list[Pairing]:
    """Pairings from a JSON list of recipes, each with "name" and, if wanted, the other fields of `Pairing`.

    Raises `InputError` naming the entry that cannot be.
    """
    try:
        entries = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise InputError(f"{path} cannot be read.") from error
    except ValueError as error:
        raise InputError(f"{path} is no JSON: {error}.") from error
    if not isinstance(entries, list) or not entries:
        raise InputError(f"{path} is no list of recipes.")
    return [_from_entry(path, number, entry, base) for number, entry in enumerate(entries, start=1)]


def _from_entry(path: Path, number: int, entry: Any, base: Recipe) -> Pairing:
    where = f"Pairing {number} of {path.name}"
    if not isinstance(entry, dict) or not isinstance(entry.get("name"), str) or not entry["name"]:
        raise InputError(f"{where} has no name.")
    own = {key: entry[key] for key in OWN if key in entry}
    if not all(isinstance(value, bool | float | int) for value in own.values()):
        raise InputError(f"{where}: reweight is a number, the others are true or false.")
    if entry["name"] in (IDENTITY, VAE, TRUTH):
        raise InputError(f"{where}: '{entry['name']}' is the name of a row of its own.")
    fields = {key: value for key, value in entry.items() if key not in (*own, "name")}
    try:
        recipe = Recipe.model_validate(base.model_dump(include=base.model_fields_set) | fields)
    except ValidationError as error:
        raise InputError(explain(error, where, tuple(Recipe.model_fields))) from error
    return Pairing(entry["name"], recipe, **own)


def asked(pairing: Pairing, case: Case, registry: Registry) -> tuple[Recipe, Mask | None]:
    """What a pairing is asked for a case: the whole recipe, and the mask if it gets one."""
    editor = registry.info("editor", pairing.recipe.editor)
    changes: dict[str, Any] = {
        "source": case.source,
        "target": case.target,
        "instruction": case.instruction,
        "editor_values": _local_blend(pairing, case, editor),
    }
    if Need.CONCEPTS in editor.needs:
        changes["concepts"] = concepts_of(case)
    if pairing.reweight != 1 and case.blended and _said(case.blended[1], case.target):
        changes["word_weights"] = {case.blended[1]: pairing.reweight}
    area = case.area if pairing.use_mask or Need.MASK in editor.needs else None
    mask = None if area is None else np.where(area, np.uint8(255), np.uint8(0))
    return pairing.recipe.model_copy(update=changes), mask


def _local_blend(pairing: Pairing, case: Case, editor: MethodInfo) -> dict[str, Any]:
    """The editor's values, with the blend words if it takes any and the recipe does not say otherwise."""
    values, takes = dict(pairing.recipe.editor_values), {control.name for control in editor.controls}
    if "local" in values or not {"local", "local_source", "local_target"} <= takes:
        return values
    if not case.blended:
        return values | ({"local": "off"} if pairing.whole else {})
    source, target = case.blended
    if not (_said(source, case.source) and _said(target, case.target)):
        return values
    return values | {"local": "chosen words", "local_source": source, "local_target": target}


def _said(word: str, prompt: str) -> bool:
    return word.lower() in (each.text.lower() for each in words(prompt))


def concepts_of(case: Case) -> tuple[tuple[str, float], ...]:
    """What only the target says is added, what only the source says is taken away."""
    pieces = [piece for piece in compare(case.source, case.target) if piece.change != "kept"]
    come = [word.text for piece in pieces for word in words(case.target)[slice(*piece.target)]]
    gone = [word.text for piece in pieces for word in words(case.source)[slice(*piece.source)]]
    return tuple((" ".join(each), sign) for each, sign in ((come, 1.0), (gone, -1.0)) if each)
