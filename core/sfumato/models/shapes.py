"""Configurations read off the shapes of weights, whose keys are in diffusers' layout; torch is not needed.

What shapes do not show follows from the family: Stable Diffusion 1 has eight heads a layer, the later ones
heads of 64 channels.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

Shapes = Mapping[str, tuple[int, ...]]

_HEADS = 8
_HEAD_WIDTH = 64


def unet_config(shapes: Shapes, pooled: int | None) -> dict[str, Any]:
    """Of a `UNet2DConditionModel`; `pooled` is the width of a second text encoder's summary, if it has one.

    Raises `KeyError` if it is none.
    """
    downs, ups = _count(shapes, r"down_blocks\.(\d+)\."), _count(shapes, r"up_blocks\.(\d+)\.")
    widths = [shapes[f"down_blocks.{i}.resnets.0.conv2.weight"][0] for i in range(downs)]
    depths = [_depth(shapes, f"down_blocks.{i}.") for i in range(downs)]
    down_types = ["CrossAttnDownBlock2D" if depth else "DownBlock2D" for depth in depths]
    up_depths = [_depth(shapes, f"up_blocks.{i}.") for i in range(ups)]
    middle = _depth(shapes, "mid_block.")
    keys = next(key for key in shapes if key.endswith("attn2.to_k.weight"))
    linear = len(shapes["mid_block.attentions.0.proj_in.weight"]) == 2
    config = {
        "in_channels": shapes["conv_in.weight"][1],
        "out_channels": shapes["conv_out.weight"][0],
        "block_out_channels": widths,
        "layers_per_block": _count(shapes, r"down_blocks\.0\.resnets\.(\d+)\."),
        "down_block_types": down_types,
        "up_block_types": ["CrossAttnUpBlock2D" if depth else "UpBlock2D" for depth in up_depths],
        "transformer_layers_per_block": [depth or 1 for depth in depths[:-1]] + [depths[-1] or middle],
        "cross_attention_dim": shapes[keys][1],
        "use_linear_projection": linear,
        "attention_head_dim": [max(each // _HEAD_WIDTH, 1) for each in widths] if linear else _HEADS,
    }
    if guidance := shapes.get("time_embedding.cond_proj.weight"):
        config["time_cond_proj_dim"] = guidance[1]
    if (added := shapes.get("add_embedding.linear_1.weight")) and pooled is not None:
        config |= {
            "addition_embed_type": "text_time",
            "addition_time_embed_dim": (added[1] - pooled) // 6,
            "projection_class_embeddings_input_dim": added[1],
        }
    return config


def vae_config(shapes: Shapes, scaling_factor: float) -> dict[str, Any]:
    """Of an `AutoencoderKL`. Raises `KeyError` if it is none."""
    blocks = _count(shapes, r"encoder\.down_blocks\.(\d+)\.")
    widths = [shapes[f"encoder.down_blocks.{i}.resnets.0.conv2.weight"][0] for i in range(blocks)]
    return {
        "in_channels": shapes["encoder.conv_in.weight"][1],
        "out_channels": shapes["decoder.conv_out.weight"][0],
        "latent_channels": shapes["decoder.conv_in.weight"][1],
        "block_out_channels": widths,
        "layers_per_block": _count(shapes, r"encoder\.down_blocks\.0\.resnets\.(\d+)\."),
        "down_block_types": ["DownEncoderBlock2D"] * blocks,
        "up_block_types": ["UpDecoderBlock2D"] * blocks,
        "scaling_factor": scaling_factor,
        "force_upcast": True,
    }


def text_config(shapes: Shapes, activation: str) -> dict[str, Any]:
    """Of a CLIP text encoder without the prefix "text_model.". Raises `KeyError` if it is none.

    The last two words of CLIP's vocabulary are its begin and end markers.
    """
    vocabulary, width = shapes["embeddings.token_embedding.weight"]
    config = {
        "vocab_size": vocabulary,
        "hidden_size": width,
        "intermediate_size": shapes["encoder.layers.0.mlp.fc1.weight"][0],
        "num_hidden_layers": _count(shapes, r"encoder\.layers\.(\d+)\."),
        "num_attention_heads": max(width // _HEAD_WIDTH, 1),
        "max_position_embeddings": shapes["embeddings.position_embedding.weight"][0],
        "hidden_act": activation,
        "bos_token_id": vocabulary - 2,
        "eos_token_id": vocabulary - 1,
    }
    if projection := shapes.get("text_projection.weight"):
        config["projection_dim"] = projection[0]
    return config


def _count(shapes: Shapes, pattern: str) -> int:
    """How many numbers the keys have at a place."""
    return len({match[1] for key in shapes if (match := re.match(pattern, key))})


def _depth(shapes: Shapes, block: str) -> int:
    """Transformer layers of a block's first attention; 0 if it has none."""
    return _count(shapes, re.escape(block) + r"attentions\.0\.transformer_blocks\.(\d+)\.")
