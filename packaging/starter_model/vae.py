"""The autoencoder: its shape, its loss, and the whitening folded into it when it is frozen."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.autoencoders.vae import DecoderOutput, DiagonalGaussianDistribution
from diffusers.models.modeling_outputs import AutoencoderKLOutput
from diffusers.models.resnet import ResnetBlock2D
from numpy.typing import NDArray
from PIL import Image
from torch import FloatTensor, Tensor, nn
from torch.nn import functional

from starter_model.config import VaeSettings
from starter_model.crops import Source
from starter_model.photographs import UNSEEN, read_photograph
from starter_model.precision import quickest
from starter_model.render import render
from starter_model.world import draw_held_out_scene

WEIGHTS = "diffusion_pytorch_model.safetensors"  # the file that diffusers gives a network's weights
SCALE = 0.18215  # Stable Diffusion's own, so that code which knows no other works too


def build(settings: VaeSettings) -> AutoencoderKL:
    """An untrained autoencoder, its posterior narrow, or the first steps are lost to noise."""
    levels = len(settings.widths)
    shape: dict[str, Any] = {
        "down_block_types": ("DownEncoderBlock2D",) * levels,
        "up_block_types": ("UpDecoderBlock2D",) * levels,
        "block_out_channels": settings.widths,
        "layers_per_block": settings.layers,
        "latent_channels": settings.latent_channels,
        "norm_num_groups": settings.groups,
        "mid_block_add_attention": False,
        "sample_size": 128,
        "scaling_factor": SCALE,
    }
    model = AutoencoderKL(**shape)
    quant, _ = latent_convolutions(model)
    with torch.no_grad():
        for block in model.modules():
            if isinstance(block, ResnetBlock2D):  # residual blocks start as identities
                block.conv2.weight.zero_()
                cast(Tensor, block.conv2.bias).zero_()
        cast(Tensor, quant.bias)[settings.latent_channels :] = -6.0  # log-variance: sigma 0.05
        quant.weight[settings.latent_channels :] *= 0.1
    return model


def latent_convolutions(model: AutoencoderKL) -> tuple[nn.Conv2d, nn.Conv2d]:
    """The 1 × 1 convolutions before and after the latents."""
    assert model.quant_conv is not None
    assert model.post_quant_conv is not None
    return model.quant_conv, model.post_quant_conv


def encode(model: AutoencoderKL, pictures: Tensor) -> DiagonalGaussianDistribution:
    """The posterior of pictures (n, 3, H, W) in [-1, 1]."""
    return cast(AutoencoderKLOutput, model.encode(pictures)).latent_dist


def decode(model: AutoencoderKL, latents: Tensor) -> Tensor:
    """Pictures (n, 3, H, W) of unscaled latents (n, C, H/8, W/8)."""
    return cast(DecoderOutput, model.decode(cast(FloatTensor, latents))).sample


def to_tensor(pixels: NDArray[np.uint8]) -> Tensor:
    """(n, H, W, 3) uint8 to (n, 3, H, W) in [-1, 1]."""
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))).float() / 127.5 - 1


def to_pixels(pictures: Tensor) -> NDArray[np.uint8]:
    """The inverse of `to_tensor`, clipped and rounded."""
    scaled = (pictures.detach().float().cpu() * 127.5 + 128).clamp(0, 255)
    return scaled.to(torch.uint8).permute(0, 2, 3, 1).numpy()


def gradients(pictures: Tensor) -> tuple[Tensor, Tensor]:
    """Differences to the next pixel across and down."""
    return pictures[..., 1:] - pictures[..., :-1], pictures[..., 1:, :] - pictures[..., :-1, :]


def reconstruction_loss(made: Tensor, true: Tensor) -> Tensor:
    """L1 and gradient L1 at full and half size, colour at an eighth, and squared error for large misses."""
    loss = 4 * functional.mse_loss(made, true)
    for weight, size in ((1.0, 1), (0.5, 2)):
        one, other = (functional.avg_pool2d(p, size) if size > 1 else p for p in (made, true))
        loss = loss + weight * functional.l1_loss(one, other)
        for found, wanted in zip(gradients(one), gradients(other), strict=True):
            loss = loss + 0.25 * functional.l1_loss(found, wanted)
    return loss + 0.5 * functional.l1_loss(functional.avg_pool2d(made, 8), functional.avg_pool2d(true, 8))


def divergence(mean: Tensor, logvar: Tensor) -> Tensor:
    """KL of the scaled posterior from the unit Gaussian, mean per latent element."""
    scaled = logvar + 2 * np.log(SCALE)
    return 0.5 * ((mean * SCALE).square() + scaled.exp() - 1 - scaled).mean()


def decibels(made: NDArray[np.uint8], true: NDArray[np.uint8]) -> float:
    """PSNR, the mean over pictures."""
    error = np.square(made.astype(np.float32) - true).mean(axis=(1, 2, 3))
    return float(np.mean(10 * np.log10(255**2 / np.maximum(error, 1e-3))))


def edge_energy(pixels: NDArray[np.uint8]) -> float:
    """Mean absolute difference between neighbouring pixels, the measure of sharpness."""
    across, down = np.diff(pixels.astype(np.float32), axis=2), np.diff(pixels.astype(np.float32), axis=1)
    return float(np.abs(across).mean() + np.abs(down).mean())


@torch.no_grad()
def round_trip(model: AutoencoderKL, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Pictures encoded (posterior mean) and decoded, a few at a time."""
    device = next(model.parameters()).device
    pieces = [
        to_pixels(decode(model, encode(model, to_tensor(part).to(device)).mean))
        for part in np.array_split(pixels, max(1, len(pixels) // 8))
    ]
    return np.concatenate(pieces)


def held_out_pictures(source: Source, count: int, side: int = 128) -> NDArray[np.uint8]:
    """(count, side, side, 3) composites whose combinations never enter training; always the same ones."""
    rng = np.random.default_rng(20_000)
    return np.stack(
        [render(draw_held_out_scene(rng, source.words), source.sprites, side).pixels for _ in range(count)]
    )


def unseen_photographs(side: int = 128) -> NDArray[np.uint8]:
    """(8, side, side, 3): the middle square of each unseen photograph and three quarters of it."""
    pieces = []
    for name in UNSEEN:
        pixels = read_photograph(name)
        height, width = pixels.shape[:2]
        reach = min(height, width)
        half = reach // 2
        top, left = (height - reach) // 2, (width - reach) // 2
        for y, x, size in ((0, 0, reach), (0, 0, half), (half, 0, half), (half // 2, half, half)):
            piece = pixels[top + y : top + y + size, left + x : left + x + size]
            pieces.append(np.asarray(Image.fromarray(piece).resize((side, side), Image.Resampling.LANCZOS)))
    return np.stack(pieces)


class VaeTask:
    """Trains an autoencoder on crops, and on whole pictures for the last share of the budget."""

    name = "vae"

    def __init__(
        self, settings: VaeSettings, source: Source, share: int, *, photographs: bool = True
    ) -> None:
        self.settings, self.source = settings, source
        self.share = max(1, settings.batch // share)  # crops of one worker
        self.views, self.rate, self.keep = settings.crops, settings.learning_rate, settings.average
        self.model = build(settings)
        self.held_out = held_out_pictures(source, 24)
        self.photographs = unseen_photographs() if photographs else None

    def loss(self, rng: np.random.Generator, worker: int, progress: float) -> tuple[Tensor, int]:
        """One worker's share of a batch: crops, or whole pictures worth as many."""
        side, count = self.settings.crop, self.share
        if progress >= 1 - self.settings.whole:
            side, count = 2 * side, max(1, self.share // 4)
        device = next(self.model.parameters()).device
        true = to_tensor(self.source.crops(rng, count, side)).to(device)
        with quickest(device):
            posterior = encode(self.model, true)
            mean, logvar = posterior.mean.float(), posterior.logvar.float()
            latents = mean + torch.exp(0.5 * logvar) * torch.randn_like(mean)
            made = decode(self.model, latents)
        loss = reconstruction_loss(made.float(), true) + self.settings.kl * divergence(mean, logvar)
        return loss, count * (side // self.settings.crop) ** 2

    def check(self) -> dict[str, float]:
        """PSNR on held-out composites and unseen photographs, and how much of the edges is left."""
        made = round_trip(self.model, self.held_out)
        found = {
            "held_out_db": round(decibels(made, self.held_out), 2),
            "edges": round(edge_energy(made) / edge_energy(self.held_out), 3),
        }
        if self.photographs is not None:
            found["photographs_db"] = round(
                decibels(round_trip(self.model, self.photographs), self.photographs), 2
            )
        return found


@torch.no_grad()
def whiten(model: AutoencoderKL, pixels: NDArray[np.uint8]) -> None:
    """Fold PCA whitening into the convolutions beside the latents: latents × 0.18215 get covariance I."""
    quant, post = latent_convolutions(model)
    channels = post.in_channels
    parts = np.array_split(pixels, max(1, len(pixels) // 8))
    means = torch.cat([encode(model, to_tensor(part)).mean for part in parts])
    rows = means.permute(0, 2, 3, 1).reshape(-1, channels).double()
    centre = rows.mean(0)
    values, vectors = torch.linalg.eigh(torch.cov((rows - centre).T))
    to_white = (vectors / values.sqrt()).T / SCALE
    from_white = vectors * values.sqrt() * SCALE
    weight, after = quant.weight.double()[:, :, 0, 0], post.weight.double()[:, :, 0, 0]
    bias, bias_after = cast(Tensor, quant.bias), cast(Tensor, post.bias)
    bias_after.add_((after @ centre).float())
    post.weight[:, :, 0, 0] = (after @ from_white).float()
    bias[:channels] = (to_white @ (bias[:channels].double() - centre)).float()
    quant.weight[:channels, :, 0, 0] = (to_white @ weight[:channels]).float()
    # The log-variance is of no use once training is over: one small constant.
    quant.weight[channels:] = 0
    bias[channels:] = -6.0


def weights_folder() -> Path:
    """Where the committed VAE lies."""
    return Path(__file__).with_name("weights") / "vae"
