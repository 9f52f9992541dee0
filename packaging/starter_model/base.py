"""The starter that a sibling begins with: found, checked to be finished, and the same from first to last."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from transformers import CLIPTokenizer

from sfumato.errors import InputError
from starter_model.config import Settings
from starter_model.diffusion import Painter, build_unet
from starter_model.diffusion_stage import shipped
from starter_model.sampling import Parts
from starter_model.state import write_whole

WEIGHTS = ("unet/diffusion_pytorch_model.safetensors", "text_encoder/model.safetensors")
"""What a sibling takes over and trains on; the autoencoder is known by what it has encoded."""


@dataclass(frozen=True, eq=False)
class Base:
    """The starter that a sibling begins with."""

    folder: Path
    painter: Painter
    tokenizer: CLIPTokenizer
    prediction: str
    fingerprint: str
    """SHA-256 over the weights of denoiser and text encoder, its first 16 digits."""

    @property
    def vae(self) -> Path:
        """Its autoencoder's folder."""
        return self.folder / "vae"


def base_folder(state: Path) -> Path:
    """This state's exported starter, else the shipped one."""
    exported = state / "export"
    return exported if (exported / "model_index.json").exists() else shipped()


def fingerprint(folder: Path) -> str:
    """Of a starter's denoiser and text encoder: 16 hexadecimal digits."""
    found = hashlib.sha256()
    for name in WEIGHTS:
        found.update((folder / name).read_bytes())
    return found.hexdigest()[:16]


def read_base(state: Path, settings: Settings) -> Base:
    """The starter of `base_folder`. InputError where it is of another shape, or not trained to its end."""
    folder = base_folder(state)
    parts = Parts.load(folder)
    wanted = build_unet(settings.diffusion, settings.vae.latent_channels, 16).state_dict()
    found = parts.unet.state_dict()
    if {k: v.shape for k, v in wanted.items()} != {k: v.shape for k, v in found.items()}:
        raise InputError(
            f"The starter in {folder} is not the one that these settings describe.",
            advice="Finish the diffusion stage and export it first; siblings begin with its weights.",
        )
    views, needed = trained_views(folder), settings.diffusion.views
    if views < needed:
        raise InputError(
            f"The starter in {folder} is not finished: it was trained on {views:,} of {needed:,} views.",
            advice="Finish the diffusion stage and export it again; siblings begin with its weights.",
        )
    prediction = str(parts.scheduler.config["prediction_type"])
    painter = Painter(parts.unet, parts.text)
    return Base(folder, painter, parts.tokenizer, prediction, fingerprint(folder))


def trained_views(folder: Path) -> int:
    """How many views an exported model was trained on; 0 where it does not say."""
    note = folder / "training.json"
    return int(json.loads(note.read_text())["views"]) if note.exists() else 0


def hold_to(base: Base, folder: Path) -> None:
    """Note beside a sibling's state which starter it began with.

    InputError where there is a state that began with another, or that does not say.
    """
    note = folder / "base.txt"
    if not (folder / "state.safetensors").exists():
        write_whole(note, f"{base.fingerprint}\n".encode())
        return
    began = note.read_text().strip() if note.exists() else "one it does not name"
    if began != base.fingerprint:
        raise InputError(
            f"The sibling in {folder} began with another starter ({began}) than {base.folder} "
            f"({base.fingerprint}).",
            kept="Both are untouched.",
            advice=f"Export the starter it began with, or delete {folder} to train it anew.",
        )


def committed_base(note: Path) -> str:
    """The fingerprint of the starter that committed sibling weights began with; empty if it is not said."""
    return str(json.loads(note.read_text()).get("base", "")) if note.exists() else ""
