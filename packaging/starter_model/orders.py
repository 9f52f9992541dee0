"""What the instructed sibling learns: changes of a scene and tasks on its pixels, with their true results.

The sentences of the tasks are those of Sfumato's InstructDiffusion editor (Geng et al., arXiv:2309.03895).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from starter_model.artwork import Sprites
from starter_model.blemishes import BLEMISHES
from starter_model.changes import ELSEWHERE, Change, draw_change, instruction
from starter_model.encoded import read_scene
from starter_model.render import Array, render
from starter_model.world import PLAIN, draw_held_out_scene, draw_training_scene

VERSION = 3
"""Raise it when the same draw gives another order, picture or truth: they are then encoded anew."""
TASKS = ("mark", "circle", "noise", "blur", "watermark")
MARKS = ("red", "green", "blue", "yellow", "white")
OPACITY = 0.7
"""Of a mark: what is under it can still be made out."""
# Relations, which move everything, and two changes at once are rarer; removing and marking are learnt slowly.
SHARES = {
    "object": 0.12,
    "colour": 0.12,
    "background": 0.06,
    "surroundings": 0.06,
    ELSEWHERE: 0.06,
    "add": 0.10,
    "remove": 0.12,
    "size": 0.06,
    "place": 0.06,
    "relation": 0.05,
    "two changes": 0.05,
    "mark": 0.06,
    "circle": 0.02,
    "noise": 0.02,
    "blur": 0.02,
    "watermark": 0.02,
}
PAIRS = 0.6
"""Share of two things in the scenes of changes: held-out ones are mostly of two, and harder."""

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Order:
    """A change, or a task on the picture of `change.before`; `colour` is what is marked with."""

    change: Change
    task: str = ""
    colour: str = ""

    @property
    def kind(self) -> str:
        """What is to be done."""
        return self.task or self.change.kind


def read_order(row: dict[str, object]) -> Order:
    """An order as `asdict` wrote it."""
    change: dict[str, object] = row["change"]  # pyright: ignore
    scenes = {name: read_scene(change[name]) for name in ("before", "after")}  # pyright: ignore
    return Order(Change(**{**change, **scenes}), row["task"], row["colour"])  # pyright: ignore


def draw_order(kind: str, words: tuple[str, ...], rng: np.random.Generator, *, kept: bool) -> Order:
    """An order of one kind about held-out scenes if `kept`, else about scenes of training."""
    if kind not in TASKS:
        return Order(draw_change(kind, words, rng, kept=kept, pairs=PAIRS))
    scene = (draw_held_out_scene if kept else draw_training_scene)(rng, words)
    which = int(rng.integers(len(scene.things)))
    colour = str(rng.choice(MARKS)) if kind in ("mark", "circle") else ""
    return Order(Change("none", scene, scene, which), kind, colour)


def draw_orders(
    words: tuple[str, ...], rng: np.random.Generator, count: int, *, kept: bool = False
) -> list[Order]:
    """`count` orders of all kinds by `SHARES`."""
    kinds, shares = list(SHARES), np.array(list(SHARES.values()))
    drawn = rng.choice(kinds, size=count, p=shares / shares.sum())
    return [draw_order(str(kind), words, rng, kept=kept) for kind in drawn]


def sentence(order: Order, turn: float = 0.0) -> str:
    """The instruction, in one of the ways people say it, chosen by `turn` in [0, 1)."""
    if not order.task:
        return instruction(order.change, turn)
    named = f"the {order.change.before.things[order.change.which].word}"
    ways = {
        "mark": (
            f"mark the pixels of {named} to {order.colour} and leave the rest unchanged",
            f"mark the pixels of {named} in {order.colour}",
        ),
        "circle": (f"draw a {order.colour} circle around {named}",),
        # Whatever is named, all of the picture is restored: a blemish seldom ends where a thing does.
        "noise": ("remove the noise from the picture", f"remove the noise from {named}"),
        "blur": ("make the picture sharper", f"make {named} sharper"),
        "watermark": ("remove the watermark from the picture", f"remove the watermark from {named}"),
    }[order.task]
    return ways[int(turn * len(ways))]


def recipe(words: tuple[str, ...], seed: int, count: int) -> dict[str, object]:
    """What decides which orders are drawn and what they show."""
    drawn = {"words": words, "seed": seed, "count": count, "shares": SHARES, "pairs": PAIRS}
    return {**drawn, "version": VERSION, "marks": MARKS, "opacity": OPACITY}


def marked(pixels: Pixels, coverage: Array, colour: str) -> Pixels:
    """A picture (H, W, 3) with what is covered (H, W) painted over in a colour."""
    share = (coverage * OPACITY)[..., None]
    return np.rint(pixels * (1 - share) + np.array(PLAIN[colour], np.float32) * share).astype(np.uint8)


def circled(pixels: Pixels, coverage: Array, colour: str) -> Pixels:
    """A picture with an ellipse drawn around what is covered, as far as the picture reaches."""
    rows, columns = np.nonzero(coverage > 0.5)
    if not len(rows):
        return pixels
    side, line = pixels.shape[0], max(2, pixels.shape[0] // 40)
    box = np.array([columns.min(), rows.min(), columns.max(), rows.max()]) + np.array([-1, -1, 1, 1]) * line
    picture = Image.fromarray(pixels)
    edges = [int(edge) for edge in np.clip(box, 0, side - 1)]
    ImageDraw.Draw(picture).ellipse(edges, outline=PLAIN[colour], width=line)
    return np.asarray(picture)


def pictures(order: Order, sprites: Sprites, side: int = 128) -> tuple[Pixels, Pixels]:
    """The picture an order is about, and its true result: (side, side, 3) each."""
    change = order.change
    before = render(change.before, sprites, side)
    if not order.task:
        return before.pixels, render(change.after, sprites, side).pixels
    if order.task == "mark":
        return before.pixels, marked(before.pixels, before.coverage[change.which], order.colour)
    if order.task == "circle":
        return before.pixels, circled(before.pixels, before.coverage[change.which], order.colour)
    rng = np.random.default_rng([change.before.seed, TASKS.index(order.task)])
    return BLEMISHES[order.task](before.pixels, rng), before.pixels
