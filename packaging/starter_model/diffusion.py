"""The denoiser and its text encoder: their shape, and a loss that makes words matter from the first step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, cast

import numpy as np
import torch
from diffusers.models.attention_processor import AttnProcessor
from diffusers.models.controlnets.controlnet import ControlNetModel
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel, UNet2DConditionOutput
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from starter_model.captions import caption, prompt
from starter_model.config import DiffusionSettings
from starter_model.encoded import Encoded
from starter_model.precision import bfloat16_pays, quickest
from starter_model.vocabulary import LENGTH
from starter_model.world import Scene, edit


def schedule(prediction: str) -> DDIMScheduler:
    """Stable Diffusion's own noise schedule."""
    return DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        num_train_timesteps=1000,
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
        prediction_type=cast(Literal["epsilon", "v_prediction"], prediction),
    )


def build_unet(settings: DiffusionSettings, channels: int, side: int) -> UNet2DConditionModel:
    """Cross- and self-attention at every level, the full latent resolution included."""
    levels = len(settings.widths)
    shape: dict[str, Any] = {
        "sample_size": side,
        "in_channels": channels,
        "out_channels": channels,
        "block_out_channels": settings.widths,
        "down_block_types": ("CrossAttnDownBlock2D",) * levels,
        "up_block_types": ("CrossAttnUpBlock2D",) * levels,
        "layers_per_block": 1,
        "attention_head_dim": settings.heads,  # diffusers' name for the number of heads
        "cross_attention_dim": settings.context,
    }
    return UNet2DConditionModel(**shape)


def build_text(settings: DiffusionSettings, tokenizer: CLIPTokenizer) -> CLIPTextModel:
    """A small CLIP text encoder over the world's vocabulary."""
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=settings.context,
            intermediate_size=8 * settings.context // 3,
            num_hidden_layers=settings.text_layers,
            num_attention_heads=settings.text_heads,
            max_position_embeddings=LENGTH,
            projection_dim=settings.context,
            bos_token_id=cast(int, tokenizer.bos_token_id),
            eos_token_id=cast(int, tokenizer.eos_token_id),
            pad_token_id=cast(int, tokenizer.pad_token_id),
        )
    )


class Painter(nn.Module):
    """Denoiser and text encoder together, as they are trained."""

    def __init__(self, unet: UNet2DConditionModel, text: CLIPTextModel) -> None:
        super().__init__()
        self.unet, self.text = unet, text

    def forward(self, noisy: Tensor, t: Tensor, tokens: Tensor) -> Tensor:
        """The prediction for latents (n, C, h, w) at steps (n,) under tokens (n, LENGTH)."""
        context = self.text(tokens).last_hidden_state
        return cast(UNet2DConditionOutput, self.unet(noisy, t, encoder_hidden_states=context)).sample


def attend_plainly(model: nn.Module, device: str) -> None:
    """Attention without the fused kernel where that is slower: on a CPU in bfloat16, on maps as small.

    A step of eight pictures takes 0.36 s on one core, 0.43 s with it. In float32 the kernel gains.
    """
    if device != "cpu" or not bfloat16_pays():
        return
    for module in model.modules():
        if isinstance(module, UNet2DConditionModel | ControlNetModel):
            module.set_attn_processor(AttnProcessor())


def loss_weight(snr: Tensor, prediction: str, detail: float = 0.0) -> Tensor:
    """min(γ/SNR, 1) × clip(SNR^-1/2, 1, 5)^(1 - detail) on the noise error; on v divided by (SNR + 1).

    γ is 5 × 4^detail; min-SNR is Hang et al. 2023 (arXiv:2303.09556), eq. 5. High noise is where the words
    act, low noise where edges and surfaces are made, with `detail` from 0 to 1.
    """
    weight = (5 * 4**detail / snr).clamp(max=1) * snr.rsqrt().clamp(1, 5) ** (1 - detail)
    # |eps error|² = |v error|² · SNR / (SNR + 1)
    return weight * snr / (snr + 1) if prediction == "v_prediction" else weight


def turned(progress: float) -> float:
    """`loss_weight`'s detail after a share of the views: once words are read, surfaces and edges count."""
    return min(1.0, max(0.0, (progress - 0.4) / 0.1))


@dataclass(frozen=True, eq=False)
class Held:
    """Pictures for the probe: held-out scenes with their latents."""

    latents: Tensor
    scenes: tuple[Scene, ...]


class Denoising:
    """What every task has that learns to find noise: token numbers, steps, and the error of a prediction."""

    def __init__(self, model: nn.Module, tokenizer: CLIPTokenizer, prediction: str) -> None:
        self.model, self.tokenizer, self.prediction = model, tokenizer, prediction
        self.alphas = schedule(prediction).alphas_cumprod

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return next(self.model.parameters()).device

    def tokens(self, captions: list[str]) -> Tensor:
        """(n, LENGTH) token numbers."""
        found = self.tokenizer(captions, padding="max_length", truncation=True, return_tensors="pt")
        return cast(Tensor, found.input_ids).to(self.device)

    def steps(self, rng: np.random.Generator, count: int) -> Tensor:
        """(count,) steps, one from each of `count` equal parts of the schedule."""
        drawn = (np.arange(count) + rng.random(count)) * 1000 / count
        return torch.from_numpy(drawn.astype(np.int64)).to(self.device)

    def error(
        self, latents: Tensor, noise: Tensor, t: Tensor, tokens: Tensor, **seen: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Squared error of each picture (n,) and the signal-to-noise ratio at its step (n,).

        `seen` is what the model is shown beside the noisy latents and the words.
        """
        alpha = self.alphas.to(latents.device)[t][:, None, None, None]
        noisy = alpha.sqrt() * latents + (1 - alpha).sqrt() * noise
        v = alpha.sqrt() * noise - (1 - alpha).sqrt() * latents
        target = noise if self.prediction == "epsilon" else v
        with quickest(latents.device):
            found = self.model(noisy, t, tokens, **seen)
        squared = (found.float() - target).square().mean(dim=(1, 2, 3))
        return squared, (alpha / (1 - alpha)).flatten()

    def weighted(
        self,
        latents: Tensor,
        rng: np.random.Generator,
        captions: list[str],
        detail: float = 0.0,
        **seen: Tensor,
    ) -> Tensor:
        """The mean loss of latents (n, C, h, w) under captions, at steps spread over the schedule.

        `detail` is that of `loss_weight`.
        """
        t = self.steps(rng, len(latents))
        squared, snr = self.error(latents, torch.randn_like(latents), t, self.tokens(captions), **seen)
        return (loss_weight(snr, self.prediction, detail) * squared).mean()


class DiffusionTask(Denoising):
    """Trains the painter on encoded pictures under ever new captions."""

    name = "diffusion"

    def __init__(
        self,
        settings: DiffusionSettings,
        tokenizer: CLIPTokenizer,
        encoded: dict[int, Encoded],
        held: Held,
        share: int,
    ) -> None:
        channels, side = held.latents.shape[1], held.latents.shape[2]
        painter = Painter(build_unet(settings, channels, side), build_text(settings, tokenizer))
        super().__init__(painter, tokenizer, settings.prediction)
        self.settings, self.encoded, self.held = settings, encoded, held
        self.share = max(1, settings.batch // share)
        self.views, self.rate, self.keep = settings.views, settings.learning_rate, settings.average

    def loss(self, rng: np.random.Generator, worker: int, progress: float) -> tuple[Tensor, int]:
        """One worker's share of a batch: pictures of one size, steps spread evenly over the schedule."""
        smallest = min(self.encoded)
        size = int(rng.choice(self.settings.sizes, p=self.settings.shares))
        count = max(1, self.share * smallest**2 // size**2)
        table = self.encoded[size]
        rows = rng.integers(len(table.scenes), size=count)
        latents = torch.from_numpy(table.latents[rows].astype(np.float32)).to(self.device)
        captions = [caption(table.scenes[row], rng) for row in rows]
        return self.weighted(latents, rng, captions, turned(progress)), count

    def check(self) -> dict[str, float]:
        """Errors at two noise levels under the right caption, another object, another background and none.

        Words act once the right caption's error is the smallest.
        """
        latents = self.held.latents.to(self.device)
        noise = torch.randn(latents.shape, generator=torch.Generator().manual_seed(7)).to(self.device)
        readings = {
            "right": [prompt(scene) for scene in self.held.scenes],
            "object": [prompt(other_object(scene)) for scene in self.held.scenes],
            "background": [prompt(other_background(scene)) for scene in self.held.scenes],
            "empty": [""] * len(self.held.scenes),
        }
        found: dict[str, float] = {}
        for step in (600, 800):
            for name, captions in readings.items():
                t = torch.full((len(captions),), step, device=self.device)
                squared, _ = self.error(latents, noise, t, self.tokens(captions))
                found[f"{name}_{step}"] = round(float(squared.mean()), 5)
        return found


def other_object(scene: Scene) -> Scene:
    """The scene with its first thing named otherwise: a cat, or a dog where it is one."""
    thing = scene.things[0]
    swap = "dog" if thing.word == "cat" else "cat"
    return Scene(
        (type(thing)(swap), *scene.things[1:]), scene.background, scene.seed, relation=scene.relation
    )


def other_background(scene: Scene) -> Scene:
    """The scene in front of another background."""
    return edit(scene, background="at night" if scene.background != "at night" else "white")
