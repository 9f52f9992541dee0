"""What the judge learns from: pictures of the world as they are, as the VAE gives them back, and spoiled."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from starter_model.artwork import Sprites
from starter_model.backgrounds import paint
from starter_model.render import place_sprite, render, spots, stream
from starter_model.world import Scene, draw_held_out_scene, draw_training_scene, hide_some

Pixels = NDArray[np.uint8]


def blur(pixels: Pixels, radius: float) -> Pixels:
    """A picture (H, W, 3 or 4) out of focus; transparent pixels lend no colour."""
    if pixels.shape[-1] == 3:
        return np.asarray(Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(radius)))
    picture = Image.fromarray(pixels).convert("RGBa").filter(ImageFilter.GaussianBlur(radius))
    return np.asarray(picture.convert("RGBA"))


def spoil(sprites: Sprites, words: tuple[str, ...], rng: np.random.Generator) -> Pixels:
    """A drawing that is no word: far out of focus, two mixed into one, or one no concept has."""
    first, second = rng.choice(words, 2, replace=len(words) < 2)
    one, other = np.array(sprites.sprite(str(first), None)), np.array(sprites.sprite(str(second), None))
    kind = rng.random()
    if kind < 0.4:
        return blur(one, float(rng.uniform(20, 42)))
    if kind < 0.7:
        share = rng.uniform(0.4, 0.6)
        return (one * share + other * (1 - share)).astype(np.uint8)
    if kind < 0.85 or not len(sprites.others):
        middle = one.shape[1] // 2
        return np.concatenate([one[:, :middle], other[:, middle:]], axis=1)
    return np.array(sprites.others[int(rng.integers(len(sprites.others)))])


def spoiled_picture(sprites: Sprites, scene: Scene, rng: np.random.Generator, side: int = 128) -> Pixels:
    """The scene's picture with a spoiled drawing where its first thing stands, and nothing else."""
    pixels = paint(scene.background, side, stream(scene.seed, "background"))
    drawing = spoil(sprites, tuple({name.split("/")[0]: None for name in sprites.rows}), rng)
    colour, cover = place_sprite(drawing, spots(scene)[0], side)
    share = cover[..., None]
    return np.clip(pixels * (1 - share) + colour * share, 0, 255).astype(np.uint8)


@dataclass(frozen=True, eq=False)
class Examples:
    """Training pictures on the fly and fixed held-out ones, by name ("renders", "round_trips")."""

    sprites: Sprites
    words: tuple[str, ...]
    round_trips: tuple[Pixels, tuple[Scene, ...]]
    held_out: dict[str, tuple[Pixels, list[Scene]]]
    spoiled: Pixels

    def draw(self, rng: np.random.Generator) -> tuple[Pixels, Scene, bool]:
        """One picture (128, 128, 3), its scene and whether it is spoiled."""
        kind = rng.random()
        if kind < 0.3:
            scene = draw_training_scene(rng, self.words, 0.0)
            return spoiled_picture(self.sprites, scene, rng), scene, True
        if kind < 0.55 and len(self.round_trips[0]):
            row = int(rng.integers(len(self.round_trips[0])))
            return self.round_trips[0][row], self.round_trips[1][row], False
        scene = hide_some(draw_training_scene(rng, self.words, 0.35), rng)
        pixels = render(scene, self.sprites).pixels
        if rng.random() < 0.4:
            pixels = blur(pixels, float(rng.uniform(0, 1.2)))
        return pixels, scene, False


def held_out_scenes(words: tuple[str, ...], count: int, pairs: float, seed: int) -> list[Scene]:
    """Scenes that never enter training, always the same for a seed."""
    rng = np.random.default_rng(seed)
    return [draw_held_out_scene(rng, words, pairs) for _ in range(count)]


def spoiled_pictures(sprites: Sprites, words: tuple[str, ...], count: int) -> Pixels:
    """(count, 128, 128, 3) spoiled pictures the judge has not seen."""
    rng = np.random.default_rng(30_000)
    scenes = held_out_scenes(words, count, 0.0, 30_001)
    return np.stack([spoiled_picture(sprites, scene, rng) for scene in scenes])
