"""Painting from prompts and inverting pictures with plain DDIM (Song et al., arXiv:2010.02502, eq. 12)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel, UNet2DConditionOutput
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from numpy.typing import NDArray
from torch import Tensor
from transformers import CLIPTextModel, CLIPTokenizer

from starter_model.vae import SCALE, decode, encode, to_pixels, to_tensor


@dataclass(frozen=True, eq=False)
class Parts:
    """A pipeline folder's models, in float32."""

    vae: AutoencoderKL
    unet: UNet2DConditionModel
    text: CLIPTextModel
    tokenizer: CLIPTokenizer
    scheduler: DDIMScheduler

    @classmethod
    def load(cls, folder: Path, device: str = "cpu") -> Parts:
        """Read a diffusers folder."""
        kinds = {"vae": AutoencoderKL, "unet": UNet2DConditionModel, "text_encoder": CLIPTextModel}
        vae, unet, text = (
            kind.from_pretrained(folder / name, dtype=torch.float32).to(device).eval()
            if name == "text_encoder"
            else kind.from_pretrained(folder / name, torch_dtype=torch.float32).to(device).eval()
            for name, kind in kinds.items()
        )
        tokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer")
        scheduler = DDIMScheduler.from_pretrained(folder / "scheduler")
        return cls(vae, unet, text, tokenizer, cast(DDIMScheduler, scheduler))

    @property
    def device(self) -> torch.device:
        """Where the models are."""
        return next(self.unet.parameters()).device

    def context(self, prompts: Sequence[str]) -> Tensor:
        """(n, tokens, width) text states."""
        found = self.tokenizer(list(prompts), padding="max_length", truncation=True, return_tensors="pt")
        return cast(Tensor, self.text(cast(Tensor, found.input_ids).to(self.device)).last_hidden_state)

    def noise(self, latents: Tensor, t: int, context: Tensor) -> Tensor:
        """The predicted noise, whatever the model predicts."""
        found = cast(UNet2DConditionOutput, self.unet(latents, t, encoder_hidden_states=context)).sample
        if self.scheduler.config["prediction_type"] == "epsilon":
            return found
        alpha = self.scheduler.alphas_cumprod[t]
        return alpha.sqrt() * found + (1 - alpha).sqrt() * latents

    def steps(self, count: int) -> list[tuple[int, Tensor, Tensor]]:
        """(step, its cumulative alpha, the next cleaner one's) from noise to picture."""
        self.scheduler.set_timesteps(count)
        alphas, gap = self.scheduler.alphas_cumprod, 1000 // count
        times = [int(t) for t in self.scheduler.timesteps]
        return [(t, alphas[t], alphas[t - gap] if t >= gap else alphas[0]) for t in times]


def move(latents: Tensor, noise: Tensor, here: Tensor, there: Tensor) -> Tensor:
    """From one noise level (cumulative alpha) to another along the predicted noise."""
    clean = (latents - (1 - here).sqrt() * noise) / here.sqrt()
    return there.sqrt() * clean + (1 - there).sqrt() * noise


@torch.no_grad()
def denoise(parts: Parts, latents: Tensor, prompts: Sequence[str], *, steps: int, guidance: float) -> Tensor:
    """Clean latents from noise under prompts, with classifier-free guidance where it is not 1."""
    context = parts.context(prompts)
    empty = parts.context([""] * len(prompts))
    for t, here, there in parts.steps(steps):
        if guidance == 1:
            noise = parts.noise(latents, t, context)
        else:
            both = parts.noise(torch.cat([latents, latents]), t, torch.cat([empty, context]))
            without, along = both.chunk(2)
            noise = without + guidance * (along - without)
        latents = move(latents, noise, here, there)
    return latents


@torch.no_grad()
def invert(parts: Parts, latents: Tensor, prompts: Sequence[str], *, steps: int) -> Tensor:
    """The noise that DDIM would have painted these latents from, at guidance 1."""
    context = parts.context(prompts)
    for t, here, there in reversed(parts.steps(steps)):
        latents = move(latents, parts.noise(latents, t, context), there, here)
    return latents


@torch.no_grad()
def to_latents(parts: Parts, pixels: NDArray[np.uint8]) -> Tensor:
    """Scaled latents of pictures (n, H, W, 3)."""
    pieces = [encode(parts.vae, to_tensor(part[None]).to(parts.device)).mean * SCALE for part in pixels]
    return torch.cat(pieces)


@torch.no_grad()
def to_pictures(parts: Parts, latents: Tensor) -> NDArray[np.uint8]:
    """Pictures (n, H, W, 3) of scaled latents."""
    return np.concatenate([to_pixels(decode(parts.vae, part / SCALE)) for part in latents.split(8)])


def seeded_noise(parts: Parts, seeds: Sequence[int], side: int = 128) -> Tensor:
    """(n, C, h, w) Gaussian noise, each row from its own seed."""
    shape = (parts.unet.config["in_channels"], side // 8, side // 8)
    rows = [torch.randn(shape, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
    return torch.stack(rows).to(parts.device)


def paint_prompts(
    parts: Parts,
    prompts: Sequence[str],
    seeds: Sequence[int],
    *,
    steps: int,
    guidance: float,
    side: int = 128,
) -> NDArray[np.uint8]:
    """(n, side, side, 3) pictures of prompts, eight at a time."""
    pieces = []
    for start in range(0, len(prompts), 8):
        some = list(prompts[start : start + 8])
        noise = seeded_noise(parts, seeds[start : start + 8], side)
        pieces.append(to_pictures(parts, denoise(parts, noise, some, steps=steps, guidance=guidance)))
    return np.concatenate(pieces)
