"""The `diffusion` stage: encode the world once with the frozen VAE, then train in STATE/diffusion."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL

from sfumato.errors import InputError
from starter_model.artwork import Sprites
from starter_model.config import Settings
from starter_model.diffusion import DiffusionTask, Held, attend_plainly
from starter_model.encoded import Encoded, SceneEncoder, prepare_encoded
from starter_model.render import render
from starter_model.sources import chosen
from starter_model.spoiled import held_out_scenes
from starter_model.supervision import train
from starter_model.training import Run, warm_start
from starter_model.vae import SCALE, WEIGHTS, encode, to_tensor, weights_folder
from starter_model.vocabulary import write_tokenizer


def shipped() -> Path:
    """The model in the repository."""
    return Path(__file__).parents[2] / "resources" / "sfumato_resources" / "starter"


def frozen_vae(folder: Path) -> Path:
    """The frozen autoencoder: this state's own, else the committed one; InputError where there is neither."""
    for place in (folder / "vae" / "frozen", weights_folder()):
        if (place / "config.json").exists():
            return place
    raise InputError(
        "There is no frozen autoencoder yet.",
        advice="Run the vae stage to its end, then: python -m starter_model freeze.",
    )


def encoded_place(folder: Path, vae: Path, name: str = "encoded") -> Path:
    """Where what one autoencoder has encoded is kept: another one's latents are another's."""
    content = (vae / WEIGHTS).read_bytes()
    return folder / f"{name}-{hashlib.sha256(content).hexdigest()[:8]}"


def encode_world(folder: Path, settings: Settings, vae: Path) -> dict[int, Encoded]:
    """Latents of every picture size, encoded where they are missing."""
    own, workers = settings.diffusion, settings.workers.count
    encoder = SceneEncoder(folder / "data", vae, tuple(chosen(settings)), own.pairs)
    place, counts = encoded_place(folder, vae), dict(zip(own.sizes, own.pictures, strict=True))
    prepare_encoded(place, encoder, counts, seed=settings.seed, workers=workers, stage="diffusion")
    return {size: Encoded.load(place, size, settings.vae.latent_channels) for size in counts}


@torch.no_grad()
def held(folder: Path, settings: Settings, place: Path | None = None) -> Held:
    """Held-out pictures of one thing for the probe of what words do."""
    scenes = tuple(held_out_scenes(tuple(chosen(settings)), settings.diffusion.probe, 0.0, 44))
    sprites = Sprites.load(folder / "data")
    vae = AutoencoderKL.from_pretrained(place or frozen_vae(folder), torch_dtype=torch.float32)
    side = min(settings.diffusion.sizes)
    pixels = np.stack([render(scene, sprites, side).pixels for scene in scenes])
    return Held(torch.cat([encode(vae, to_tensor(part[None])).mean * SCALE for part in pixels]), scenes)


def diffusion_run(folder: Path, settings: Settings, device: str) -> Run:
    """The stage's training as it stands, without pictures to learn from yet."""
    torch.manual_seed(settings.seed)
    (folder / "diffusion").mkdir(exist_ok=True)
    share = settings.workers.count if device == "cpu" else 1
    tokenizer = write_tokenizer(folder / "diffusion" / "tokenizer")
    task = DiffusionTask(settings.diffusion, tokenizer, {}, held(folder, settings), share)
    attend_plainly(task.model, device)
    return Run(task, folder / "diffusion", settings.workers, seed=settings.seed, device=device)


def goes_on(run: Run, vae: Path) -> int:
    """Fill a run without state from the shipped model, if it is for this autoencoder; the views it had."""
    model = shipped()
    files = {
        "unet.": model / "unet" / WEIGHTS,
        "text.": model / "text_encoder" / "model.safetensors",
    }
    own = model / "vae" / WEIGHTS
    if not own.exists() or own.read_bytes() != (vae / WEIGHTS).read_bytes():
        return 0
    return warm_start(run, files, model / "training.json")


def train_diffusion(
    folder: Path, settings: Settings, seconds: float, device: str, *, anew: bool = False
) -> None:
    """Train the painter; a lost state is made good by the shipped weights, unless begun `anew`."""
    vae, run = frozen_vae(folder), diffusion_run(folder, settings, device)
    if not anew and (start := goes_on(run, vae)):
        print(f"diffusion: no state in {folder}; goes on from the committed weights at {start:,} views")
    if run.clock.views < run.task.views:
        assert isinstance(run.task, DiffusionTask)
        run.task.encoded = encode_world(folder, settings, vae)
    clock = train(run, seconds)
    if clock.views >= run.task.views:
        run.check()
    print(f"diffusion: {clock.views:,} views in {clock.seconds / 60:.1f} min of work, saved in {run.file}")
