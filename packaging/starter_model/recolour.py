"""The hue rule: a sprite's dominant hue, and everything near it, is turned to a named colour."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# name: (hue in degrees, saturation factor, value exponent)
HUES: dict[str, tuple[float, float, float]] = {
    "red": (357.0, 1.0, 1.0),
    "orange": (27.0, 1.0, 0.8),
    "yellow": (50.0, 0.95, 0.55),
    "green": (125.0, 0.85, 1.05),
    "blue": (217.0, 0.95, 0.9),
    "purple": (275.0, 0.8, 0.9),
    "pink": (330.0, 0.6, 0.65),
}
COLOURS = tuple(HUES)

Array = NDArray[np.floating]


def to_hsv(rgb: Array) -> tuple[Array, Array, Array]:
    """RGB in [0, 1], last axis 3, to hue in degrees, saturation and value in [0, 1]."""
    high, low = rgb.max(-1), rgb.min(-1)
    span = np.maximum(high - low, 1e-6)
    red, green, blue = rgb[..., 0], rgb[..., 1], rgb[..., 2]
    hue = np.where(
        high == red,
        (green - blue) / span % 6,
        np.where(high == green, (blue - red) / span + 2, (red - green) / span + 4),
    )
    return (hue * 60).astype(np.float32), (high - low) / np.maximum(high, 1e-6), high


def to_rgb(hue: Array, saturation: Array, value: Array) -> Array:
    """The inverse of `to_hsv`, hue taken modulo 360."""
    channels = []
    for offset in (5.0, 3.0, 1.0):
        k = (offset + hue / 60) % 6
        channels.append(value - value * saturation * np.clip(np.minimum(k, 4 - k), 0, 1))
    return np.stack(channels, -1)


def turn(angle: Array) -> Array:
    """Angles in degrees brought to [-180, 180)."""
    return (angle + 180) % 360 - 180


def dominant_hue(sprite: NDArray[np.uint8]) -> float:
    """The strongest hue of an RGBA sprite in degrees: smoothed 36-bin histogram weighted by s·v·alpha."""
    hue, saturation, value = to_hsv(sprite[..., :3].astype(np.float32) / 255)
    weight = saturation * value * (sprite[..., 3] / 255.0) * (saturation > 0.25)
    bins, _ = np.histogram(hue % 360, bins=36, range=(0, 360), weights=weight)
    smooth = bins + np.roll(bins, 1) + np.roll(bins, -1)
    return float(np.argmax(smooth) * 10 + 5)


def recolour(sprite: NDArray[np.uint8], colour: str) -> NDArray[np.uint8]:
    """The RGBA sprite in one of `COLOURS`: pixels within 60° of the dominant hue turn, alpha stays."""
    target, more, exponent = HUES[colour]
    rgb = sprite[..., :3].astype(np.float32) / 255
    hue, saturation, value = to_hsv(rgb)
    away = turn(hue - dominant_hue(sprite))
    share = np.clip((75 - np.abs(away)) / 15, 0, 1) * np.clip((saturation - 0.08) / 0.08, 0, 1)
    turned = to_rgb(
        np.asarray(target + 0.35 * away, np.float32),
        np.clip(saturation**0.7 * more, 0, 1),
        value**exponent,
    )
    mixed = rgb + share[..., None] * (turned - rgb)
    out = sprite.copy()
    out[..., :3] = np.clip(mixed * 255 + 0.5, 0, 255).astype(np.uint8)
    return out
