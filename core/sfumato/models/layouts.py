"""Keys of single files: which part is under which prefix, and its weights under the names diffusers has.

Each function takes a part's tensors with the prefix stripped, in the original layout (Latent Diffusion, or
Generative Models for SDXL) or in diffusers' own. Meta tensors do, so a file's shapes can be converted without
its weights.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

from diffusers.loaders.single_file_utils import (
    convert_ldm_unet_checkpoint,
    convert_ldm_vae_checkpoint,
    convert_open_clip_checkpoint,
)
from torch import Tensor

Tensors = Mapping[str, Tensor]

PREFIXES = {
    "unet": ("model.diffusion_model.", "unet."),
    "vae": ("first_stage_model.", "vae."),
    "text_encoder": (
        "cond_stage_model.transformer.",
        "cond_stage_model.model.",
        "conditioner.embedders.0.transformer.",
        "text_encoder.",
    ),
    "text_encoder_2": ("conditioner.embedders.1.model.", "text_encoder_2."),
}
_OPEN_CLIP = "cond_stage_model.model."


def unet_weights(tensors: Tensors) -> dict[str, Tensor]:
    """Of a U-Net. A guidance embedding (LCM) has no original name and keeps diffusers'."""
    if "input_blocks.0.0.weight" not in tensors:
        return dict(tensors)
    halvings = [int(m[1]) for key in tensors if (m := re.match(r"input_blocks\.(\d+)\.0\.op\.weight", key))]
    config = {
        "layers_per_block": min(halvings, default=2) - 1,
        "addition_embed_type": "text_time" if "label_emb.0.0.weight" in tensors else None,
    }
    found = convert_ldm_unet_checkpoint(_under("model.diffusion_model.", tensors), config)
    kept = {key: tensor for key, tensor in tensors.items() if key.startswith("time_embedding.")}
    return {key: tensor for key, tensor in found.items() if tensor is not None} | kept


def vae_weights(tensors: Tensors) -> dict[str, Tensor]:
    """Of an autoencoder."""
    if not any(key.startswith("encoder.down.") for key in tensors):
        return dict(tensors)
    blocks = [None] * len({key.split(".")[2] for key in tensors if key.startswith("encoder.down.")})
    config = {"down_block_types": blocks, "up_block_types": blocks}
    return convert_ldm_vae_checkpoint(_under("first_stage_model.", tensors), config)


def is_open_clip(tensors: Tensors) -> bool:
    """Whether a text encoder has OpenCLIP's keys."""
    return any(key.startswith("transformer.resblocks.") for key in tensors)


def text_weights(tensors: Tensors, *, whole: bool) -> dict[str, Tensor]:
    """Of a text encoder, without the prefix "text_model.".

    With `whole` the last layer of OpenCLIP and the projection stay; Stable Diffusion 2 has neither.
    """
    found: Mapping[str, Tensor] = tensors
    if is_open_clip(tensors):
        width = tensors["token_embedding.weight"].shape[1]
        stub: Any = SimpleNamespace(config=SimpleNamespace(hidden_size=width))
        prefix = "conditioner.embedders.1.model." if whole else _OPEN_CLIP
        found = convert_open_clip_checkpoint(stub, _under(prefix, tensors), prefix=prefix)
    named = {key.removeprefix("text_model."): tensor for key, tensor in found.items()}
    return {
        key: tensor
        for key, tensor in named.items()
        if not key.endswith("position_ids") and (whole or key != "text_projection.weight")
    }


def _under(prefix: str, tensors: Tensors) -> dict[str, Tensor]:
    return {prefix + key: tensor for key, tensor in tensors.items()}
