"""The finished model as an ordinary diffusers folder in float16, with its licence note and model card."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

from sfumato.errors import InputError
from starter_model.config import DiffusionSettings
from starter_model.diffusion import Painter, schedule
from starter_model.state import write_whole
from starter_model.vocabulary import write_tokenizer

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
    size = weights_size(folder)
    if size > LARGEST:
        raise InputError(f"The model would take {size / 1e6:.0f} MB, more than {LARGEST / 1e6:.0f} MB.")
    return folder


def weights_size(folder: Path) -> int:
    """Bytes of all weights files."""
    return sum(file.stat().st_size for file in folder.rglob("*.safetensors"))


def hashes(folder: Path) -> dict[str, str]:
    """SHA-256 of every weights file, by its path in the folder."""
    return {
        str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(folder.rglob("*.safetensors"))
    }
