"""A loaded checkpoint, as methods see it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from typing import Any

import torch
from diffusers.models.attention_processor import Attention
from diffusers.models.resnet import ResnetBlock2D
from torch import Tensor, nn

from sfumato.diffusion.attention import Site, find_sites
from sfumato.diffusion.denoiser import Counters, Denoiser, StopFlag, Surroundings
from sfumato.diffusion.encoding import TextEncoder, encode
from sfumato.diffusion.processors import honour_upcast
from sfumato.diffusion.schedule import Grid, Schedule
from sfumato.diffusion.text import Text
from sfumato.events import ModelInfo
from sfumato.method import EditRequest, Pixels
from sfumato.models.inpainting import Inpainting
from sfumato.models.placement import EVERYWHERE, Placement
from sfumato.models.preview import LatentPreview
from sfumato.params import P

_KEPT_TEXTS = 64


class Model:
    """Network, VAE and text encoders of one checkpoint, in evaluation mode, without gradients on weights.

    Latents are float32 and already multiplied by the VAE's scaling factor.
    """

    def __init__(
        self,
        info: ModelInfo,
        parts: Mapping[str, Any],
        schedule: Schedule,
        weights_hash: str,
        *,
        device: torch.device | str = "cpu",
        empty_is_zero: bool = False,
    ) -> None:
        self.info = info
        self.schedule = schedule
        self.weights_hash = weights_hash
        self.device = torch.device(device)
        self.unet: nn.Module = parts["unet"]
        self._vae = parts["vae"]
        self._encoders = _encoders(parts)
        self._empty_is_zero = empty_is_zero
        self.latent_channels: int = self._vae.config.latent_channels
        self.latent_scale: int = 2 ** (len(self._vae.config.block_out_channels) - 1)
        self.dtype = next(self.unet.parameters()).dtype
        self.counters = Counters()
        self.stop = StopFlag()
        self.sites: tuple[Site, ...] = find_sites(self.unet)
        honour_upcast(self.unet, self.sites)
        self._inpainting = Inpainting(self.encode, self.latent_scale)
        self.denoiser = self._denoiser()
        self._texts: dict[str, Text] = {}
        for part in (self.unet, self._vae):
            self.stop.guard([m for m in part.modules() if isinstance(m, ResnetBlock2D | Attention)])

    @classmethod
    def from_parts(
        cls,
        *,
        info: ModelInfo,
        scheduler_config: Mapping[str, Any],
        weights_hash: str,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        placement: Placement = EVERYWHERE,
        empty_is_zero: bool = False,
        **parts: Any,
    ) -> Model:
        """Freeze the parts and put them where they belong; the network runs in `dtype`, all else in float32.

        `parts` are those of `folder.CLASSES`; the second text encoder and its tokenizer may be absent.
        """
        for name, part in parts.items():
            if isinstance(part, nn.Module):
                precision = dtype if name == "unet" else torch.float32
                part.requires_grad_(False).eval()
                if next(part.parameters()).dtype != precision:
                    part.to(precision)
        placement.put(parts, torch.device(device))
        schedule = Schedule.from_config(scheduler_config)
        return cls(info, parts, schedule, weights_hash, device=device, empty_is_zero=empty_is_zero)

    def _denoiser(self) -> Denoiser:
        config: Any = self.unet.config
        knows_size = getattr(config, "addition_embed_type", None) == "text_time"
        return Denoiser(
            self.unet,
            self.schedule,
            self.counters,
            self.dtype,
            self.sites,
            size_scale=self.latent_scale if knows_size else None,
            guidance_width=getattr(config, "time_cond_proj_dim", None),
            surroundings=Surroundings(
                concat=self._inpainting.unmasked if self.info.inputs == "inpainting" else None
            ),
        )

    def surround(self, request: EditRequest[P]) -> EditRequest[P]:
        """Show the network what this request means for all rows; return the request for the method.

        An inpainting model sees the request's mask and what lies around it. A network that takes the guidance
        as an input gets it here, and 1 is left to the method: one row, no combination.
        """
        surroundings = self.denoiser.surroundings
        if self.info.inputs == "inpainting":
            surroundings.concat = self._inpainting.around(request.image, request.pixel_mask)
        if self.denoiser.guidance_width is None:
            return request
        surroundings.guidance = request.guidance
        return replace(request, guidance=1.0)

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
        return tuple(each.network for each in self._encoders)

    @property
    def tokenizers(self) -> tuple[Any, ...]:
        """One for each text encoder."""
        return tuple(each.tokenizer for each in self._encoders)

    def altered(self, weights_hash: str, tokenizers: tuple[Any, ...] | None = None) -> None:
        """Forget what was computed before parts of it changed; it goes by another hash from now on."""
        if tokenizers is not None:
            pairs = zip(self._encoders, tokenizers, strict=True)
            self._encoders = tuple(replace(each, tokenizer=tokenizer) for each, tokenizer in pairs)
        self.weights_hash = weights_hash
        self._texts.clear()
        self._inpainting.forget()
        self.__dict__.pop("_preview", None)

    def text(self, prompt: str) -> Text:
        """Encode a prompt, with its weights; the last few are kept."""
        if prompt not in self._texts:
            while len(self._texts) >= _KEPT_TEXTS:
                self._texts.pop(next(iter(self._texts)))
            text = encode(prompt, self._encoders, empty_is_zero=self._empty_is_zero)
            self._texts[prompt] = text.to(self.device)
        return self._texts[prompt]

    @contextmanager
    def sliced(self) -> Iterator[None]:
        """Compute attention in slices meanwhile: slower, smaller at its largest, and other last bits."""
        unet: Any = self.unet
        before = dict(unet.attn_processors)
        self.slice_attention()
        try:
            yield
        finally:
            unet.set_attn_processor(before)

    def slice_attention(self) -> None:
        """Compute attention in slices from now on."""
        unet: Any = self.unet
        unet.set_attention_slice("auto")
        honour_upcast(self.unet, self.sites)


def _encoders(parts: Mapping[str, Any]) -> tuple[TextEncoder, ...]:
    """Stable Diffusion's encoder, or SDXL's two, which are read at the last layer but one."""
    first = parts["tokenizer"], parts["text_encoder"]
    if parts.get("text_encoder_2") is None:
        return (TextEncoder(*first),)
    second = parts["tokenizer_2"], parts["text_encoder_2"]
    return TextEncoder(*first, penultimate=True), TextEncoder(*second, penultimate=True)
