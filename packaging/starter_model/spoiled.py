"""What the judge learns from: pictures of the world as they are, as the VAE gives them back, and spoiled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from starter_model.artwork import Sprites
from starter_model.render import render
from starter_model.world import Scene, draw_held_out_scene, draw_shown_scene, draw_training_scene

Pixels = NDArray[np.uint8]

WAYS = {"blurred": 0.4, "blended": 0.3, "halved": 0.15, "foreign": 0.15}
"""How a drawing becomes one of no word, each with its share."""

PAIRS = 0.5
"""The share of pictures with two things, which are what is hard to read."""

ANEW, PREPARED = 0.25, 0.3
"""Shares of what is learnt from: spoiled for the occasion, and as the VAE gives pictures back."""
EVERY = 3
"""Of the prepared pictures one in so many is spoiled."""
SEEN, MET = ANEW + PREPARED / EVERY, 1 / 15
"""The share of spoiled pictures while it learns, and the share that it should reckon with when it judges."""


@dataclass(frozen=True, eq=False)
class Example:
    """A picture (128, 128, 3), its scene, and which of its things is spoiled, if one is."""

    pixels: Pixels
    scene: Scene
    spoiled: int | None = None


def blur(pixels: Pixels, radius: float) -> Pixels:
    """A picture (H, W, 3 or 4) out of focus; transparent pixels lend no colour."""
    if pixels.shape[-1] == 3:
        return np.asarray(Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(radius)))
    picture = Image.fromarray(pixels).convert("RGBa").filter(ImageFilter.GaussianBlur(radius))
    return np.asarray(picture.convert("RGBA"))


@dataclass(frozen=True, eq=False)
class Spoiler:
    """Makes drawings that are no word of the world."""

    sprites: Sprites
    words: tuple[str, ...]
    foreign: Pixels
    """Drawings that are no concept (n, h, w, 4); training and checks have their own."""

    @classmethod
    def of(cls, sprites: Sprites, words: tuple[str, ...], *, checking: bool) -> Spoiler:
        """With nine in ten of the foreign drawings, or the tenth kept for checks."""
        tenth = np.arange(len(sprites.others)) % 10 == 0
        return cls(sprites, words, sprites.others[tenth if checking else ~tenth])

    def drawing(self, way: str, rng: np.random.Generator) -> Pixels:
        """(h, w, 4): far out of focus, two mixed into one, half of each of two, or one no concept has."""
        names = rng.choice(self.words, 2, replace=len(self.words) < 2)
        one, other = (np.array(self.sprites.sprite(str(name), None)) for name in names)
        if way == "blurred":
            return blur(one, float(rng.uniform(20, 42)))
        if way == "blended":
            share = rng.uniform(0.4, 0.6)
            return (one * share + other * (1 - share)).astype(np.uint8)
        if way == "foreign" and len(self.foreign):
            return np.array(self.foreign[int(rng.integers(len(self.foreign)))])
        middle = one.shape[1] // 2
        return np.concatenate([one[:, :middle], other[:, middle:]], axis=1)

    def example(self, scene: Scene, rng: np.random.Generator, way: str = "") -> Example:
        """The scene's picture with one of its things spoiled, and otherwise rendered as any other."""
        way = way or str(rng.choice(list(WAYS), p=list(WAYS.values())))
        which = int(rng.integers(len(scene.things)))
        pixels = render(scene, self.sprites, instead={which: self.drawing(way, rng)}).pixels
        return Example(pixels, scene, which)


@dataclass(frozen=True, eq=False)
class Examples:
    """Training pictures on the fly, and fixed held-out ones."""

    spoiler: Spoiler
    prepared: list[Example]
    """As the VAE gives them back, spoiled ones among them; empty until they are wanted."""
    held_out: Mapping[str, tuple[Pixels, list[Scene]]]
    """By name: "renders", "round_trips"."""
    refused: Mapping[str, Pixels]
    """Spoiled pictures the judge has not seen, by way, each with its round trips ("blurred_round_trips")."""

    def draw(self, rng: np.random.Generator) -> Example:
        """One picture to learn from."""
        kind, words, sprites = rng.random(), self.spoiler.words, self.spoiler.sprites
        if kind < ANEW:
            return self.spoiler.example(draw_training_scene(rng, words, PAIRS), rng)
        if kind < ANEW + PREPARED and len(self.prepared):
            return self.prepared[int(rng.integers(len(self.prepared)))]
        scene = draw_shown_scene(rng, words, PAIRS)
        pixels = render(scene, sprites).pixels
        if rng.random() < 0.4:
            pixels = blur(pixels, float(rng.uniform(0, 1.2)))
        return Example(pixels, scene)


def held_out_scenes(words: tuple[str, ...], count: int, pairs: float, seed: int) -> list[Scene]:
    """Scenes that never enter training, always the same for a seed; `pairs` of them of two things.

    How many things is drawn first: of two things some combination is held out more often than of one.
    """
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        share = pairs if pairs in (0, 1) else float(rng.random() < pairs)
        found.append(draw_held_out_scene(rng, words, share))
    return found


def unseen_spoiled(spoiler: Spoiler, count: int) -> dict[str, Pixels]:
    """(n, 128, 128, 3) by way, `count` of them in all, on held-out scenes of one thing."""
    rng, each = np.random.default_rng(30_000), max(1, count // len(WAYS))
    ways = [way for way in WAYS if way != "foreign" or len(spoiler.foreign)]
    return {
        way: np.stack(
            [
                spoiler.example(scene, rng, way).pixels
                for scene in held_out_scenes(spoiler.words, each, 0.0, 30_001 + n)
            ]
        )
        for n, way in enumerate(ways)
    }
