"""Small LoRA, embedding and autoencoder files for a model, in the forms they are passed around in."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

RANK, ALPHA = 2, 4.0
LAYERS = {
    "unet": (
        "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q",
        "mid_block.attentions.0.transformer_blocks.0.attn2.to_out.0",
        "down_blocks.1.resnets.0.conv1",
    ),
    "text": ("encoder.layers.0.self_attn.q_proj",),
}


def network(model: Any, part: str) -> nn.Module:
    return model.unet if part == "unet" else model.encoders[0]


def matrices(model: Any, seed: int = 0) -> dict[tuple[str, str], tuple[Tensor, Tensor]]:
    """(part, layer) -> A, B."""
    generator = torch.Generator().manual_seed(seed)
    found = {}
    for part, names in LAYERS.items():
        for name in names:
            weight = network(model, part).get_submodule(name).weight
            A = torch.randn(RANK, *weight.shape[1:], generator=generator)
            B = torch.randn(len(weight), RANK, *(1 for _ in weight.shape[2:]), generator=generator) / 10
            found[part, name] = A, B
    return found


def kohya(found: dict[tuple[str, str], tuple[Tensor, Tensor]]) -> dict[str, Tensor]:
    """Flat names with "lora_down", as the trainers write."""
    tensors = {}
    for (part, name), (A, B) in found.items():
        flat = ("lora_unet_" if part == "unet" else "lora_te_text_model_") + name.replace(".", "_")
        tensors |= {f"{flat}.lora_down.weight": A, f"{flat}.lora_up.weight": B}
        tensors[f"{flat}.alpha"] = torch.tensor(ALPHA)
    return tensors


def peft(found: dict[tuple[str, str], tuple[Tensor, Tensor]]) -> dict[str, Tensor]:
    """Dotted names with "lora_A", as diffusers writes today; alpha is the rank."""
    tensors = {}
    for (part, name), (A, B) in found.items():
        dotted = f"unet.{name}" if part == "unet" else f"text_encoder.text_model.{name}"
        tensors |= {f"{dotted}.lora_A.weight": A, f"{dotted}.lora_B.weight": B * ALPHA / RANK}
    return tensors


def processors(found: dict[tuple[str, str], tuple[Tensor, Tensor]]) -> dict[str, Tensor]:
    """Names by attention processor, as diffusers wrote at first; attention of the U-Net only."""
    tensors = {}
    for (part, name), (A, B) in found.items():
        if part == "unet" and "attn" in name:
            attention, _, projection = name.removesuffix(".0").rpartition(".")
            stem = f"unet.{attention}.processor.{projection}_lora"
            tensors |= {f"{stem}.down.weight": A, f"{stem}.up.weight": B * ALPHA / RANK}
    return tensors


FORMS: dict[str, Callable[[dict[tuple[str, str], tuple[Tensor, Tensor]]], dict[str, Tensor]]] = {
    "kohya": kohya,
    "peft": peft,
    "processors": processors,
}


def written(path: Path, tensors: dict[str, Tensor]) -> str:
    save_file({key: value.contiguous() for key, value in tensors.items()}, path)
    return str(path)


def state_hash(model: Any) -> str:
    """Of every weight of every part, by name, of the objects that hold them, and of the words it knows."""
    digest = hashlib.sha256()
    for part in (model.unet, model.vae, *model.encoders):
        for name, tensor in part.state_dict().items():
            digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
            digest.update(tensor.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
        digest.update(str([id(module) for module in part.modules()]).encode())
    digest.update(f"{[len(each) for each in model.tokenizers]} {model.weights_hash}".encode())
    return digest.hexdigest()
