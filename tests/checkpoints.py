"""Small random-weight checkpoints of every family, with the block structure of the real ones.

Each can be saved as a diffusers folder and as a single file in the original key layout or in diffusers' own;
the original names are made here by our own rules, so that the loader's are tested against something.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors.torch import save_file
from torch import Tensor
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

TOKENIZER = Path(str(files("sfumato_resources"))) / "starter" / "tokenizer"
VOCABULARY = len(json.loads((TOKENIZER / "vocab.json").read_text("utf-8")))
SCHEDULER = {
    "_class_name": "DDIMScheduler",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "num_train_timesteps": 1000,
    "prediction_type": "epsilon",
    "steps_offset": 1,
}
SD_BLOCKS = {
    "down_block_types": ("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
    "up_block_types": ("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3,
}
XL_BLOCKS = {
    "down_block_types": ("DownBlock2D",) + ("CrossAttnDownBlock2D",) * 2,
    "up_block_types": ("CrossAttnUpBlock2D",) * 2 + ("UpBlock2D",),
}


@dataclass
class Tiny:
    """Networks of one family, and what is said about them."""

    parts: dict[str, Any]
    scheduler: dict[str, Any] = field(default_factory=lambda: dict(SCHEDULER))

    def save_folder(self, root: Path) -> Path:
        """As `diffusers` would."""
        index = {"scheduler": ["diffusers", self.scheduler["_class_name"]]}
        for name, part in self.parts.items():
            part.save_pretrained(root / name)
            library = "transformers" if name.startswith("text") else "diffusers"
            index[name] = [library, type(part).__name__]
            if name.startswith("text"):
                tokenizer = name.replace("text_encoder", "tokenizer")
                index[tokenizer] = ["transformers", "CLIPTokenizer"]
                copy_tokenizer(root / tokenizer, pad="!" if part.config.hidden_act == "gelu" else None)
        (root / "scheduler").mkdir()
        (root / "scheduler" / "scheduler_config.json").write_text(json.dumps(self.scheduler))
        if "text_encoder_2" in self.parts:
            index["force_zeros_for_empty_prompt"] = True
        (root / "model_index.json").write_text(json.dumps(index))
        return root

    def save_file(self, path: Path, *, original: bool, **metadata: str) -> Path:
        """As one file with the original keys, or with diffusers' behind the parts' names."""
        path.parent.mkdir(parents=True, exist_ok=True)
        tensors = self.original() if original else self.diffusers()
        save_file({name: each.clone().contiguous() for name, each in tensors.items()}, path, metadata)
        copy_tokenizer(path.parent / "tokenizer")
        return path

    def diffusers(self) -> dict[str, Tensor]:
        """Every tensor under its part's name."""
        return {
            f"{part}.{key}": each
            for part, network in self.parts.items()
            for key, each in network.state_dict().items()
        }

    def original(self) -> dict[str, Tensor]:
        """Every tensor under its original name."""
        states = {part: network.state_dict() for part, network in self.parts.items()}
        layers = self.parts["unet"].config.layers_per_block
        unet = {original_unet_key(key, layers, states["unet"]): each for key, each in states["unet"].items()}
        tensors = {f"model.diffusion_model.{key}": each for key, each in unet.items()}
        vae = original_vae(states["vae"])
        tensors |= {f"first_stage_model.{key}": each for key, each in vae.items()}
        text = self.parts["text_encoder"]
        if "text_encoder_2" in self.parts:
            second = open_clip(states["text_encoder_2"])
            tensors |= {f"conditioner.embedders.1.model.{key}": each for key, each in second.items()}
            prefix = "conditioner.embedders.0.transformer.text_model."
        elif text.config.hidden_act == "gelu":
            whole = open_clip(states["text_encoder"])
            last = {key: each for key, each in whole.items() if "resblocks.22." in key}
            whole |= {key.replace("resblocks.22.", "resblocks.23."): each * 2 for key, each in last.items()}
            whole["text_projection"] = torch.randn(64, 64)
            return tensors | {f"cond_stage_model.model.{key}": each for key, each in whole.items()}
        else:
            prefix = "cond_stage_model.transformer.text_model."
        return tensors | {prefix + key: each for key, each in states["text_encoder"].items()}


def copy_model(folder: Path, target: Path) -> Path:
    """A model's folder once more; its weights are links, so replace them, never write into them."""
    for path in (path for path in folder.rglob("*") if path.is_file()):
        copied = target / path.relative_to(folder)
        copied.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".safetensors":
            copied.symlink_to(path)
        else:
            shutil.copyfile(path, copied)
    return target


def copy_tokenizer(target: Path, *, pad: str | None = None) -> None:
    """The starter's tokenizer, of the same kind as CLIP's and smaller."""
    shutil.copytree(TOKENIZER, target, dirs_exist_ok=True)
    if pad is not None:
        path = target / "tokenizer_config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"pad_token": pad}))


def _text(width: int, layers: int, activation: str, **more: Any) -> CLIPTextConfig:
    return CLIPTextConfig(
        vocab_size=VOCABULARY,
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=layers,
        num_attention_heads=width // 64,
        hidden_act=activation,
        bos_token_id=VOCABULARY - 2,
        eos_token_id=VOCABULARY - 1,
        pad_token_id=0,
        **more,
    )


def _vae(scaling: float) -> AutoencoderKL:
    return AutoencoderKL(
        block_out_channels=(32,) * 4,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=1,
        latent_channels=4,
        scaling_factor=scaling,
    )


def sd1(channels: int = 4, **unet: Any) -> Tiny:
    """Stable Diffusion 1: CLIP-L, eight heads a layer; 9 channels paint in, 8 follow instructions."""
    torch.manual_seed(1)
    network = UNet2DConditionModel(
        sample_size=64,
        in_channels=channels,
        block_out_channels=(32, 64, 64, 64),
        cross_attention_dim=64,
        attention_head_dim=8,
        **SD_BLOCKS,
        **unet,
    )
    text = CLIPTextModel(_text(64, 2, "quick_gelu"))
    return Tiny({"unet": network, "vae": _vae(0.18215), "text_encoder": text})


def sd2(prediction: str = "v_prediction", channels: int = 4) -> Tiny:
    """Stable Diffusion 2: OpenCLIP-H without its last layer, linear projections, heads of 64."""
    torch.manual_seed(2)
    size = 96 if prediction == "v_prediction" else 64
    network = UNet2DConditionModel(
        sample_size=size,
        in_channels=channels,
        block_out_channels=(64, 128, 128, 128),
        cross_attention_dim=64,
        attention_head_dim=(1, 2, 2, 2),
        use_linear_projection=True,
        upcast_attention=True,
        **SD_BLOCKS,
    )
    text = CLIPTextModel(_text(64, 23, "gelu"))
    scheduler = SCHEDULER | {"prediction_type": prediction}
    return Tiny({"unet": network, "vae": _vae(0.18215), "text_encoder": text}, scheduler)


def sdxl(channels: int = 4) -> Tiny:
    """SDXL: two text encoders, one of them with a projection; three blocks, deeper towards the middle."""
    torch.manual_seed(3)
    network = UNet2DConditionModel(
        sample_size=128,
        in_channels=channels,
        block_out_channels=(64, 128, 128),
        transformer_layers_per_block=(1, 2, 3),
        cross_attention_dim=64 + 128,
        attention_head_dim=(1, 2, 2),
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=6 * 8 + 128,
        **XL_BLOCKS,
    )
    first = CLIPTextModel(_text(64, 2, "quick_gelu"))
    second = CLIPTextModelWithProjection(_text(128, 3, "gelu", projection_dim=128))
    return Tiny({"unet": network, "vae": _vae(0.13025), "text_encoder": first, "text_encoder_2": second})


def lcm() -> Tiny:
    """A Latent Consistency Model of Stable Diffusion 1: the guidance is an input."""
    tiny = sd1(time_cond_proj_dim=16)
    return Tiny(tiny.parts, SCHEDULER | {"_class_name": "LCMScheduler", "original_inference_steps": 50})


def turbo() -> Tiny:
    """A turbo model: Euler's ancestral sampler with trailing steps."""
    euler = {"_class_name": "EulerAncestralDiscreteScheduler", "timestep_spacing": "trailing"}
    return Tiny(sd1().parts, SCHEDULER | euler)


_RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "time_emb_proj": "emb_layers.1",
    "conv_shortcut": "skip_connection",
}
_ENDS = {
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
    "conv_in": "input_blocks.0.0",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
}


def original_unet_key(key: str, layers: int, keys: Mapping[str, Any]) -> str:
    """The name Latent Diffusion gives a U-Net's tensor: blocks are counted through, halvings among them."""
    for ours, theirs in _ENDS.items():
        if key.startswith(f"{ours}."):
            return theirs + key.removeprefix(ours)
    if match := re.match(r"(down|up)_blocks\.(\d+)\.(\w+)\.(\d+)\.(.*)", key):
        side, block, kind, index, rest = match[1], int(match[2]), match[3], int(match[4]), match[5]
        if kind == "downsamplers":
            return f"input_blocks.{(block + 1) * (layers + 1)}.0.op.{rest.removeprefix('conv.')}"
        if kind == "upsamplers":
            place = 2 if any(each.startswith(f"up_blocks.{block}.attentions.") for each in keys) else 1
            return f"output_blocks.{block * (layers + 1) + layers}.{place}.{rest}"
        number = block * (layers + 1) + index + (1 if side == "down" else 0)
        where = f"{'input' if side == 'down' else 'output'}_blocks.{number}"
    elif match := re.match(r"mid_block\.(\w+)\.(\d+)\.(.*)", key):
        kind, index, rest = match[1], int(match[2]), match[3]
        if kind == "attentions":
            return f"middle_block.1.{rest}"
        module, _, tail = rest.partition(".")
        return f"middle_block.{2 * index}.{_RESNET[module]}.{tail}"
    else:
        return key
    if kind == "attentions":
        return f"{where}.1.{rest}"
    module, _, tail = rest.partition(".")
    return f"{where}.0.{_RESNET[module]}.{tail}"


_VAE_ATTENTION = {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out"}


def original_vae(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """An autoencoder's tensors as Latent Diffusion has them: attention by 1x1 convolution, decoder turned."""
    ups = 1 + max(int(m[1]) for key in state if (m := re.match(r"decoder\.up_blocks\.(\d+)", key)))
    found = {}
    for key, tensor in state.items():
        name = re.sub(r"down_blocks\.(\d+)\.resnets\.(\d+)", r"down.\1.block.\2", key)
        name = re.sub(r"down_blocks\.(\d+)\.downsamplers\.0", r"down.\1.downsample", name)
        name = re.sub(
            r"up_blocks\.(\d+)\.resnets\.(\d+)", lambda m: f"up.{ups - 1 - int(m[1])}.block.{m[2]}", name
        )
        name = re.sub(
            r"up_blocks\.(\d+)\.upsamplers\.0", lambda m: f"up.{ups - 1 - int(m[1])}.upsample", name
        )
        name = re.sub(r"mid_block\.resnets\.(\d)", lambda m: f"mid.block_{int(m[1]) + 1}", name)
        name = name.replace("conv_norm_out", "norm_out").replace("conv_shortcut", "nin_shortcut")
        if "mid_block.attentions.0." in name:
            start, _, rest = name.partition("mid_block.attentions.0.")
            module, _, tail = rest.rpartition(".")
            name = f"{start}mid.attn_1.{_VAE_ATTENTION[module]}.{tail}"
            if tensor.ndim == 2:
                tensor = tensor[:, :, None, None]
        found[name] = tensor
    return found


def open_clip(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A CLIP text encoder's tensors as OpenCLIP has them: one projection for queries, keys and values."""
    renamed = {
        "embeddings.token_embedding.weight": "token_embedding.weight",
        "embeddings.position_embedding.weight": "positional_embedding",
        "final_layer_norm.weight": "ln_final.weight",
        "final_layer_norm.bias": "ln_final.bias",
    }
    modules = {
        "layer_norm1": "ln_1",
        "layer_norm2": "ln_2",
        "mlp.fc1": "mlp.c_fc",
        "mlp.fc2": "mlp.c_proj",
        "self_attn.out_proj": "attn.out_proj",
    }
    found = {}
    for key, tensor in state.items():
        key = key.removeprefix("text_model.")
        if key in renamed:
            found[renamed[key]] = tensor
        elif key == "text_projection.weight":
            found["text_projection"] = tensor.T
        elif match := re.match(r"encoder\.layers\.(\d+)\.(.*)\.(weight|bias)", key):
            block = f"transformer.resblocks.{match[1]}"
            if match[2] in modules:
                found[f"{block}.{modules[match[2]]}.{match[3]}"] = tensor
    for key in state:
        if match := re.match(r"(.*encoder\.layers\.(\d+)\.self_attn)\.q_proj\.(weight|bias)", key):
            stem, number, kind = match.groups()
            parts = [state[f"{stem}.{each}_proj.{kind}"] for each in "qkv"]
            found[f"transformer.resblocks.{number}.attn.in_proj_{kind}"] = torch.cat(parts)
    return found
