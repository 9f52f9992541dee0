"""The `vae` and `freeze` stages: train the autoencoder in STATE/vae, then write it whitened in float16."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL

from sfumato.errors import InputError
from starter_model.config import Settings
from starter_model.sources import source
from starter_model.supervision import train
from starter_model.training import Run, warm_start
from starter_model.vae import (
    WEIGHTS,
    VaeTask,
    decibels,
    held_out_pictures,
    round_trip,
    unseen_photographs,
    weights_folder,
    whiten,
)


def train_vae(folder: Path, settings: Settings, seconds: float, device: str, *, anew: bool = False) -> None:
    """Train in STATE/vae; a lost state is made good by the committed weights, unless begun `anew`."""
    torch.manual_seed(settings.seed)
    (folder / "vae").mkdir(exist_ok=True)
    share = settings.workers.count if device == "cpu" else 1
    task = VaeTask(settings.vae, source(folder, settings), share, photographs=bool(settings.vae.photographs))
    run = Run(task, folder / "vae", settings.workers, seed=settings.seed, device=device)
    weights = weights_folder()
    if not anew and (start := warm_start(run, {"": weights / WEIGHTS}, weights / "training.json")):
        print(f"vae: no state in {folder}; goes on from the committed weights at {start:,} views")
    clock = train(run, seconds)
    if clock.views >= run.task.views:
        run.check()
    print(f"vae: {clock.views:,} views in {clock.seconds / 60:.1f} min of work, saved in {run.file}")


def averaged_vae(folder: Path, settings: Settings) -> tuple[VaeTask, Run]:
    """The trained autoencoder with its averaged weights."""
    task = VaeTask(settings.vae, source(folder, settings), 1, photographs=bool(settings.vae.photographs))
    run = Run(task, folder / "vae", settings.workers, seed=settings.seed)
    if not run.resumed:
        raise InputError("No autoencoder has been trained yet.", advice="Run: python -m starter_model vae")
    run.use(run.weights.average)
    return task, run


def freeze_vae(folder: Path, settings: Settings, out: Path | None) -> Path:
    """Whitened float16 autoencoder with its measures in training.json, by default in STATE/vae/frozen.

    The committed one as it is, where nothing was trained since: whitened again it would mix other latents
    than the denoiser knows.
    """
    out = out or folder / "vae" / "frozen"
    task, run = averaged_vae(folder, settings)
    if run.clock.views and not run.clock.step:
        shutil.copytree(weights_folder(), out, dirs_exist_ok=True)
        return out
    model = task.model
    rng = np.random.default_rng(settings.seed)
    many = np.stack([task.source.picture(rng, 128) for _ in range(settings.vae.whitening)])
    whiten(model, many)
    model.half().save_pretrained(out)
    model = AutoencoderKL.from_pretrained(out, torch_dtype=torch.float32)
    test = held_out_pictures(task.source, 64)
    found = {"held_out_db": round(decibels(round_trip(model, test), test), 2)}
    if settings.vae.photographs:
        photographs = unseen_photographs()
        found["photographs_db"] = round(decibels(round_trip(model, photographs), photographs), 2)
    content = (out / WEIGHTS).read_bytes()
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
