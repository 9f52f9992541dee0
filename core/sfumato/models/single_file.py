"""What is in a single `.safetensors` checkpoint, decided from its header: keys, shapes and metadata.

Such a file holds weights and nothing else. Configurations are read off the shapes, what shapes cannot show
(the prediction, a few-step model's schedule) off metadata and name, by the conventions people follow.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from diffusers.loaders.single_file_utils import SCHEDULER_DEFAULT_CONFIG, infer_diffusers_model_type
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from sfumato.errors import ModelError
from sfumato.models import layouts, shapes
from sfumato.models.family import SD2, SDXL, family, refuse_unfit
from sfumato.models.tokenizers import find_tokenizer

_TRANSFORMERS = {"double_blocks.": "a FLUX model", "joint_blocks.": "a Stable Diffusion 3 model"}
"""Keys of networks that are no U-Net; the library looks at more keys than a damaged file may have."""
_FOREIGN = {
    "xl_refiner": "the SDXL refiner",
    "controlnet": "a ControlNet",
    "animatediff": "an AnimateDiff module",
    "playground": "Playground 2.5",
}
_ADAPTER = re.compile(r"lora_(up|down|A|B)\b|\.lora\.|hada_w1|lokr_w1")
_TURBO = re.compile(r"turbo|lightning|(?<![a-z])hyper(?:-?sd)?(?![a-z])")
_LCM = re.compile(r"(?<![a-z])lcm(?![a-z])")
_SCALING = {SDXL: 0.13025}
_ORIGINAL_SCALING = 0.18215


@dataclass(frozen=True)
class SingleFile:
    """A file that passed inspection."""

    root: Path
    configs: Mapping[str, Mapping[str, Any]]
    """Part -> its configuration; "index" stands for model_index.json."""
    prefixes: Mapping[str, str]
    """Part -> how its keys begin."""
    sizes: Mapping[str, int]
    """Part -> its bytes."""
    tokenizers: Mapping[str, Path] = field(default_factory=dict)
    """Part -> a tokenizer's folder."""

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts that are loaded."""
        return (*self.tokenizers, *(part for part in layouts.PREFIXES if part in self.prefixes))

    @property
    def files(self) -> dict[str, Path]:
        """Everything a load reads, by what it is taken for."""
        taken = f"{family(self.configs)} {self.configs['scheduler']['prediction_type']}"
        read = {f"weights of {taken}": self.root}
        for part, folder in self.tokenizers.items():
            read |= {f"{part}/{name}": folder / name for name in ("vocab.json", "merges.txt")}
        return read

    def with_tokenizers(self, folders: Sequence[Path]) -> SingleFile:
        """The same with a tokenizer for each text encoder. Raises `ModelError` if none is to be found."""
        texts = [part for part in ("text_encoder", "text_encoder_2") if part in self.prefixes]
        found = {
            part.replace("text_encoder", "tokenizer"): find_tokenizer(
                self.configs[part]["vocab_size"], self.root, folders
            )
            for part in texts
        }
        return replace(self, tokenizers=found)

    def read(self, part: str) -> Any:
        """Load a part. Raises `ValueError`, `RuntimeError` or what the libraries raise over bad weights."""
        if part in self.tokenizers:
            return self._tokenizer(part)
        with safe_open(self.root, framework="pt") as file:
            prefix = self.prefixes[part]
            tensors = {
                key.removeprefix(prefix): file.get_tensor(key)
                for key in file.keys()  # noqa: SIM118 - the handle is no mapping
                if key.startswith(prefix)
            }
        weights, config = _converted(part, tensors, whole=part == "text_encoder_2"), dict(self.configs[part])
        if part == "unet":
            return _filled(UNet2DConditionModel, config, weights)
        if part == "vae":
            return _filled(AutoencoderKL, config, weights)
        kind: Any = CLIPTextModelWithProjection if part == "text_encoder_2" else CLIPTextModel
        network, told = kind.from_pretrained(
            None, config=CLIPTextConfig(**config), state_dict=weights, output_loading_info=True
        )
        if missing := sorted(told["missing_keys"]):
            raise ValueError(f"{len(missing)} weights are missing, the first is {missing[0]}")
        return network

    def _tokenizer(self, part: str) -> Any:
        """CLIP's, padded as the encoder was trained: OpenCLIP's with token 0, CLIP's with its end marker."""
        tokenizer = CLIPTokenizer.from_pretrained(str(self.tokenizers[part]), local_files_only=True)
        config = self.configs[part.replace("tokenizer", "text_encoder")]
        padding = 0 if config["hidden_act"] == "gelu" else config["eos_token_id"]
        tokenizer.pad_token = tokenizer.convert_ids_to_tokens(padding)
        tokenizer.model_max_length = min(tokenizer.model_max_length, config["max_position_embeddings"])
        return tokenizer


def inspect(path: Path) -> SingleFile:
    """Look a file over. Raises `ModelError` for anything that cannot be loaded."""
    metadata, header, widths = _header(path)
    _refuse_foreign(path, header)
    prefixes = {
        part: prefix
        for part, known in layouts.PREFIXES.items()
        for prefix in known
        if any(key.startswith(prefix) for key in header)
    }
    for part, name in (("unet", "U-Net"), ("vae", "autoencoder (VAE)"), ("text_encoder", "text encoder")):
        if part not in prefixes:
            raise ModelError(f"{path.name} holds no {name}, so it is not a whole model.")
    try:
        configs = _configs(header, prefixes)
    except (KeyError, IndexError, StopIteration, ValueError) as error:
        raise ModelError(f"{path.name} lacks weights ({error}); the file is damaged or foreign.") from error
    hints = {"name": path.stem.lower(), **metadata}
    configs |= _unseen(configs, hints, header)
    refuse_unfit(configs, path)
    sizes = {
        part: sum(each.numel() * widths[key] for key, each in header.items() if key.startswith(prefix)) // 8
        for part, prefix in prefixes.items()
    }
    return SingleFile(path, configs, prefixes, sizes)


def _header(path: Path) -> tuple[dict[str, str], dict[str, Tensor], dict[str, int]]:
    """Metadata; for each key a tensor without content, and how many bits each number has."""
    try:
        with safe_open(path, framework="pt") as file:
            slices = {name: file.get_slice(name) for name in list(file.keys())}
            header = {name: torch.empty(each.get_shape(), device="meta") for name, each in slices.items()}
            widths = {name: _bits(each.get_dtype()) for name, each in slices.items()}
            return file.metadata() or {}, header, widths
    except FileNotFoundError:
        raise ModelError(f"There is no model '{path}': it is neither a known name nor a file.") from None
    except (OSError, SafetensorError) as error:
        raise ModelError(
            f"{path} is cut short or is no safetensors file.", advice="Get a fresh copy of it."
        ) from error


def _bits(dtype: str) -> int:
    """Of "F16", "BF16", "F8_E4M3", "BOOL" ..."""
    number = re.search(r"\d+", dtype)
    return int(number[0]) if number else 8


def _refuse_foreign(path: Path, header: Mapping[str, Tensor]) -> None:
    """Name what is in a file of another family, as far as the library knows it."""
    if any(_ADAPTER.search(key) for key in header):
        raise ModelError(f"{path.name} is a LoRA, which changes a model, and no model by itself.")
    for mark, what in _TRANSFORMERS.items():
        if any(mark in key for key in header):
            raise ModelError(f"{path.name} is {what}; this version cannot use it.")
    try:
        kind = infer_diffusers_model_type(dict(header))
    except (KeyError, IndexError):
        kind = "v1"
    for begins, what in _FOREIGN.items():
        if kind.startswith(begins):
            raise ModelError(f"{path.name} is {what}; this version cannot use it.")
    known = any(key.startswith(layouts.PREFIXES["unet"]) for key in header)
    if not known and kind != "v1":
        raise ModelError(f"{path.name} is of the family '{kind}'; this version cannot use it.")


def _converted(part: str, tensors: Mapping[str, Tensor], *, whole: bool) -> dict[str, Tensor]:
    if part == "unet":
        return layouts.unet_weights(tensors)
    return layouts.vae_weights(tensors) if part == "vae" else layouts.text_weights(tensors, whole=whole)


def _configs(header: Mapping[str, Tensor], prefixes: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """What the shapes of each part say."""
    sizes, second = {}, "text_encoder_2" in prefixes
    for part, prefix in prefixes.items():
        own = {key.removeprefix(prefix): each for key, each in header.items() if key.startswith(prefix)}
        weights = _converted(part, own, whole=part == "text_encoder_2")
        sizes[part] = {key: tuple(each.shape) for key, each in weights.items()}
    pooled = sizes["text_encoder_2"]["text_projection.weight"][0] if second else None
    unet = shapes.unet_config(sizes["unet"], pooled)
    open_clip = unet["use_linear_projection"] and not second
    configs = {"unet": unet | {"upcast_attention": open_clip}}
    configs["text_encoder"] = shapes.text_config(sizes["text_encoder"], "gelu" if open_clip else "quick_gelu")
    if second:
        configs["text_encoder_2"] = shapes.text_config(sizes["text_encoder_2"], "gelu")
    scaling = _SCALING.get(family(configs), _ORIGINAL_SCALING)
    return configs | {"vae": shapes.vae_config(sizes["vae"], scaling)}


def _unseen(
    configs: Mapping[str, Mapping[str, Any]], hints: Mapping[str, str], header: Mapping[str, Tensor]
) -> dict[str, dict[str, Any]]:
    """What shapes do not show: the picture's size, the prediction, the schedule.

    `hints` are the file's name and its metadata, of which the "modelspec" of Stability AI is understood.
    """
    kind, plain = family(configs), configs["unet"]["in_channels"] == configs["vae"]["latent_channels"]
    turbo, base = bool(_TURBO.search(hints["name"])), bool(re.search(r"base|512", hints["name"]))
    sides = {SDXL: 512 if "turbo" in hints["name"] else 1024, SD2: 768 if plain and not base else 512}
    side = sides.get(kind, 512)
    if told := re.match(r"(\d+)x", hints.get("modelspec.resolution", "")):
        side = int(told[1])
    predicts_v = "v_pred" in header or (kind == SD2 and side == 768)
    predicts_v = hints.get("modelspec.prediction_type", "v" if predicts_v else "epsilon") == "v"
    scheduler = SCHEDULER_DEFAULT_CONFIG | {
        "_class_name": "DDIMScheduler",
        "prediction_type": "v_prediction" if predicts_v else "epsilon",
        "rescale_betas_zero_snr": "ztsnr" in header,
    }
    if "time_cond_proj_dim" in configs["unet"] or _LCM.search(hints["name"]):
        scheduler |= {"_class_name": "LCMScheduler"}
    elif turbo:
        scheduler |= {"_class_name": "EulerAncestralDiscreteScheduler", "timestep_spacing": "trailing"}
    scale = 2 ** (len(configs["vae"]["block_out_channels"]) - 1)
    return {
        "unet": {**configs["unet"], "sample_size": side // scale},
        "scheduler": scheduler,
        "index": {"force_zeros_for_empty_prompt": kind == SDXL},
    }


def _filled(kind: Any, config: Mapping[str, Any], weights: Mapping[str, Tensor]) -> nn.Module:
    """A network of that configuration made of those weights, without making random ones first."""
    with torch.device("meta"):
        network = kind.from_config(dict(config))
    network.load_state_dict(weights, strict=True, assign=True)
    return network
