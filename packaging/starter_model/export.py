"""The finished model as an ordinary diffusers folder in float16, with its licence note and model card."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

from sfumato.errors import InputError
from starter_model.concepts import concepts
from starter_model.config import DiffusionSettings
from starter_model.diffusion import Painter, schedule
from starter_model.recolour import COLOURS
from starter_model.state import write_whole
from starter_model.vocabulary import write_tokenizer
from starter_model.world import PLACES_OUTSIDE, PLAIN

LARGEST = 60_000_000  # bytes
INDEX = {
    "_class_name": "StableDiffusionPipeline",
    "_diffusers_version": "0.42.1",
    "feature_extractor": [None, None],
    "image_encoder": [None, None],
    "requires_safety_checker": False,
    "safety_checker": [None, None],
    "scheduler": ["diffusers", "DDIMScheduler"],
    "text_encoder": ["transformers", "CLIPTextModel"],
    "tokenizer": ["transformers", "CLIPTokenizer"],
    "unet": ["diffusers", "UNet2DConditionModel"],
    "vae": ["diffusers", "AutoencoderKL"],
}
NOTICE = """\
This model was trained on pictures composed from Fluent Emoji, Copyright (c) Microsoft Corporation, MIT
License (github.com/microsoft/fluentui-emoji), taken from the npm package @lobehub/fluent-emoji-3d 1.1.0
(MIT), over backgrounds painted by formula.

Its autoencoder also saw sample photographs of scikit-image 0.26.0 (CC0, public domain or without known
restrictions; each one's source is in skimage/data/_fetchers.py) and two of scikit-learn 1.9.1: china.jpg by
danielbuechele and flower.jpg by vultilion (CC BY 2.0, see sklearn/datasets/images/README.txt). None of these
pictures is contained in the weights' files.
"""


def assemble(folder: Path, painter: Painter, vae: Path, settings: DiffusionSettings) -> Path:
    """Write the pipeline folder; InputError when it would be larger than 60 MB."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copytree(vae, folder / "vae", dirs_exist_ok=True, ignore=shutil.ignore_patterns("training.json"))
    painter.unet.half().save_pretrained(folder / "unet")
    painter.text.half().save_pretrained(folder / "text_encoder")
    write_tokenizer(folder / "tokenizer")
    schedule(settings.prediction).save_pretrained(folder / "scheduler")
    write_whole(folder / "model_index.json", (json.dumps(INDEX, indent=2) + "\n").encode())
    write_whole(folder / "NOTICE", NOTICE.encode())
    size = sum(file.stat().st_size for file in folder.rglob("*.safetensors"))
    if size > LARGEST:
        raise InputError(f"The model would take {size / 1e6:.0f} MB, more than {LARGEST / 1e6:.0f} MB.")
    return folder


def hashes(folder: Path) -> dict[str, str]:
    """SHA-256 of every weights file, by its path in the folder."""
    return {
        str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(folder.rglob("*.safetensors"))
    }


GOALS = {
    "vae_held_out_db": ("VAE round trip, held-out composites (dB)", 31.0),
    "vae_photographs_db": ("VAE round trip, photographs it never saw (dB)", 24.0),
    "one_objects": ("one object: right object", 0.97),
    "one_colours": ("one object: right colour", 0.95),
    "one_background": ("one object: right background", 0.97),
    "two_objects": ("two objects: both right", 0.85),
    "swap_right": ("one-word changes: new attribute right", 0.85),
    "one_edges": ("gradient energy against VAE round trips", 0.8),
}


def card(report: dict[str, float], history: dict[str, dict[str, float]], weights: dict[str, str]) -> str:
    """The model card: what it knows, how it was measured, what it was trained on."""
    things = ", ".join(concepts())
    recoloured = ", ".join(word for word, concept in concepts().items() if concept.natural)
    lines = [
        "# The starter model",
        "",
        "Trained from nothing by the recipe in `packaging/starter_model`.",
        "",
    ]
    lines += ["## What it knows", "", f"- {len(concepts())} objects: {things}"]
    lines += [f"- colours {', '.join(COLOURS)}, for: {recoloured}"]
    lines += [f'- backgrounds: {", ".join(PLAIN)} ("on a red background"), {", ".join(PLACES_OUTSIDE)}']
    lines += ['- two objects: "a cat and a ball", "a cat on a bicycle", "a cat behind a ball"', ""]
    lines += ["## How good it is", "", "| measure | goal | reached |", "|---|---|---|"]
    for key, (name, goal) in GOALS.items():
        if key in report:
            lines.append(f"| {name} | {goal:g} | {report[key]:.3g} |")
    lines += ["", *(f"- {key}: {value:.4g}" for key, value in report.items() if key not in GOALS), ""]
    lines += ["## How it was trained", ""]
    lines += [
        f"- {part}: {row['views']:,.0f} views, {row['minutes']:.0f} minutes" for part, row in history.items()
    ]
    lines += [
        "",
        "## Weights (SHA-256)",
        "",
        *(f"- `{name}`: `{value}`" for name, value in weights.items()),
        "",
    ]
    return "\n".join(lines)
