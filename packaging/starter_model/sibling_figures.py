"""The figures of the siblings' cards, measured through the program itself on held-out scenes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sfumato.benchmark.judge import agrees
from sfumato.method import Job, Recipe
from sfumato.perform import perform
from sfumato.walking import finished, stepped
from sfumato.workshop import Workshop
from starter_model.captions import prompt
from starter_model.cases import changed_mask, expected
from starter_model.changes import KINDS, draw_change
from starter_model.config import Settings
from starter_model.control import Edges, edges
from starter_model.judge import score
from starter_model.measures import Bench
from starter_model.orders import TASKS, Order, draw_order, pictures, sentence
from starter_model.swaps import masked_decibels, performed

Pixels = NDArray[np.uint8]
Figures = dict[str, float]
REACH = 2
"""Pixels that an edge may be off and still count as found."""


def drawn_orders(words: tuple[str, ...], count: int) -> list[Order]:
    """Held-out changes, the ten kinds in turn."""
    rng = np.random.default_rng(61)
    kinds = (KINDS[number % len(KINDS)] for number in range(count))
    return [Order(draw_change(kind, words, rng, kept=True)) for kind in kinds]


def measure_instructed(
    bench: Bench, settings: Settings, model: Path, workshop: Workshop
) -> tuple[Figures, Pixels]:
    """How often held-out instructions are followed, by both editors, and what else changes; rows of a strip.

    An instruction counts as followed when the judge finds everything in the result that should be there.
    """
    own = settings.instruct
    orders = drawn_orders(bench.words, own.checked)
    shown, truths = zip(*(pictures(order, bench.sprites) for order in orders), strict=True)
    found: Figures = {}
    strips = [np.stack(shown[:10])]
    for editor in ("instruct_pix2pix", "instruct_diffusion"):
        recipe = Recipe(
            editor=editor,
            inverter="",
            model=str(model),
            steps=settings.evaluation.steps,
            guidance=own.guidance,
            editor_values={"picture_guidance": own.picture_guidance} if editor == "instruct_pix2pix" else {},
        )
        told = [recipe.model_copy(update={"instruction": sentence(order)}) for order in orders]
        made = np.stack([performed(*each, workshop) for each in zip(shown, told, strict=True)])
        good = [
            agrees(expected(order.change), reading)
            for order, reading in zip(orders, bench.judge.read(made), strict=True)
        ]
        masks = [~changed_mask(a, b) for a, b in zip(shown, truths, strict=True)]
        rest = [masked_decibels(a, b, m) for a, b, m in zip(made, truths, masks, strict=True) if m.any()]
        found |= {f"{editor}_followed": float(np.mean(good)), f"{editor}_rest_db": float(np.mean(rest))}
        for kind in KINDS:
            of_kind = [hit for hit, order in zip(good, orders, strict=True) if order.kind == kind]
            if of_kind:
                found[f"{editor}_{kind.replace(' ', '_')}"] = float(np.mean(of_kind))
        strips.append(made[:10])
    strips.append(np.stack(truths[:10]))
    return found | measure_tasks(bench, settings, model, workshop), np.concatenate(strips)


def measure_tasks(bench: Bench, settings: Settings, model: Path, workshop: Workshop) -> Figures:
    """Marking, circling, freeing of noise and blur: dB to the true result, before and after."""
    rng, found = np.random.default_rng(62), {}
    each = max(1, settings.instruct.checked // 10)
    for task in TASKS:
        orders = [draw_order(task, bench.words, rng, kept=True) for _ in range(each)]
        before, after = [], []
        for order in orders:
            shown, truth = pictures(order, bench.sprites)
            recipe = Recipe(
                editor="instruct_diffusion",
                inverter="",
                model=str(model),
                steps=settings.evaluation.steps,
                guidance=settings.instruct.guidance,
                instruction=sentence(order),
            )
            made, whole = performed(shown, recipe, workshop), np.ones(shown.shape[:2], bool)
            before.append(masked_decibels(shown, truth, whole))
            after.append(masked_decibels(made, truth, whole))
        found |= {f"{task}_before_db": float(np.mean(before)), f"{task}_after_db": float(np.mean(after))}
    return found


def agreement(found: Edges, wanted: Edges) -> float:
    """F1 of edges (H, W), each a hit where the other has one within `REACH` pixels; 1 if both are empty."""
    import cv2

    if not found.any() and not wanted.any():
        return 1.0
    brush = np.ones((2 * REACH + 1, 2 * REACH + 1), np.uint8)
    near = [cv2.dilate(each.astype(np.uint8), brush).astype(bool) for each in (found, wanted)]
    hits = (found & near[1]).sum() / max(found.sum(), 1), (wanted & near[0]).sum() / max(wanted.sum(), 1)
    return float(2 * hits[0] * hits[1] / max(sum(hits), 1e-9))


def painted(recipe: Recipe, workshop: Workshop, control: Pixels | None = None) -> Pixels:
    """(H, W, 3): a picture made from words, along a control image (H, W, 3) where there is one."""
    images = {} if control is None else {"control": np.dstack([control, np.full_like(control[..., :1], 255)])}
    outcome = finished(stepped(perform(Job(recipe=recipe, control_images=images), workshop)))
    return outcome.patches[0][..., :3]


def measure_controlled(
    bench: Bench, settings: Settings, starter: Path, network: Path, workshop: Workshop
) -> tuple[Figures, Pixels]:
    """Edge agreement of pictures painted along held-out edges, and of the same painted without them."""
    scenes = bench.scenes(settings.control.checked, 0.25, 63)
    true = bench.renders(scenes)
    plain = Recipe(
        editor="generate",
        inverter="",
        model=str(starter),
        steps=settings.evaluation.steps,
        guidance=settings.evaluation.guidance,
    )
    along = plain.model_copy(update={"editor": "controlnet", "editor_values": {"network": str(network)}})
    made: dict[str, list[Pixels]] = {"uncontrolled": [], "controlled": []}
    lines = [edges(picture) for picture in true]
    for seed, (scene, drawn) in enumerate(zip(scenes, lines, strict=True)):
        said = {"target": prompt(scene), "seed": seed}
        made["uncontrolled"].append(painted(plain.model_copy(update=said), workshop))
        image = np.repeat(drawn[..., None], 3, axis=2).astype(np.uint8) * 255
        made["controlled"].append(painted(along.model_copy(update=said), workshop, image))
    found: Figures = {}
    for name, some in made.items():
        found[f"{name}_edges"] = float(
            np.mean([agreement(edges(a), b) for a, b in zip(some, lines, strict=True)])
        )
        found[f"{name}_objects"] = score(bench.judge.read(np.stack(some)), scenes).objects
    drawings = (
        np.stack([np.repeat(drawn[..., None], 3, axis=2) for drawn in lines[:10]]).astype(np.uint8) * 255
    )
    return found, np.concatenate([drawings, *(np.stack(some[:10]) for some in made.values())])


def measure_turbo(
    bench: Bench, settings: Settings, starter: Path, model: Path, workshop: Workshop
) -> tuple[Figures, Pixels]:
    """Right objects, colours and backgrounds in a few steps, and of the starter in all of its; a strip."""
    scenes = bench.scenes(settings.turbo.checked, 0.25, 64)
    few = Recipe(
        editor="generate", inverter="", model=str(model), steps=settings.turbo.steps, guidance=1, solver="lcm"
    )
    many = few.model_copy(
        update={
            "model": str(starter),
            "steps": settings.evaluation.steps,
            "guidance": settings.evaluation.guidance,
            "solver": "ddim",
        }
    )
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
