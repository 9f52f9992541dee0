"""Edits of the starter's world measured against the true edited picture.

    python -m tests.starter.pairs FOLDER [-o sheet.png]

FOLDER holds pairs.json and for each pair NN_source.png, NN_truth.png, NN_changed.png (where they differ).
Rows of the table: how far a method went (gain, inside), and what it spared (PSNR, outside).

    gain = 1 - |edit - truth| / |source - truth| where something should change, after a 4-pixel blur

"to source" compares the finished picture with the one opened; "to VAE" compares what the model decodes,
before the picture's own detail is put back, with the VAE's round trip of the source.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from sfumato import compose
from sfumato.inverting import inverter_request
from sfumato.method import Job, Recipe
from sfumato.order import check
from sfumato.scene import develop, held, stage, to_picture
from tests.tiny import drain

Picture = NDArray[np.float32]

METHODS: dict[str, dict[str, Any]] = {
    "ddim + reprompt": {"inverter": "ddim", "editor": "reprompt", "inverter_values": {"measure": False}},
    "direct + p2p": {"inverter": "direct", "editor": "p2p"},
    "direct + p2p, nothing held": {"inverter": "direct", "editor": "p2p", "editor_values": {"local": "off"}},
    "ddim + p2p": {"inverter": "ddim", "editor": "p2p", "inverter_values": {"measure": False}},
    "naive + p2p": {"inverter": "naive", "editor": "p2p"},
    "ddim_naive": {"editor": "ddim_naive"},
    "blended, true mask": {"editor": "blended"},
}


@dataclass(frozen=True, eq=False)
class Pair:
    id: str
    kind: str
    source_prompt: str
    target_prompt: str
    source: Picture
    truth: Picture
    changed: NDArray[np.bool_]


@dataclass(frozen=True)
class Score:
    pair: str
    kind: str
    method: str
    gain: float
    to_source: float
    to_vae: float
    to_truth: float


def load_pairs(folder: Path) -> list[Pair]:
    def picture(name: str) -> Picture:
        return np.asarray(Image.open(folder / name).convert("RGB"), np.float32) / 255

    pairs = []
    for entry in json.loads((folder / "pairs.json").read_text("utf-8")):
        name = entry["id"]
        changed = np.asarray(Image.open(folder / f"{name}_changed.png").convert("L")) > 127
        texts = entry["kind"], entry["source_prompt"], entry["target_prompt"]
        pairs.append(Pair(name, *texts, picture(f"{name}_source.png"), picture(f"{name}_truth.png"), changed))
    return pairs


def edit(pair: Pair, settings: dict[str, Any], workshop: Any) -> tuple[Picture, Picture, Picture]:
    """(finished, decoded, VAE round trip) of one pair under one method."""
    pixels = np.full((*pair.source.shape[:2], 4), 255, np.uint8)
    pixels[..., :3] = np.rint(pair.source * 255)
    mask = np.where(pair.changed, np.uint8(255), np.uint8(0)) if settings["editor"] == "blended" else None
    recipe = Recipe(source=pair.source_prompt, target=pair.target_prompt, **settings)
    order = check(Job(recipe=recipe, image=pixels, mask=mask), workshop)
    model = drain(workshop.load("starter"))
    with torch.no_grad():
        scene = stage(order, model)
        inversion = None
        if order.inverter is not None:
            inversion = drain(order.inverter.invert(inverter_request(order, scene), model))
        result = drain(order.editor.edit(scene.request, inversion, model))
        decoded = held(scene, result, to_picture(model.decode(result.latents[:1])))
        (patch,) = drain(develop(order, scene, result, model))
    alpha = patch[..., 3:].astype(np.float32) / 255
    finished = pair.source * (1 - alpha) + patch[..., :3].astype(np.float32) / 255 * alpha
    assert scene.round_trip is not None
    return finished, decoded, scene.round_trip


def score(pair: Pair, method: str, pictures: tuple[Picture, Picture, Picture]) -> Score:
    finished, decoded, vae = pictures
    inside, outside = pair.changed, ~pair.changed
    return Score(
        pair.id,
        pair.kind,
        method,
        gain=blurred_gain(pair, finished),
        to_source=psnr(finished, pair.source, outside),
        to_vae=psnr(decoded, vae, outside),
        to_truth=psnr(finished, pair.truth, inside),
    )


def blurred_gain(pair: Pair, finished: Picture) -> float:
    """How far a picture went from the source to the truth, where these differ: 0 not at all, 1 whole."""
    near, truth, source = (_blurred(each) for each in (finished, pair.truth, pair.source))
    inside = pair.changed
    missing = np.abs(near - truth)[inside].mean() / np.abs(source - truth)[inside].mean()
    return float(1 - missing)


def _blurred(picture: Picture) -> Picture:
    image = Image.fromarray(np.rint(picture * 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(4))
    return np.asarray(image, np.float32) / 255


def psnr(a: Picture, b: Picture, where: NDArray[np.bool_]) -> float:
    """In dB, of two pictures in the places chosen; 99 if they are equal there."""
    error = float(np.mean((a - b)[where].astype(np.float64) ** 2))
    return 99.0 if error == 0 else min(99.0, -10 * float(np.log10(error)))


def measured(pairs: list[Pair], methods: dict[str, dict[str, Any]]) -> Iterator[tuple[Score, Picture]]:
    """Every pair under every method, and under none ("identity")."""
    workshop = compose.workshop()
    for pair in pairs:
        yield score(pair, "identity", (pair.source,) * 3), pair.source
        for name, settings in methods.items():
            pictures = edit(pair, settings, workshop)
            yield score(pair, name, pictures), pictures[0]


def main() -> None:
    folder, sheet = Path(sys.argv[1]), Path(sys.argv[3]) if "-o" in sys.argv else None
    pairs = load_pairs(folder)
    print(f"{'pair':5}{'kind':12}{'method':28}{'gain':>6}{'to source':>11}{'to VAE':>8}{'to truth':>10}")
    rows: dict[str, list[Picture]] = {pair.id: [pair.truth] for pair in pairs}
    for line, picture in measured(pairs, METHODS):
        numbers = f"{line.gain:6.2f}{line.to_source:11.1f}{line.to_vae:8.1f}{line.to_truth:10.1f}"
        print(f"{line.pair:5}{line.kind:12}{line.method:28}{numbers}", flush=True)
        rows[line.pair].append(picture)
    if sheet is not None:
        grid = np.concatenate([np.concatenate(row, axis=1) for row in rows.values()])
        Image.fromarray(np.rint(grid * 255).astype(np.uint8)).save(sheet)


if __name__ == "__main__":
    main()
