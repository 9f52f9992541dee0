"""Another autoencoder for a model: its weights in the place of the model's own."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from diffusers.loaders.single_file_utils import convert_ldm_vae_checkpoint
from torch import Tensor, nn

from sfumato.errors import ModelError
from sfumato.models.model import Model
from sfumato.models.tensors import UNCHANGED, foreign, read_tensors

_WEIGHTS = ("diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.fp16.safetensors")


def weights_of(place: Path) -> Path:
    """The file with the weights: `place`, or in it, or in its folder "vae". Raises `ModelError`."""
    if not place.is_dir():
        return place
    for folder in (place, place / "vae"):
        for name in _WEIGHTS:
            if (folder / name).is_file():
                return folder / name
    raise ModelError(f"There is no autoencoder in {place}.", kept=UNCHANGED)


def read_vae(place: Path, model: Model) -> dict[str, Tensor]:
    """Read an autoencoder's weights under the names of the model's own, in its shapes.

    Raises `ModelError` if the file is damaged, or its latents would mean something else to the model.
    """
    path, vae = weights_of(place), model.vae
    config: Any = vae.config
    _check_config(path, config)
    tensors, own = read_tensors(path, "autoencoder"), vae.state_dict()
    if not own.keys() <= tensors.keys():
        tensors = _renamed(tensors, config, path)
    for name, tensor in own.items():
        if name not in tensors:
            raise foreign(path, "autoencoder", f"it has no {name}")
        if tensors[name].shape != tensor.shape:
            raise foreign(path, "autoencoder", f"its {name} has another shape")
    return {name: tensors[name].to(tensor) for name, tensor in own.items()}


def _renamed(tensors: Mapping[str, Tensor], config: Mapping[str, Any], path: Path) -> Mapping[str, Tensor]:
    """From the names of the original code to those of diffusers."""
    try:
        return convert_ldm_vae_checkpoint(dict(tensors), config)
    except (KeyError, AttributeError, IndexError, RuntimeError) as error:
        raise foreign(path, "autoencoder", "its layers go by names this version does not know") from error


def _check_config(path: Path, own: Mapping[str, Any]) -> None:
    """Refuse latents of another scale, where a configuration beside the weights says so."""
    try:
        theirs = json.loads((path.parent / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return
    for name in ("scaling_factor", "shift_factor", "latent_channels"):
        if isinstance(theirs, dict) and name in theirs and theirs[name] != own.get(name):
            raise foreign(path, "autoencoder", f"its {name} is {theirs[name]}, the model's {own.get(name)}")


def put_on(weights: Mapping[str, Tensor], vae: nn.Module, undo: ExitStack) -> None:
    """Exchange the weights; `undo` puts the very same tensors back."""
    own = dict(vae.state_dict())
    undo.callback(partial(_exchange, vae, own))
    _exchange(vae, weights)


def _exchange(vae: nn.Module, weights: Mapping[str, Tensor]) -> None:
    vae.load_state_dict(weights, assign=True)
    vae.requires_grad_(False)
