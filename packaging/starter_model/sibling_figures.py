"""The figures of the siblings' cards, measured through the program itself on held-out scenes."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sfumato.method import Job, Recipe
from sfumato.models.catalogue import from_folder
from sfumato.models.inspection import describe
from sfumato.perform import perform
from sfumato.starting import starting, starting_values
from sfumato.walking import finished, stepped
from sfumato.workshop import Workshop
from starter_model.captions import prompt
from starter_model.config import Settings
from starter_model.control import Edges, edges
from starter_model.judge import score
from starter_model.measures import Bench
from starter_model.vae import round_trip

Pixels = NDArray[np.uint8]
Figures = dict[str, float]
REACH = 2
"""Pixels that an edge may be off and still count as found."""


def begun(model: Path, editor: str, workshop: Workshop) -> Recipe:
    """An edit as the program begins it with a model, so that cards tell what people get."""
    info, method = describe(from_folder(model)), workshop.registry.info("editor", editor)
    start = {**starting(info, editor), "editor_values": starting_values(info, method)}
    return Recipe.model_validate({"editor": editor, "inverter": "", "model": str(model), **start})


def agreement(found: Edges, wanted: Edges) -> float:
    """F1 of edges (H, W), each a hit where the other has one within `REACH` pixels; 1 if both are empty."""
    import cv2

    if not found.any() and not wanted.any():
        return 1.0
    brush = np.ones((2 * REACH + 1, 2 * REACH + 1), np.uint8)
    near = [cv2.dilate(each.astype(np.uint8), brush).astype(bool) for each in (found, wanted)]
    hits = (found & near[1]).sum() / max(found.sum(), 1), (wanted & near[0]).sum() / max(wanted.sum(), 1)
    return float(2 * hits[0] * hits[1] / max(sum(hits), 1e-9))


def mean_agreement(pictures: Iterable[Pixels], wanted: Iterable[Edges]) -> float:
    """How well the edges of pictures (H, W, 3) agree with those wanted."""
    return float(np.mean([agreement(edges(a), b) for a, b in zip(pictures, wanted, strict=True)]))


def painted(recipe: Recipe, workshop: Workshop, control: Pixels | None = None) -> Pixels:
    """(H, W, 3): a picture made from words, along a control image (H, W, 3) where there is one."""
    images = {} if control is None else {"control": np.dstack([control, np.full_like(control[..., :1], 255)])}
    outcome = finished(stepped(perform(Job(recipe=recipe, control_images=images), workshop)))
    return outcome.patches[0][..., :3]


def as_picture(lines: Edges) -> Pixels:
    """(H, W, 3): edges as a control image."""
    return np.repeat(lines[..., None], 3, axis=2).astype(np.uint8) * 255


def measure_controlled(
    bench: Bench, settings: Settings, starter: Path, network: Path, workshop: Workshop
) -> tuple[Figures, Pixels]:
    """Edge agreement of pictures painted along held-out edges, and of the same painted without them.

    "finely" are painted along lines drawn at four times the size, as a control layer's are; `vae_edges` is of
    the true pictures as the VAE gives them back.
    """
    scenes = bench.scenes(settings.control.checked, 0.25, 63)
    true, fine = bench.renders(scenes), bench.renders(scenes, 512)
    plain = begun(starter, "generate", workshop)
    along = plain.model_copy(update={"editor": "controlnet", "editor_values": {"network": str(network)}})
    made: dict[str, list[Pixels]] = {"uncontrolled": [], "controlled": [], "finely": []}
    lines = [edges(picture) for picture in true]
    for seed, (scene, drawn, large) in enumerate(zip(scenes, lines, fine, strict=True)):
        said = {"target": prompt(scene), "seed": seed}
        made["uncontrolled"].append(painted(plain.model_copy(update=said), workshop))
        for name, found_lines in (("controlled", drawn), ("finely", edges(large))):
            made[name].append(painted(along.model_copy(update=said), workshop, as_picture(found_lines)))
    found = {"vae_edges": mean_agreement(round_trip(bench.parts.vae, np.stack(true)), lines)}
    for name, some in made.items():
        found[f"{name}_edges"] = mean_agreement(some, lines)
        found[f"{name}_objects"] = score(bench.judge.read(np.stack(some)), scenes).objects
    drawings = np.stack([as_picture(drawn) for drawn in lines[:10]])
    return found, np.concatenate([drawings, *(np.stack(some[:10]) for some in made.values())])


def measure_turbo(
    bench: Bench, settings: Settings, starter: Path, model: Path, workshop: Workshop
) -> tuple[Figures, Pixels]:
    """Right objects, colours and backgrounds in a few steps, and of the starter in all of its; a strip."""
    scenes = bench.scenes(settings.turbo.checked, 0.25, 64)
    few = begun(model, "generate", workshop)
    many = begun(starter, "generate", workshop)
    found: Figures = {}
    strips = []
    for name, recipe in (("starter", many), ("turbo", few)):
        said = ({"target": prompt(scene), "seed": seed} for seed, scene in enumerate(scenes))
        made = np.stack([painted(recipe.model_copy(update=each), workshop) for each in said])
        result = score(bench.judge.read(made), scenes)
        found |= {f"{name}_objects": result.objects, f"{name}_colours": result.colours}
        found[f"{name}_background"] = result.background
        strips.append(made[:10])
    return found, np.concatenate(strips)
