"""From a ControlNet's folder to a network that fits a loaded model: offline, safetensors only."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any

import torch
from diffusers.models.attention_processor import Attention
from diffusers.models.controlnets.controlnet import ControlNetModel
from diffusers.models.resnet import ResnetBlock2D
from safetensors import SafetensorError

from sfumato.diffusion.control import ControlNet
from sfumato.errors import ModelError
from sfumato.method import Progress
from sfumato.models.catalogue import Checkpoint
from sfumato.models.control_folder import NetworkFolder, inspect_network, refuse_misfit
from sfumato.models.fingerprint import Fingerprints
from sfumato.models.loading import quiet
from sfumato.models.model import Model

_STAGE = "Loading the ControlNet"
_STEPS = 2
"""Fingerprint, network."""


def load_network(
    checkpoint: Checkpoint, model: Model, cache_dir: Path
) -> Generator[Progress, None, ControlNet]:
    """Load a ControlNet for a model: on its device, in its precision, stopped by its flag.

    Raises `ModelError` if the folder is unsafe, incomplete, damaged, or made for another family.
    """
    folder = inspect_network(checkpoint.folder)
    unet: Any = model.unet
    refuse_misfit(
        folder,
        unet.config,
        title=model.info.title,
        channels=model.latent_channels,
        scale=model.latent_scale,
    )
    yield Progress(0, _STEPS, _STAGE)
    weights_hash = ""
    read = {path.relative_to(folder.root).as_posix(): path for path in folder.files}
    for digest in Fingerprints(cache_dir / "fingerprints.json").of(read):
        if digest is None:
            yield Progress(0, _STEPS, _STAGE)
        else:
            weights_hash = digest
    yield Progress(1, _STEPS, _STAGE)
    return attached(checkpoint.name, _read(folder), model, weights_hash)


def attached(name: str, network: torch.nn.Module, model: Model, weights_hash: str) -> ControlNet:
    """Freeze a ControlNet and put it beside a model's U-Net."""
    network.requires_grad_(False).eval().to(model.device, model.dtype)
    model.stop.guard([m for m in network.modules() if isinstance(m, ResnetBlock2D | Attention)])
    return ControlNet(name, network, weights_hash)


def _read(folder: NetworkFolder) -> torch.nn.Module:
    try:
        with quiet():
            loader: Any = ControlNetModel
            network, told = loader.from_pretrained(
                str(folder.root),
                local_files_only=True,
                use_safetensors=True,
                variant=folder.variant,
                output_loading_info=True,
            )
    except (OSError, ValueError, TypeError, KeyError, SafetensorError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and "size mismatch" not in str(error):
            raise  # lack of memory, for one
        raise _damaged(folder, " ".join(str(error).split())[:200]) from error
    for kind, what in (
        ("missing_keys", "weights are missing"),
        ("mismatched_keys", "weights have another shape"),
    ):
        if told.get(kind):
            raise _damaged(folder, f"{len(told[kind])} {what}")
    return network


def _damaged(folder: NetworkFolder, why: str) -> ModelError:
    return ModelError(
        f"The ControlNet {folder.root} cannot be read: {why}",
        advice="It is damaged or incomplete; get a fresh copy.",
    )
