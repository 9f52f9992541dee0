"""A checkpoint small enough to build in a second, and requests for it."""

from __future__ import annotations

from collections.abc import Generator
from functools import cache
from typing import Any, TypeVar

import torch
from diffusers import AutoencoderKL, ControlNetModel, UNet2DConditionModel
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import CLIPTextConfig, CLIPTextModel, PreTrainedTokenizerFast

from sfumato.diffusion.control import ControlNet
from sfumato.events import ModelInfo
from sfumato.method import Ability, EditRequest
from sfumato.models.model import Model
from sfumato.params import Params

CONTEXT = 16
SCHEDULER = {
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "prediction_type": "epsilon",
}
WORDS = "a an the cat dog car on in grass snow red green blue photo of and big"
PIECES = "hippo ##po ##pota ##mus"
R = TypeVar("R")


def tiny_tokenizer() -> PreTrainedTokenizerFast:
    """WordPiece, so that a word can have several tokens: "hippopotamus" is hippo + ##pota + ##mus."""
    vocabulary = ["[BOS]", "[EOS]", "[UNK]", *WORDS.split(), *PIECES.split(), ",", "."]
    tokenizer = Tokenizer(models.WordPiece({word: k for k, word in enumerate(vocabulary)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[BOS] $A [EOS]", special_tokens=[("[BOS]", 0), ("[EOS]", 1)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="[BOS]",
        eos_token="[EOS]",
        pad_token="[EOS]",
        unk_token="[UNK]",
        model_max_length=CONTEXT,
    )


def tiny_parts(channels: int = 4) -> dict[str, Any]:
    """Random weights from a fixed seed, in the classes real checkpoints use; `channels` go into the U-Net."""
    torch.manual_seed(0)
    tokenizer = tiny_tokenizer()
    text = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=CONTEXT,
        eos_token_id=1,
        bos_token_id=0,
        pad_token_id=1,
    )
    return {
        "unet": UNet2DConditionModel(
            sample_size=16,
            in_channels=channels,
            block_out_channels=(16, 32),
            layers_per_block=1,
            down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
            mid_block_type="UNetMidBlock2DCrossAttn",
            cross_attention_dim=16,
            attention_head_dim=4,
            norm_num_groups=8,
        ),
        "vae": AutoencoderKL(
            block_out_channels=(8, 8),
            down_block_types=("DownEncoderBlock2D",) * 2,
            up_block_types=("UpDecoderBlock2D",) * 2,
            norm_num_groups=4,
            latent_channels=4,
        ),
        "text_encoder": CLIPTextModel(text),
        "tokenizer": tokenizer,
    }


def tiny_model(prediction: str = "epsilon", *, instructions: bool = False) -> Model:
    """A model of random weights; with `instructions` its U-Net takes the picture as four more channels."""
    follows = {Ability.INSTRUCTIONS}
    abilities = follows if instructions else set(Ability) - follows
    return Model.from_parts(
        info=ModelInfo("tiny", "Tiny", size=32, multiple=4, abilities=frozenset(abilities)),
        **tiny_parts(8 if instructions else 4),
        scheduler_config=SCHEDULER | {"prediction_type": prediction},
        weights_hash="tiny",
    )


def tiny_network(seed: int | None = None) -> ControlNetModel:
    """A ControlNet for the tiny model; its last convolutions are zeros, as new, unless a seed fills them."""
    network = ControlNetModel.from_unet(tiny_parts()["unet"], conditioning_embedding_out_channels=(16, 32))
    if seed is not None:
        torch.manual_seed(seed)
        last = [network.controlnet_mid_block, *network.controlnet_down_blocks]
        for each in (network.controlnet_cond_embedding.conv_out, *last):
            torch.nn.init.normal_(each.weight, std=0.1)
    return network


@cache
def tiny_control_net(seed: int | None = None) -> ControlNet:
    """The same, ready for requests to the tiny model."""
    return ControlNet("tiny", tiny_network(seed).requires_grad_(False).eval(), "hash")


def tiny_request(model: Model, **changes: Any) -> EditRequest[Any]:
    image = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(1)) * 2 - 1
    with torch.no_grad():
        x0 = model.encode(image)
    values: dict[str, Any] = {
        "image": image,
        "x0": x0,
        "pixel_mask": None,
        "latent_mask": None,
        "control_images": {},
        "latent_shape": tuple(x0.shape),
        "source": "a cat on the grass",
        "target": "a dog on the grass",
        "negative": "",
        "instruction": "",
        "concepts": (),
        "word_weights": {},
        "guidance": 4.0,
        "start": 0.0,
        "steps": 8,
        "seed": 3,
        "solver": "ddim",
        "eta": 0.0,
        "candidates": 1,
        "params": Params(),
    }
    return EditRequest(**values | changes)


def drain(steps: Generator[Any, None, R]) -> R:
    """Run a generator to its end and give what it returns."""
    with torch.no_grad():
        while True:
            try:
                next(steps)
            except StopIteration as end:
                return end.value
