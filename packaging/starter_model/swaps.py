"""One-word changes made by Sfumato itself: direct inversion and Prompt-to-Prompt against the true edit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sfumato.benchmark.judge import Reading
from sfumato.compose import chosen, go_offline
from sfumato.method import Job, Recipe
from sfumato.perform import perform
from sfumato.walking import finished, stepped
from sfumato.workshop import Workshop, open_workshop
from starter_model.captions import prompt
from starter_model.changes import ONE_ATTRIBUTE, Change, propose
from starter_model.measures import Bench
from starter_model.render import render
from starter_model.vae import round_trip


def draw_swaps(words: tuple[str, ...], count: int, seed: int = 46, patience: int = 20_000) -> list[Change]:
    """`count` held-out one-word changes, three kinds in turn; fewer where a small world has not so many."""
    rng, found = np.random.default_rng(seed), []
    for attempt in range(patience):
        if len(found) == count:
            break
        kind = ONE_ATTRIBUTE[(len(found) + attempt // 2000) % len(ONE_ATTRIBUTE)]
        if swap := propose(kind, words, rng, kept=True):
            found.append(swap)
    return found


def right(swap: Change, reading: Reading) -> bool:
    """Whether the judge sees the new attribute."""
    thing = swap.after.things[swap.which]
    if swap.kind == "object":
        return reading.objects[swap.which] == thing.word
    if swap.kind == "colour":
        return reading.colours[swap.which] == thing.colour
    return reading.background == swap.after.background


def kept(swap: Change, bench: Bench) -> NDArray[np.bool_]:
    """(H, W): the pixels that the true edit leaves alone."""
    before, after = render(swap.before, bench.sprites), render(swap.after, bench.sprites)
    if swap.kind == "background":
        return np.sum(before.coverage, axis=0) >= 1
    return (before.coverage[swap.which] == 0) & (after.coverage[swap.which] == 0)


def opened(cache: Path) -> Workshop:
    """The program's workshop, its inversions kept in a folder of the recipe's."""
    go_offline()
    return open_workshop(chosen().changed(cache_dir=cache, threads=2))


def performed(pixels: NDArray[np.uint8], recipe: Recipe, workshop: Workshop) -> NDArray[np.uint8]:
    """A picture (H, W, 3) edited as the program does it."""
    image = np.dstack([pixels, np.full(pixels.shape[:2], 255, np.uint8)])
    outcome = finished(stepped(perform(Job(recipe=recipe, image=image), workshop)))
    result, patch = Image.fromarray(pixels), Image.fromarray(outcome.patches[0])
    result.paste(patch, outcome.box[:2], patch)
    return np.asarray(result)


def perform_swap(swap: Change, bench: Bench, workshop: Workshop, model: Path) -> NDArray[np.uint8]:
    """(H, W, 3): the edit as the program gives it."""
    recipe = Recipe(
        source=prompt(swap.before),
        target=prompt(swap.after),
        inverter="direct",
        editor="p2p",
        model=str(model),
        steps=bench.settings.steps,
        guidance=bench.settings.guidance,
    )
    return performed(render(swap.before, bench.sprites).pixels, recipe, workshop)


def masked_decibels(made: NDArray[np.uint8], true: NDArray[np.uint8], mask: NDArray[np.bool_]) -> float:
    """PSNR inside a mask, at most 60 dB."""
    error = np.square(made[mask].astype(np.float32) - true[mask]).mean() if mask.any() else 0.0
    return float(10 * np.log10(255**2 / max(error, 255**2 / 1e6)))


def measure_swaps(bench: Bench, model: Path, cache: Path) -> tuple[dict[str, float], NDArray[np.uint8]]:
    """How often the new attribute is right, and how well the rest is kept; also rows of a strip."""
    workshop = opened(cache)
    swaps = draw_swaps(bench.words, bench.settings.swaps)
    made = np.stack([perform_swap(swap, bench, workshop, model) for swap in swaps])
    true = np.stack([render(swap.after, bench.sprites).pixels for swap in swaps])
    own = round_trip(bench.parts.vae, true)
    good = [right(swap, reading) for swap, reading in zip(swaps, bench.judge.read(made), strict=True)]
    masks = [kept(swap, bench) for swap in swaps]
    rest = [masked_decibels(a, b, m) for a, b, m in zip(made, true, masks, strict=True)]
    vae = [masked_decibels(a, b, m) for a, b, m in zip(own, true, masks, strict=True)]
    found = {
        "swap_right": float(np.mean(good)),
        "swap_rest_db": float(np.mean(rest)),
        "swap_vae_db": float(np.mean(vae)),
    }
    for kind in ONE_ATTRIBUTE:
        of_kind = [value for value, swap in zip(good, swaps, strict=True) if swap.kind == kind]
        found[f"swap_{kind}_right"] = float(np.mean(of_kind)) if of_kind else 1.0
    before = np.stack([render(swap.before, bench.sprites).pixels for swap in swaps[:8]])
    return found, np.concatenate([before, made[:8], true[:8]])
