"""LoRA files: low-rank changes of a network's layers, in any of the forms they are passed around in.

A layer's weight W becomes W + s (alpha / r) B A with A (r, in) and B (out, r) (Hu et al. 2021, equation 3).
Every name is looked up among the model's own layers with dots and underscores taken for the same, which
covers the trainers' flat names ("lora_unet_..._to_q"), diffusers' and peft's dotted ones, and a U-Net alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers.loaders.lora_conversion_utils import _maybe_map_sgm_blocks_to_diffusers
from peft import LoraConfig, inject_adapter_in_model
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn

from sfumato.errors import ModelError
from sfumato.models.model import Model
from sfumato.models.tensors import UNCHANGED, foreign, read_tensors

_MATRIX = re.compile(
    r"(?P<layer>.+?)(?:\.lora_(?P<new>down|up|A|B)(?:\.\w+)?|[._]lora(?:_linear_layer)?\.(?P<old>down|up))\.weight"
)
_ALPHA = re.compile(r"(?P<layer>.+?)(?:\.lora)?\.alpha")
_OTHER_FORMS = {
    "hada_": "LoHa",
    "lokr_": "LoKr",
    "dora_scale": "DoRA",
    "lora_magnitude_vector": "DoRA",
    "lora_mid": "LoCon with a middle matrix",
    "oft_": "OFT",
}
_PREFIXES = {
    "base_model_model_": "unet",
    "lora_unet_": "unet",
    "unet_": "unet",
    "lora_te_": "text 0",
    "lora_te1_": "text 0",
    "lora_te2_": "text 1",
    "text_encoder_2_": "text 1",
    "text_encoder_": "text 0",
}
"""What a flat name begins with -> the part it is in; without any of them it is the U-Net's."""
_ORIGINAL_NAMES = {
    "input_blocks_": "down_blocks_",
    "middle_block_": "mid_block_",
    "output_blocks_": "up_blocks_",
    "_in_layers_2": "_conv1",
    "_out_layers_3": "_conv2",
    "_emb_layers_1": "_time_emb_proj",
    "_skip_connection": "_conv_shortcut",
    "_processor_to_": "_to_",
    "_self_attn_to_out": "_self_attn_out_proj",
    "_self_attn_to_q": "_self_attn_q_proj",
    "_self_attn_to_k": "_self_attn_k_proj",
    "_self_attn_to_v": "_self_attn_v_proj",
}


@dataclass(frozen=True, eq=False)
class Change:
    """A (r, in[, k, k]), B (out, r[, 1, 1]) and alpha of one layer."""

    A: Tensor
    B: Tensor
    alpha: float


@dataclass(frozen=True, eq=False)
class Lora:
    """A file that fits a model: part -> layer -> its change."""

    path: Path
    changes: Mapping[str, Mapping[str, Change]]


def read_lora(path: Path, model: Model) -> Lora:
    """Read a LoRA and find a place in the model for all of it, without touching the model.

    Raises `ModelError` if the file is damaged, in another form, or made for another kind of model.
    """
    parts = _parts(model)
    flat = {part: {_flat(name): name for name, _ in _layers(network)} for part, network in parts.items()}
    found: dict[str, dict[str, Change]] = {}
    homeless: list[str] = []
    for layer, change in _changes(read_tensors(path, "LoRA"), path, model).items():
        part, name = _place(layer, flat)
        if name is None:
            homeless.append(layer)
            continue
        found.setdefault(part, {})[name] = _fitted(change, parts[part].get_submodule(name), layer, path)
    if homeless:
        count = f"{len(homeless)} of its {len(homeless) + sum(map(len, found.values()))} layers"
        raise foreign(path, "LoRA", f"{count} are not in the model ({homeless[0]})")
    return Lora(path, found)


def put_on(loras: Iterable[tuple[Lora, float]], model: Model, undo: ExitStack) -> None:
    """Add LoRAs, each with its strength; `undo` puts the model's own layers back, the very same."""
    parts = _parts(model)
    for number, (lora, strength) in enumerate(loras):
        for part, changes in lora.changes.items():
            network = parts[part]
            for name in changes:
                layer = network.get_submodule(name)
                if not isinstance(layer, LoraLayer):
                    undo.callback(network.set_submodule, name, layer)
            _inject(network, changes, f"lora{number}", strength)


def _inject(network: nn.Module, changes: Mapping[str, Change], adapter: str, strength: float) -> None:
    alike: dict[tuple[int, float], list[str]] = {}
    for name, change in changes.items():
        alike.setdefault((len(change.A), change.alpha), []).append(re.escape(name))
    patterns = {
        f"^({'|'.join(names)})": kind for kind, names in alike.items()
    }  # few: peft tries each in turn
    config = LoraConfig(
        target_modules="|".join(name for names in alike.values() for name in names),
        rank_pattern={pattern: rank for pattern, (rank, _) in patterns.items()},
        alpha_pattern={pattern: alpha for pattern, (_, alpha) in patterns.items()},
    )
    try:
        inject_adapter_in_model(config, network, adapter)
    finally:
        vars(network).pop("peft_config", None)  # it warns of a second adapter where it finds its first
    for name, change in changes.items():
        layer: Any = network.get_submodule(name)
        weight = layer.get_base_layer().weight
        for matrix, values in ((layer.lora_A[adapter], change.A), (layer.lora_B[adapter], change.B)):
            matrix.weight = nn.Parameter(values.to(weight.device, weight.dtype), requires_grad=False)
        layer.set_scale(adapter, strength)
        layer.set_adapter(list(layer.lora_A), inference_mode=True)


def _parts(model: Model) -> dict[str, nn.Module]:
    texts = {f"text {number}": encoder for number, encoder in enumerate(model.encoders)}
    return {"unet": model.unet, **texts}


def _layers(network: nn.Module) -> Iterable[tuple[str, nn.Module]]:
    """Layers a LoRA can change; of one that has been changed already, the outside."""
    changed = tuple(name for name, module in network.named_modules() if isinstance(module, LoraLayer))
    for name, module in network.named_modules():
        inside = any(name.startswith(f"{outer}.") for outer in changed)
        if not inside and (isinstance(module, nn.Linear | nn.Conv2d) or name in changed):
            yield name, module


def _flat(name: str) -> str:
    return name.replace(".", "_")


def _place(layer: str, flat: Mapping[str, Mapping[str, str]]) -> tuple[str, str | None]:
    """The part and the name of a layer by what a file calls it; None if the model has none."""
    part, rest = "unet", _flat(layer)
    for prefix, where in _PREFIXES.items():
        if rest.startswith(prefix):
            part, rest = where, rest.removeprefix(prefix)
    names = flat.get(part, {})
    for old, new in _ORIGINAL_NAMES.items():
        rest = rest.replace(old, new)
    for candidate in (rest, f"{rest}_0", rest.removeprefix("text_model_"), f"text_model_{rest}"):
        if candidate in names:
            return part, names[candidate]
    return part, None


def _changes(tensors: dict[str, Tensor], path: Path, model: Model) -> dict[str, Change]:
    """Put the matrices of a file together, layer by layer."""
    for sign, form in _OTHER_FORMS.items():
        if any(sign in key for key in tensors):
            raise ModelError(
                f"The LoRA {path.name} is in the form called {form}, which this version cannot read.",
                kept=UNCHANGED,
            )
    if any("input_blocks" in key or "output_blocks" in key for key in tensors):
        try:
            tensors = _maybe_map_sgm_blocks_to_diffusers(tensors, _Config(model))
        except (ValueError, IndexError, KeyError, TypeError) as error:
            raise foreign(path, "LoRA", "its blocks go by names this version does not know") from error
    matrices: dict[str, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        if match := _MATRIX.fullmatch(key):
            role = {"down": "A", "A": "A", "up": "B", "B": "B"}[match["new"] or match["old"]]
        elif match := _ALPHA.fullmatch(key):
            role = "alpha"
        else:
            raise ModelError(
                f"{path.name} is not a LoRA this version knows: it holds '{key[:80]}'.", kept=UNCHANGED
            )
        matrices.setdefault(match["layer"], {})[role] = tensor
    if not matrices:
        raise ModelError(f"The LoRA {path.name} is empty.", kept=UNCHANGED)
    return {layer: _change(found, layer, path) for layer, found in matrices.items()}


class _Config:
    """What diffusers' renaming of blocks asks of a U-Net's configuration."""

    def __init__(self, model: Model) -> None:
        config: Any = model.unet.config
        self.layers_per_block: int = config.layers_per_block


def _change(found: Mapping[str, Tensor], layer: str, path: Path) -> Change:
    if not {"A", "B"} <= found.keys():
        raise ModelError(
            f"The LoRA {path.name} is incomplete: half of the layer {layer} is missing.", kept=UNCHANGED
        )
    A, B = found["A"], found["B"]
    if A.dim() not in (2, 4) or B.dim() not in (2, 4) or len(A) != B.shape[1] or not len(A):
        raise ModelError(f"The LoRA {path.name} is damaged at the layer {layer}.", kept=UNCHANGED)
    return Change(A, B, float(found["alpha"]) if "alpha" in found else float(len(A)))


def _fitted(change: Change, layer: nn.Module, name: str, path: Path) -> Change:
    """The change in the dimensions its layer has. Raises `ModelError` if it is for one of another shape."""
    if isinstance(layer, LoraLayer):
        layer = layer.get_base_layer()
    assert isinstance(layer, nn.Linear | nn.Conv2d)
    rank, weight = len(change.A), layer.weight
    kernel = tuple(weight.shape[2:])
    A, B = change.A, change.B
    if kernel in ((), (1, 1)) and A.numel() == rank * weight.shape[1] and B.numel() == len(weight) * rank:
        A, B = A.reshape(rank, weight.shape[1], *kernel), B.reshape(len(weight), rank, *kernel)
    elif B.dim() == 2:
        B = B[..., None, None] if kernel else B
    wanted = (rank, *weight.shape[1:]), (len(weight), rank, *(1 for _ in kernel))
    if (tuple(A.shape), tuple(B.shape)) != wanted:
        theirs, ours = _times(len(change.B), change.A.shape[1]), _times(*weight.shape[:2])
        raise foreign(path, "LoRA", f"its layer {name} is {theirs}, the model's {ours}")
    return Change(A.to(torch.float32), B.to(torch.float32), change.alpha)


def _times(rows: int, columns: int) -> str:
    return f"{rows} x {columns}"
