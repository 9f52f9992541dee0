"""Backgrounds painted by formula at any size: eleven plain colours and nine places."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from starter_model.world import PLAIN

Array = NDArray[np.floating]
Colour = tuple[float, float, float]


class Canvas:
    """A (side, side, 3) float32 picture in 0–255 on unit coordinates, painted from back to front."""

    def __init__(self, side: int, rng: np.random.Generator) -> None:
        self.side, self.rng = side, rng
        axis = (np.arange(side, dtype=np.float32) + 0.5) / side
        self.x, self.y = axis[None, :], axis[:, None]
        self.pixels = np.zeros((side, side, 3), np.float32)

    def tone(self, colour: Colour, spread: float = 8.0) -> Array:
        """The colour with a little jitter."""
        return np.clip(np.array(colour, np.float32) + self.rng.uniform(-spread, spread, 3), 0, 255).astype(
            np.float32
        )

    def gradient(self, top: Colour, bottom: Colour) -> None:
        """Fill everything from one colour above to another below."""
        first, last = self.tone(top), self.tone(bottom)
        self.pixels[:] = first + self.y[..., None] * (last - first)

    def lay(self, cover: Array, colour: Array) -> None:
        """Paint a colour with a coverage in [0, 1]."""
        share = cover[..., None]
        self.pixels += share * (colour - self.pixels)

    def edge(self, distance: Array) -> Array:
        """Coverage of distance > 0 (unit lengths), antialiased over one pixel."""
        return np.clip(distance * self.side + 0.5, 0, 1).astype(np.float32)

    def reach(self, middle: float, radius: float) -> slice:
        """The pixels of one axis that a disc can touch."""
        first, last = int((middle - radius) * self.side) - 2, int((middle + radius) * self.side) + 3
        return slice(max(0, first), max(0, last))

    def disc(self, centre: tuple[float, float], radii: tuple[float, float], colour: Array) -> None:
        """An ellipse."""
        rows, columns = (
            slice(
                max(0, int((middle - radius) * self.side) - 2), max(0, int((middle + radius) * self.side) + 3)
            )
            for middle, radius in ((centre[1], radii[1]), (centre[0], radii[0]))
        )
        far = np.hypot((self.x[:, columns] - centre[0]) / radii[0], (self.y[rows] - centre[1]) / radii[1])
        share = self.edge((1 - far) * min(radii))[..., None]
        under = self.pixels[rows, columns]
        under += share * (colour - under)

    def ground(self, height: float, swell: float, top: Colour, bottom: Colour) -> None:
        """Everything under a wavy horizon at `height`, shaded towards the bottom."""
        phase, waves = self.rng.uniform(0, 6.28), self.rng.uniform(1.0, 2.2)
        line = height + swell * np.sin(6.28 * waves * self.x + phase)
        first, last = self.tone(top), self.tone(bottom)
        shade = first + np.clip((self.y - height) / (1.02 - height), 0, 1)[..., None] * (last - first)
        cover = self.edge(self.y - line)[..., None]
        self.pixels += cover * (shade - self.pixels)

    def clouds(self, count: int, colour: Colour, lowest: float) -> None:
        """Clouds of three overlapping ellipses."""
        white = self.tone(colour, 4)
        for _ in range(count):
            x, y, size = self.rng.uniform(0, 1), self.rng.uniform(0.06, lowest), self.rng.uniform(0.06, 0.11)
            for shift, scale in ((-0.9, 0.62), (0.0, 1.0), (0.95, 0.7)):
                part = size * scale
                self.disc((x + shift * size, y + (size - part) * 0.5), (part * 1.2, part * 0.62), white)

    def specks(self, count: int, box: tuple[float, float], radius: float, colour: Colour) -> None:
        """Small discs scattered between two heights."""
        tone = self.tone(colour)
        for _ in range(count):
            size = radius * self.rng.uniform(0.6, 1.3)
            self.disc((self.rng.uniform(0, 1), self.rng.uniform(*box)), (size, size), tone)


def grass(canvas: Canvas) -> None:
    """Hills of grass with a few flowers under a summer sky."""
    canvas.gradient((110, 180, 245), (200, 228, 250))
    canvas.clouds(2, (250, 250, 252), 0.3)
    canvas.ground(canvas.rng.uniform(0.58, 0.64), 0.025, (128, 196, 84), (70, 148, 58))
    canvas.specks(7, (0.72, 0.98), 0.009, (250, 240, 150))


def snow(canvas: Canvas) -> None:
    """Snowfields and falling flakes."""
    canvas.gradient((150, 172, 205), (205, 216, 232))
    canvas.ground(canvas.rng.uniform(0.58, 0.64), 0.03, (250, 252, 255), (222, 231, 244))
    canvas.specks(16, (0.02, 0.6), 0.009, (250, 252, 255))


def desert(canvas: Canvas) -> None:
    """Two rows of dunes under a hot sky."""
    canvas.gradient((246, 196, 120), (253, 232, 190))
    canvas.disc((canvas.rng.uniform(0.1, 0.9), 0.14), (0.07, 0.07), canvas.tone((255, 246, 205)))
    canvas.ground(canvas.rng.uniform(0.54, 0.6), 0.04, (226, 168, 92), (214, 150, 78))
    canvas.ground(canvas.rng.uniform(0.68, 0.74), 0.04, (240, 190, 112), (222, 160, 84))


def beach(canvas: Canvas) -> None:
    """Sky, a straight sea and sand."""
    canvas.gradient((90, 175, 245), (190, 228, 250))
    canvas.clouds(1, (252, 252, 253), 0.25)
    canvas.ground(0.52, 0.0, (40, 120, 190), (70, 165, 205))
    canvas.ground(canvas.rng.uniform(0.64, 0.7), 0.018, (246, 224, 172), (232, 202, 140))


def sea(canvas: Canvas) -> None:
    """Open water with three rows of waves."""
    canvas.gradient((130, 195, 245), (205, 232, 250))
    for row, (top, bottom) in enumerate((((58, 140, 205), (40, 110, 185)), ((44, 122, 195), (28, 92, 168)))):
        canvas.ground(0.5 + 0.22 * row + canvas.rng.uniform(-0.02, 0.02), 0.02, top, bottom)
    phase = canvas.rng.uniform(0, 6.28)
    crest = 0.88 + 0.015 * np.sin(6.28 * 3 * canvas.x + phase)
    canvas.lay(canvas.edge(0.009 - np.abs(canvas.y - crest)), canvas.tone((190, 225, 245)))


def sky(canvas: Canvas) -> None:
    """Nothing but sky and clouds."""
    canvas.gradient((70, 150, 240), (180, 222, 252))
    canvas.clouds(5, (252, 253, 255), 0.94)


def night(canvas: Canvas) -> None:
    """Stars and a dark hill."""
    canvas.gradient((12, 14, 46), (40, 44, 98))
    canvas.specks(22, (0.02, 0.7), 0.007, (250, 246, 214))
    canvas.ground(canvas.rng.uniform(0.76, 0.82), 0.03, (22, 30, 50), (12, 16, 30))


def forest(canvas: Canvas) -> None:
    """A row of dark firs behind a clearing."""
    canvas.gradient((150, 200, 180), (196, 226, 196))
    for depth, green in enumerate(((52, 112, 84), (28, 84, 60))):
        tone, shift = canvas.tone(green), canvas.rng.uniform(0, 0.14)
        for place in np.arange(-0.05, 1.1, 0.14):
            x, top = place + shift * 0.5 + 0.07 * depth, 0.12 + 0.1 * depth + canvas.rng.uniform(0, 0.12)
            slope = (canvas.y - top) * 0.22 - np.abs(canvas.x - x)
            canvas.lay(canvas.edge(slope) * canvas.edge(0.75 - canvas.y), tone)
    canvas.ground(canvas.rng.uniform(0.66, 0.72), 0.015, (96, 132, 70), (66, 96, 50))


def sunset(canvas: Canvas) -> None:
    """A low sun in a burning sky over a dark plain."""
    canvas.gradient((106, 62, 140), (255, 160, 84))
    middle = (canvas.rng.uniform(0.15, 0.85), canvas.rng.uniform(0.5, 0.6))
    canvas.disc(middle, (0.12, 0.12), canvas.tone((255, 226, 130)))
    canvas.ground(canvas.rng.uniform(0.66, 0.72), 0.02, (96, 48, 76), (56, 30, 56))


PAINTERS: dict[str, Callable[[Canvas], None]] = {
    "on the grass": grass,
    "in the snow": snow,
    "in the desert": desert,
    "on the beach": beach,
    "in the sea": sea,
    "in the sky": sky,
    "at night": night,
    "in the forest": forest,
    "at sunset": sunset,
}


def paint(background: str, side: int, rng: np.random.Generator) -> Array:
    """(side, side, 3) float32 in 0–255; the same generator state paints the same picture at every size."""
    canvas = Canvas(side, rng)
    if background in PAINTERS:
        PAINTERS[background](canvas)
        return canvas.pixels
    fade = rng.uniform(0, 0.1) * (1 if rng.random() < 0.5 else -1)
    tone = canvas.tone(PLAIN[background])
    canvas.pixels[:] = tone * (1 + fade * (canvas.y - 0.5))[..., None]
    return np.clip(canvas.pixels, 0, 255)
