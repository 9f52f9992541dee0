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

Pixels = NDArray[np.uint8]


def draw_swaps(words: tuple[str, ...], count: int, seed: int = 46, patience: int = 20_000) -> list[Change]:
    """`count` held-out one-word changes, three kinds in turn; fewer where a small world has not so many.

    Three in ten are of two things, each turn of the kinds: left to chance nine in ten would be, since both
    ends of a change have to be held out.
    """
    rng, found = np.random.default_rng(seed), []
    for attempt in range(patience):
        if len(found) == count:
            break
        turn, kind = divmod(len(found) + attempt // 2000, len(ONE_ATTRIBUTE))
        pairs = float(turn % 10 in (2, 5, 8))
        if swap := propose(ONE_ATTRIBUTE[kind], words, rng, kept=True, pairs=pairs):
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


def edited(pixels: Pixels, recipe: Recipe, workshop: Workshop) -> tuple[Pixels, Pixels]:
    """A picture (H, W, 3) edited by the program: finished, and as the model decodes it, the same size.

    The finished one has the picture's own detail put back where nothing was changed.
    """
    image = np.dstack([pixels, np.full(pixels.shape[:2], 255, np.uint8)])
    outcome = finished(stepped(perform(Job(recipe=recipe, image=image), workshop)))
    result, patch = Image.fromarray(pixels), Image.fromarray(outcome.patches[0])
    result.paste(patch, outcome.box[:2], patch)
    decoded = Image.fromarray(outcome.extras["decoded"][0])
    whole = Image.fromarray(pixels)
    whole.paste(decoded.resize(patch.size, Image.Resampling.LANCZOS), outcome.box[:2])
    return np.asarray(result), np.asarray(whole)


def perform_swap(swap: Change, bench: Bench, workshop: Workshop, model: Path) -> tuple[Pixels, Pixels]:
    """The edit of a change as `edited` gives it."""
    recipe = Recipe(
        source=prompt(swap.before),
        target=prompt(swap.after),
        inverter="direct",
        editor="p2p",
        model=str(model),
        steps=bench.settings.steps,
        guidance=bench.settings.guidance,
    )
    return edited(render(swap.before, bench.sprites).pixels, recipe, workshop)


def masked_decibels(made: Pixels, true: Pixels, mask: NDArray[np.bool_]) -> float:
    """PSNR inside a mask, at most 60 dB."""
    error = np.square(made[mask].astype(np.float32) - true[mask]).mean() if mask.any() else 0.0
    return float(10 * np.log10(255**2 / max(error, 255**2 / 1e6)))


def measure_swaps(bench: Bench, model: Path, cache: Path) -> tuple[dict[str, float], Pixels]:
    """How often the new attribute is right, and how well the rest is kept; also rows of a strip.

    What is kept is measured as decoded, beside the VAE's round trip of the true edit; `swap_finished_db`
    is of the picture as the program finishes it.
    """
    workshop = opened(cache)
    swaps = draw_swaps(bench.words, bench.settings.swaps)
    both = [perform_swap(swap, bench, workshop, model) for swap in swaps]
    made, decoded = (np.stack(pictures) for pictures in zip(*both, strict=True))
    true = np.stack([render(swap.after, bench.sprites).pixels for swap in swaps])
    own = round_trip(bench.parts.vae, true)
    good = [right(swap, reading) for swap, reading in zip(swaps, bench.judge.read(made), strict=True)]
    masks = [kept(swap, bench) for swap in swaps]
    shown = {"rest": decoded, "vae": own, "finished": made}
    rest = {
        name: [masked_decibels(a, b, m) for a, b, m in zip(pictures, true, masks, strict=True)]
        for name, pictures in shown.items()
    }
    found = {f"swap_{name}_db": float(np.mean(values)) for name, values in rest.items()}
    spared = [mine >= vae - 1 for mine, vae in zip(rest["rest"], rest["vae"], strict=True)]
    found |= {"swap_right": float(np.mean(good)), "swap_spared": float(np.mean(spared))}
    found |= shares(swaps, good)
    before = np.stack([render(swap.before, bench.sprites).pixels for swap in swaps[:8]])
    return found, np.concatenate([before, made[:8], true[:8]])


def shares(swaps: list[Change], good: list[bool]) -> dict[str, float]:
    """Shares of right ones by kind and by number of things, with how many there are; 1 of none."""
    groups = {kind: [swap.kind == kind for swap in swaps] for kind in ONE_ATTRIBUTE}
    groups |= {name: [len(swap.before.things) == n for swap in swaps] for n, name in ((1, "one"), (2, "two"))}
    found = {}
    for name, belongs in groups.items():
        hits = [hit for hit, wanted in zip(good, belongs, strict=True) if wanted]
        found |= {f"swap_{name}_right": float(np.mean(hits or [1.0])), f"swap_{name}_cases": float(len(hits))}
    return found
