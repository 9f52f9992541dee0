"""A loaded checkpoint, as methods see it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import torch
from diffusers.models.attention_processor import Attention
from diffusers.models.resnet import ResnetBlock2D
from torch import Tensor, nn

from sfumato.diffusion.attention import Site, find_sites
from sfumato.diffusion.denoiser import Counters, Denoiser, StopFlag
from sfumato.diffusion.schedule import Grid, Schedule
from sfumato.diffusion.text import Text, encode
from sfumato.events import ModelInfo
from sfumato.method import EditRequest, Pixels
from sfumato.models.preview import LatentPreview

_KEPT_TEXTS = 64


class Model:
    """Network, VAE and text encoder of one checkpoint, in evaluation mode, without gradients on weights.

    Latents are float32 and already multiplied by the VAE's scaling factor.
    """

    def __init__(
        self, info: ModelInfo, parts: Mapping[str, Any], schedule: Schedule, weights_hash: str
    ) -> None:
        self.info = info
        self.schedule = schedule
        self.weights_hash = weights_hash
        self.unet: nn.Module = parts["unet"]
        self._vae, self._tokenizer, self._text_encoder = (
            parts["vae"],
            parts["tokenizer"],
            parts["text_encoder"],
        )
        self.latent_channels: int = self._vae.config.latent_channels
        self.latent_scale: int = 2 ** (len(self._vae.config.block_out_channels) - 1)
        self.dtype = next(self.unet.parameters()).dtype
        self.device = next(self.unet.parameters()).device
        self.counters = Counters()
        self.stop = StopFlag()
        self.sites: tuple[Site, ...] = find_sites(self.unet)
        self.denoiser = Denoiser(self.unet, schedule, self.counters, self.dtype, self.sites)
        self._texts: dict[str, Text] = {}
        for part in (self.unet, self._vae):
            self.stop.guard([m for m in part.modules() if isinstance(m, ResnetBlock2D | Attention)])

    @classmethod
    def from_parts(
        cls,
        *,
        info: ModelInfo,
        unet: nn.Module,
        vae: nn.Module,
        text_encoder: nn.Module,
        tokenizer: Any,
        scheduler_config: Mapping[str, Any],
        weights_hash: str,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> Model:
        """Freeze the parts and move them to `device`; the network runs in `dtype`, all else in float32."""
        for part, precision in ((unet, dtype), (vae, torch.float32), (text_encoder, torch.float32)):
            part.requires_grad_(False).eval().to(device)
            if next(part.parameters()).dtype != precision:
                part.to(precision)
        parts = {"unet": unet, "vae": vae, "text_encoder": text_encoder, "tokenizer": tokenizer}
        return cls(info, parts, Schedule.from_config(scheduler_config), weights_hash)

    def latent_shape(self, height: int, width: int) -> tuple[int, int, int, int]:
        """(1, C, h, w) of a picture of that many pixels."""
        return 1, self.latent_channels, height // self.latent_scale, width // self.latent_scale

    def grid(self, request: EditRequest) -> Grid:
        """The levels an inversion or an edit of this request passes."""
        return self.schedule.grid(request.steps, offset=request.timestep_offset)

    def encode(self, image: Tensor, *, noise: Tensor | None = None) -> Tensor:
        """(n, 3, H, W) in [-1, 1] -> (n, C, h, w): the mean of the VAE's posterior, scaled.

        With `noise` (n, C, h, w) from N(0, I): the sample of the posterior it stands for.
        """
        posterior = self._vae.encode(image.to(self.device)).latent_dist
        x0: Tensor = posterior.mean if noise is None else posterior.mean + posterior.std * noise
        return x0 * self._vae.config.scaling_factor

    def image_channels(self, image: Tensor) -> Tensor:
        """(n, 3, H, W) in [-1, 1] -> (n, C, h, w): the mean, not scaled, which instruction models see."""
        return self.encode(image) / self._vae.config.scaling_factor

    def decode(self, latents: Tensor) -> Tensor:
        """(n, C, h, w) -> (n, 3, H, W) in [-1, 1]; one by one, so that none depends on its neighbours."""
        scaled = (latents / self._vae.config.scaling_factor).split(1)
        return torch.cat([self._vae.decode(each).sample for each in scaled]).clamp(-1, 1)

    def preview(self, x0hat: Tensor) -> Pixels:
        """(1, C, h, w) -> (h, w, 3) uint8, through a linear map: no VAE decode."""
        return self._preview(x0hat)

    @cached_property
    def _preview(self) -> LatentPreview:
        return LatentPreview.fit(self.encode, self.info.size, self.latent_scale)

    @property
    def vae(self) -> nn.Module:
        """The autoencoder."""
        return self._vae

    @property
    def encoders(self) -> tuple[nn.Module, ...]:
        """The text encoders, in the order of `tokenizers`."""
        return (self._text_encoder,)

    @property
    def tokenizers(self) -> tuple[Any, ...]:
        """One for each text encoder."""
        return (self._tokenizer,)

    def altered(self, weights_hash: str, tokenizers: tuple[Any, ...] | None = None) -> None:
        """Forget what was computed before parts of it changed; it goes by another hash from now on."""
        if tokenizers is not None:
            (self._tokenizer,) = tokenizers
        self.weights_hash = weights_hash
        self._texts.clear()
        self.__dict__.pop("_preview", None)

    def text(self, prompt: str) -> Text:
        """Encode a prompt; the last few are kept."""
        if prompt not in self._texts:
            while len(self._texts) >= _KEPT_TEXTS:
                self._texts.pop(next(iter(self._texts)))
            self._texts[prompt] = encode(prompt, self._tokenizer, self._text_encoder)
        return self._texts[prompt]
