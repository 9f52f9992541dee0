"""One-word changes made by Sfumato itself: direct inversion and Prompt-to-Prompt against the true edit."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sfumato.compose import chosen, go_offline
from sfumato.errors import InputError
from sfumato.events import Outcome
from sfumato.method import Job, Recipe
from sfumato.perform import perform
from sfumato.workshop import Workshop, open_workshop
from starter_model.captions import prompt
from starter_model.judge import Reading, read
from starter_model.measures import Bench
from starter_model.recolour import COLOURS
from starter_model.render import render
from starter_model.vae import round_trip
from starter_model.world import PLAIN, Scene, draw_held_out_scene, edit, held_out

KINDS = ("object", "colour", "background")


@dataclass(frozen=True)
class Swap:
    """A change of one word; `which` thing it is about."""

    kind: str
    scene: Scene
    target: Scene
    which: int


def propose(kind: str, words: tuple[str, ...], rng: np.random.Generator) -> Swap | None:
    """One held-out change of that kind, or None where the draw allows none."""
    scene = draw_held_out_scene(rng, words, 0.3)
    which = int(rng.integers(len(scene.things)))
    value = str(rng.choice({"object": words, "colour": COLOURS, "background": tuple(PLAIN)}[kind]))
    if kind == "background" and scene.background not in PLAIN:
        return None  # "on the grass" and "on a red background" differ by more than a word
    try:
        target = edit(scene, which=which, **{kind: value})
    except InputError:
        return None
    visible = all(thing.colour != target.background for thing in target.things)
    return Swap(kind, scene, target, which) if target != scene and visible and held_out(target) else None


def draw_swaps(words: tuple[str, ...], count: int, seed: int = 46, patience: int = 20_000) -> list[Swap]:
    """`count` held-out one-word changes, three kinds in turn; fewer where a small world has not so many."""
    rng, found = np.random.default_rng(seed), []
    for attempt in range(patience):
        if len(found) == count:
            break
        kind = KINDS[(len(found) + attempt // 2000) % len(KINDS)]
        if swap := propose(kind, words, rng):
            found.append(swap)
    return found


def right(swap: Swap, reading: Reading) -> bool:
    """Whether the judge sees the new attribute."""
    thing = swap.target.things[swap.which]
    if swap.kind == "object":
        return reading.objects[swap.which] == thing.word
    if swap.kind == "colour":
        return reading.colours[swap.which] == thing.colour
    return reading.background == swap.target.background


def kept(swap: Swap, bench: Bench) -> NDArray[np.bool_]:
    """(H, W): the pixels that the true edit leaves alone."""
    before, after = render(swap.scene, bench.sprites), render(swap.target, bench.sprites)
    if swap.kind == "background":
        return np.sum(before.coverage, axis=0) >= 1
    return (before.coverage[swap.which] == 0) & (after.coverage[swap.which] == 0)


def finish(steps: Generator[Any, None, Outcome]) -> Outcome:
    """Run a job to its end."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def perform_swap(swap: Swap, bench: Bench, workshop: Workshop, model: Path) -> NDArray[np.uint8]:
    """(H, W, 3): the edit as the program gives it."""
    pixels = render(swap.scene, bench.sprites).pixels
    image = np.dstack([pixels, np.full(pixels.shape[:2], 255, np.uint8)])
    recipe = Recipe(
        source=prompt(swap.scene),
        target=prompt(swap.target),
        inverter="direct",
        editor="p2p",
        model=str(model),
        steps=bench.settings.steps,
        guidance=bench.settings.guidance,
    )
    outcome = finish(perform(Job(recipe=recipe, image=image), workshop))
    result = Image.fromarray(pixels)
    patch = Image.fromarray(outcome.patches[0])
    result.paste(patch, outcome.box[:2], patch)
    return np.asarray(result)


def masked_decibels(made: NDArray[np.uint8], true: NDArray[np.uint8], mask: NDArray[np.bool_]) -> float:
    """PSNR inside a mask, at most 60 dB."""
    error = np.square(made[mask].astype(np.float32) - true[mask]).mean() if mask.any() else 0.0
    return float(10 * np.log10(255**2 / max(error, 255**2 / 1e6)))


def measure_swaps(bench: Bench, model: Path, cache: Path) -> tuple[dict[str, float], NDArray[np.uint8]]:
    """How often the new attribute is right, and how well the rest is kept; also rows of a strip."""
    go_offline()
    workshop = open_workshop(chosen().changed(cache_dir=cache, threads=2))
    swaps = draw_swaps(bench.words, bench.settings.swaps)
    made = np.stack([perform_swap(swap, bench, workshop, model) for swap in swaps])
    true = np.stack([render(swap.target, bench.sprites).pixels for swap in swaps])
    own = round_trip(bench.parts.vae, true)
    good = [right(swap, reading) for swap, reading in zip(swaps, read(bench.judge, made), strict=True)]
    masks = [kept(swap, bench) for swap in swaps]
    rest = [masked_decibels(a, b, m) for a, b, m in zip(made, true, masks, strict=True)]
    vae = [masked_decibels(a, b, m) for a, b, m in zip(own, true, masks, strict=True)]
    found = {
        "swap_right": float(np.mean(good)),
        "swap_rest_db": float(np.mean(rest)),
        "swap_vae_db": float(np.mean(vae)),
    }
    for kind in KINDS:
        of_kind = [value for value, swap in zip(good, swaps, strict=True) if swap.kind == kind]
        found[f"swap_{kind}_right"] = float(np.mean(of_kind)) if of_kind else 1.0
    before = np.stack([render(swap.scene, bench.sprites).pixels for swap in swaps[:8]])
    return found, np.concatenate([before, made[:8], true[:8]])
