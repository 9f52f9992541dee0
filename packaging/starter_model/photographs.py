"""Photographs that come inside packages, and textures made by formula: what a VAE needs besides drawings."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from sfumato.errors import InputError

Pixels = NDArray[np.uint8]

# Never trained on: the two photographs the VAE is judged by.
UNSEEN = ("skimage/data/chelsea.png", "skimage/data/coffee.png")
# Only pictures whose licence is stated: scikit-image's motorcycles, for one, come without any.
SEEN = (
    "skimage/data/astronaut.png",
    "skimage/data/rocket.jpg",
    "skimage/data/hubble_deep_field.jpg",
    "skimage/data/retina.jpg",
    "skimage/data/ihc.png",
    "skimage/data/camera.png",
    "skimage/data/brick.png",
    "skimage/data/grass.png",
    "skimage/data/gravel.png",
    "skimage/data/coins.png",
    "sklearn/datasets/images/china.jpg",
    "sklearn/datasets/images/flower.jpg",
)


def read_photograph(name: str) -> Pixels:
    """(H, W, 3) of one picture, named by package and path; InputError where the package is not installed."""
    package, _, path = name.partition("/")
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise InputError(
            f"The photographs need the package {package}, which is not installed.",
            advice="Run: pip install -r starter_model/requirements.txt",
        )
    picture = Image.open(Path(spec.origin).parent / path).convert("RGB")
    if max(picture.size) > 1000:  # a crop of so large a picture would show hardly anything
        picture.thumbnail((1000, 1000), Image.Resampling.LANCZOS)
    return np.asarray(picture)


def crop(photograph: Pixels, side: int, rng: np.random.Generator) -> Pixels:
    """A side × side piece at a random scale, turned, mirrored and tinted: few must do for many."""
    height, width = photograph.shape[:2]
    reach = min(height, width)
    window = int(np.clip(side * np.exp(rng.uniform(np.log(0.9), np.log(max(1.0, reach / side)))), 16, reach))
    top, left = int(rng.integers(height - window + 1)), int(rng.integers(width - window + 1))
    piece = Image.fromarray(photograph[top : top + window, left : left + window])
    pixels = np.asarray(piece.resize((side, side), Image.Resampling.LANCZOS))
    pixels = np.rot90(pixels, int(rng.choice([0, 0, 0, 1, 3])))
    if rng.random() < 0.5:
        pixels = pixels[:, ::-1]
    return tint(pixels, rng)


def tint(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Contrast, brightness and colour balance a little changed; greys sometimes coloured."""
    balance = rng.uniform(0.85, 1.15, 3) * rng.uniform(0.8, 1.2)
    if rng.random() < 0.15:
        balance *= rng.uniform(0.6, 1.2, 3)
    shift = rng.uniform(-18, 18)
    return np.clip(pixels.astype(np.float32) * balance + shift, 0, 255).astype(np.uint8)


def texture(side: int, rng: np.random.Generator) -> Pixels:
    """A made-up picture: cloud noise, leaves of dead colour, or stripes and checks."""
    kind = int(rng.integers(3))
    if kind == 0:
        return noise_texture(side, rng)
    return leaves_texture(side, rng) if kind == 1 else striped_texture(side, rng)


def noise_texture(side: int, rng: np.random.Generator) -> Pixels:
    """Noise of a random spectral slope, in colours that hang together as in photographs."""
    slope = rng.uniform(0.8, 2.2)
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None, :])
    frequency[0, 0] = 1.0
    white = np.fft.rfft2(rng.standard_normal((3, side, side)))
    planes = np.fft.irfft2(white / frequency**slope, s=(side, side))
    planes /= planes.std(axis=(1, 2), keepdims=True) + 1e-6
    mix = np.eye(3) * rng.uniform(0.1, 0.5) + np.ones((3, 1)) * np.array([1.0, 0, 0]) * rng.uniform(0.5, 1.0)
    colours = np.tensordot(mix, planes, 1).transpose(1, 2, 0) * rng.uniform(15, 50) + rng.uniform(60, 190, 3)
    return np.clip(colours, 0, 255).astype(np.uint8)


def leaves_texture(side: int, rng: np.random.Generator) -> Pixels:
    """Overlapping discs and boxes of flat or graded colour (the dead-leaves model of natural pictures)."""
    y, x = np.mgrid[0:side, 0:side].astype(np.float32)
    pixels = np.tile(rng.uniform(0, 255, 3).astype(np.float32), (side, side, 1))
    for _ in range(int(rng.integers(8, 40))):
        radius = side * 0.5 / rng.uniform(1, 12)
        middle, angle = rng.uniform(0, side, 2), rng.uniform(0, 3.14)
        across = (x - middle[0]) * np.cos(angle) + (y - middle[1]) * np.sin(angle)
        along = (y - middle[1]) * np.cos(angle) - (x - middle[0]) * np.sin(angle)
        far = np.hypot(across, along) if rng.random() < 0.5 else np.maximum(np.abs(across), np.abs(along) * 2)
        cover = np.clip(radius - far + 0.5, 0, 1)[..., None]
        shade = rng.uniform(0, 255, 3) + rng.uniform(-1, 1) * across[..., None]
        pixels = pixels * (1 - cover) + cover * shade
    return np.clip(pixels, 0, 255).astype(np.uint8)


def striped_texture(side: int, rng: np.random.Generator) -> Pixels:
    """Stripes or checks of two colours at any angle, from crisp to soft."""
    y, x = np.mgrid[0:side, 0:side].astype(np.float32)
    angle, period = rng.uniform(0, 3.14), rng.uniform(5, 40)
    waves = np.sin(6.28 * (x * np.cos(angle) + y * np.sin(angle)) / period)
    if rng.random() < 0.5:
        waves *= np.sin(6.28 * (y * np.cos(angle) - x * np.sin(angle)) / period)
    share = np.clip(waves * rng.uniform(1, 6) + 0.5, 0, 1)[..., None]
    first, second = rng.uniform(0, 255, 3), rng.uniform(0, 255, 3)
    pixels = Image.fromarray((first + share * (second - first)).astype(np.uint8))
    return np.asarray(pixels.filter(ImageFilter.GaussianBlur(0.4)))
