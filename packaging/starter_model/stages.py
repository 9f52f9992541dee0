"""The stages, each from folder to folder under STATE: data, vae, diffusion, evaluate, export."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from safetensors.torch import load_file

from starter_model import artwork
from starter_model.artwork import Sprites
from starter_model.concepts import Concept, concepts
from starter_model.config import Settings
from starter_model.crops import Source
from starter_model.photographs import SEEN, read_photograph
from starter_model.supervision import train
from starter_model.training import Run
from starter_model.vae import (
    VaeTask,
    decibels,
    held_out_pictures,
    round_trip,
    unseen_photographs,
    weights_folder,
    whiten,
)


def chosen(settings: Settings) -> dict[str, Concept]:
    """The concepts this configuration uses."""
    return {
        word: c for word, c in concepts().items() if not settings.data.words or word in settings.data.words
    }


def prepare_data(folder: Path, settings: Settings) -> None:
    """Artwork to STATE/data: sprites in all their colours."""
    artwork.prepare(folder / "data", chosen(settings), settings.data.others)
    sprites = Sprites.load(folder / "data")
    print(
        f"data: {len(chosen(settings))} concepts, {len(sprites.rows)} sprites, {len(sprites.others)} others"
    )


def source(folder: Path, settings: Settings) -> Source:
    """Where the VAE's crops come from."""
    seen = tuple(read_photograph(name) for name in SEEN) if settings.vae.photographs else ()
    return Source(Sprites.load(folder / "data"), seen, tuple(chosen(settings)), settings.vae)


def train_vae(folder: Path, settings: Settings, seconds: float, device: str) -> None:
    """Train in STATE/vae; a lost state is made good by the committed weights."""
    torch.manual_seed(settings.seed)
    (folder / "vae").mkdir(exist_ok=True)
    share = settings.workers.count if device == "cpu" else 1
    task = VaeTask(settings.vae, source(folder, settings), share, photographs=bool(settings.vae.photographs))
    start = warm_start(task.model, weights_folder())
    run = Run(task, folder / "vae", settings.workers, seed=settings.seed, device=device)
    if not run.resumed and start:
        run.clock.views = start
        run.record(run.clock)
        print(f"vae: no state in {folder}; goes on from the committed weights at {start:,} views")
    clock = train(run, seconds)
    run.check()
    print(f"vae: {clock.views:,} views in {clock.seconds / 60:.1f} min of work, saved in {run.file}")


def warm_start(model: torch.nn.Module, weights: Path) -> int:
    """Load committed float16 weights of the same shape; returns the views they had, 0 where there are none."""
    file, note = weights / "diffusion_pytorch_model.safetensors", weights / "training.json"
    if not file.exists() or not note.exists():
        return 0
    tensors = {name: tensor.float() for name, tensor in load_file(file).items()}
    own = model.state_dict()
    if {n: t.shape for n, t in tensors.items()} != {n: t.shape for n, t in own.items()}:
        return 0
    model.load_state_dict(tensors)
    return int(json.loads(note.read_text())["views"])


def averaged_vae(folder: Path, settings: Settings) -> tuple[VaeTask, Run]:
    """The trained autoencoder with its averaged weights."""
    task = VaeTask(settings.vae, source(folder, settings), 1, photographs=bool(settings.vae.photographs))
    run = Run(task, folder / "vae", settings.workers, seed=settings.seed)
    run.use(run.weights.average)
    return task, run


def freeze_vae(folder: Path, settings: Settings, out: Path | None) -> Path:
    """Whitened float16 autoencoder with its measures in training.json, by default in STATE/vae/frozen."""
    out = out or folder / "vae" / "frozen"
    task, run = averaged_vae(folder, settings)
    model = task.model
    rng = np.random.default_rng(settings.seed)
    many = np.stack([task.source.picture(rng, 128) for _ in range(512)])
    whiten(model, many)
    model.half().save_pretrained(out)
    model = AutoencoderKL.from_pretrained(out, torch_dtype=torch.float32)
    test = held_out_pictures(task.source, 64)
    found = {"held_out_db": round(decibels(round_trip(model, test), test), 2)}
    if settings.vae.photographs:
        photographs = unseen_photographs()
        found["photographs_db"] = round(decibels(round_trip(model, photographs), photographs), 2)
    content = (out / "diffusion_pytorch_model.safetensors").read_bytes()
    note = {
        "views": run.clock.views,
        "minutes": round(run.clock.seconds / 60, 1),
        **found,
        "sha256": hashlib.sha256(content).hexdigest(),
        "settings": asdict(settings.vae),
    }
    (out / "training.json").write_text(json.dumps(note, indent=1) + "\n")
    print(json.dumps(note))
    return out
