"""From a scene to its picture: the truth for any change of one attribute is the edited scene, rendered."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from starter_model.artwork import Sprites
from starter_model.backgrounds import paint
from starter_model.world import Scene

Array = NDArray[np.float32]
SIDES = {"normal": (0.64, 0.70), "small": (0.38, 0.43), "big": (0.86, 0.92)}


@dataclass(frozen=True, eq=False)
class Rendering:
    """A picture (H, W, 3) uint8 and what is seen of each thing per pixel: (H, W) float32 in [0, 1]."""

    pixels: NDArray[np.uint8]
    coverage: tuple[Array, ...]


@dataclass(frozen=True)
class Spot:
    """Where a thing stands: centre and side of its square, in units of the picture's side."""

    x: float
    y: float
    side: float


def stream(seed: int, purpose: str) -> np.random.Generator:
    """A generator of its own for every purpose, so that no edit shifts what another draws."""
    return np.random.default_rng([seed, zlib.crc32(purpose.encode())])


def spots(scene: Scene) -> tuple[Spot, ...]:
    """Where every thing of the scene stands, in the order of `scene.things`."""
    rng = stream(scene.seed, "layout")
    grow, dx, dy, grow2, dx2, dy2 = rng.random(6)
    if scene.relation is None:
        low, high = SIDES[scene.size]
        side = low + (high - low) * grow
        shift = {"centre": 0.0, "left": -1.0, "right": 1.0}[scene.place] * max(0.0, (1 - side) / 2 - 0.03)
        x = 0.5 + (shift or (dx - 0.5) * 0.05)
        return (Spot(float(x), float(0.52 + (dy - 0.5) * 0.05), float(side)),)
    if scene.relation == "beside":
        first = Spot(0.26 + (dx - 0.5) * 0.02, 0.54 + (dy - 0.5) * 0.06, 0.42 + 0.04 * grow)
        return first, Spot(0.74 + (dx2 - 0.5) * 0.02, 0.54 + (dy2 - 0.5) * 0.06, 0.42 + 0.04 * grow2)
    if scene.relation == "on":
        under = Spot(0.5 + (dx2 - 0.5) * 0.04, 0.67 + (dy2 - 0.5) * 0.03, 0.54 + 0.04 * grow2)
        return Spot(under.x + (dx - 0.5) * 0.06, 0.27 + (dy - 0.5) * 0.02, 0.40 + 0.04 * grow), under
    front = Spot(0.37 + (dx2 - 0.5) * 0.03, 0.63 + (dy2 - 0.5) * 0.03, 0.50 + 0.04 * grow2)
    return Spot(0.67 + (dx - 0.5) * 0.03, 0.36 + (dy - 0.5) * 0.03, 0.52 + 0.04 * grow), front


def place_sprite(sprite: NDArray[np.uint8], spot: Spot, side: int) -> tuple[Array, Array]:
    """A sprite on an empty picture: RGB (side, side, 3) in 0–255 and coverage (side, side)."""
    size = max(4, round(spot.side * side))
    picture = Image.fromarray(sprite).convert("RGBa").resize((size, size), Image.Resampling.LANCZOS)
    small = np.asarray(picture.convert("RGBA"), np.float32)
    colour, cover = np.zeros((side, side, 3), np.float32), np.zeros((side, side), np.float32)
    left, top = round(spot.x * side - size / 2), round(spot.y * side - size / 2)
    rows = slice(max(top, 0), min(top + size, side))
    columns = slice(max(left, 0), min(left + size, side))
    cut = small[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
    colour[rows, columns], cover[rows, columns] = cut[..., :3], cut[..., 3] / 255
    return colour, cover


def light(seed: int, side: int) -> Array:
    """A gain (side, side, 1) near 1 that leans to one side; it falls on things and background alike."""
    rng = stream(seed, "light")
    strength, angle, level = rng.uniform(0, 0.05), rng.uniform(0, 6.28), rng.uniform(0.95, 1.0)
    axis = (np.arange(side, dtype=np.float32) + 0.5) / side - 0.5
    lean = np.cos(angle) * axis[None, :] + np.sin(angle) * axis[:, None]
    return (level + 2 * strength * lean)[..., None].astype(np.float32)


def render(
    scene: Scene, sprites: Sprites, side: int = 128, instead: Mapping[int, NDArray[np.uint8]] | None = None
) -> Rendering:
    """The scene's picture at side × side pixels with the visible coverage of each thing.

    `instead` holds drawings (h, w, 4) that stand where the things of those numbers would.
    """
    instead = instead or {}
    pixels = paint(scene.background, side, stream(scene.seed, "background"))
    coverage: list[Array] = []
    places = spots(scene)
    # "On" paints the rider last; "behind" and "beside" paint the first thing first.
    order = (1, 0) if scene.relation == "on" else range(len(scene.things))
    shown: dict[int, Array] = {}
    for index in order:
        if index == scene.hidden:
            shown[index] = np.zeros((side, side), np.float32)
            continue
        thing = scene.things[index]
        drawing = instead[index] if index in instead else sprites.sprite(thing.word, thing.colour)
        colour, cover = place_sprite(drawing, places[index], side)
        share = cover[..., None]
        pixels = pixels * (1 - share) + colour * share  # exact where coverage is 0 or 1
        shown = {other: seen * (1 - cover) for other, seen in shown.items()}
        shown[index] = cover
    coverage = [shown[index] for index in range(len(scene.things))]
    lit = np.clip(pixels * light(scene.seed, side) + 0.5, 0, 255)
    return Rendering(lit.astype(np.uint8), tuple(coverage))
