"""What the VAE looks at: pieces of the world, foreign drawings, photographs and textures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from starter_model.artwork import Sprites
from starter_model.backgrounds import paint
from starter_model.config import VaeSettings
from starter_model.photographs import Pixels, crop, texture
from starter_model.render import Spot, place_sprite, render
from starter_model.world import BACKGROUNDS, draw_training_scene

SIZES, SHARES = (128, 192, 256), (0.7, 0.15, 0.15)


@dataclass(frozen=True, eq=False)
class Source:
    """Where crops come from."""

    sprites: Sprites
    photographs: tuple[Pixels, ...]
    words: tuple[str, ...]
    settings: VaeSettings

    def picture(self, rng: np.random.Generator, side: int) -> NDArray[np.uint8]:
        """A whole picture (side, side, 3) of the world, or one with a drawing that is no concept."""
        if len(self.sprites.others) and rng.random() < self.settings.strangers:
            pixels = paint(str(rng.choice(BACKGROUNDS)), side, rng)
            drawing = self.sprites.others[int(rng.integers(len(self.sprites.others)))]
            colour, cover = place_sprite(drawing, Spot(0.5, 0.5, float(rng.uniform(0.4, 0.9))), side)
            return np.clip(pixels * (1 - cover[..., None]) + colour * cover[..., None], 0, 255).astype(
                np.uint8
            )
        return render(draw_training_scene(rng, self.words), self.sprites, side).pixels

    def real(self, rng: np.random.Generator, side: int) -> NDArray[np.uint8]:
        """A piece of a photograph (three in four) or a texture."""
        if self.photographs and rng.random() < 0.75:
            return crop(self.photographs[int(rng.integers(len(self.photographs)))], side, rng)
        return texture(side, rng)

    def crops(self, rng: np.random.Generator, count: int, side: int) -> NDArray[np.uint8]:
        """(count, side, side, 3) uint8; several crops come from one picture, most around its middle."""
        found: list[NDArray[np.uint8]] = []
        while len(found) < count:
            if rng.random() < self.settings.photographs:
                found.append(self.real(rng, side))
                continue
            whole = max(side, int(rng.choice(SIZES, p=SHARES)))
            picture = self.picture(rng, whole)
            for _ in range(2 if whole > side else 1):
                middle = rng.normal(0.5, 0.27, 2) * whole - side / 2
                top, left = (int(v) for v in np.clip(middle, 0, whole - side))
                found.append(picture[top : top + side, left : left + side])
        pixels = np.stack(found[:count])
        return pixels[:, :, ::-1] if rng.random() < 0.5 else pixels
