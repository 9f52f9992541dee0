"""The instructed sibling: it sees the picture beside the noisy latents and reads what to do.

Brooks, Holynski, Efros: InstructPix2Pix (arXiv:2211.09800), section 3.2: the picture's latents, not scaled,
are further input channels, whose weights start at zero; words and picture are each left out now and then, so
that both can be guided by.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel, UNet2DConditionOutput
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import CLIPTokenizer

from starter_model.artwork import Sprites
from starter_model.config import InstructSettings
from starter_model.diffusion import Denoising, Painter, turned
from starter_model.encoded import Encoder, read_encoded
from starter_model.orders import Order, Pixels, draw_orders, pictures, read_order, sentence
from starter_model.vae import SCALE

LEFT_OUT = 0.05
"""Share of views without words, without picture, and without both: 5 % each."""


def widened(unet: UNet2DConditionModel) -> UNet2DConditionModel:
    """A denoiser that also sees a picture's latents, as blind to them as the one it is made from."""
    channels = cast(int, unet.config["in_channels"])
    shape: dict[str, Any] = {name: value for name, value in unet.config.items() if not name.startswith("_")}
    wide = UNet2DConditionModel(**{**shape, "in_channels": 2 * channels})
    weights = unet.state_dict()
    narrow = weights["conv_in.weight"]
    weights["conv_in.weight"] = torch.cat([narrow, torch.zeros_like(narrow)], dim=1)
    wide.load_state_dict(weights)
    return wide


class Instructed(Painter):
    """A painter that sees a picture."""

    def forward(self, noisy: Tensor, t: Tensor, tokens: Tensor, picture: Tensor | None = None) -> Tensor:
        """The prediction for latents (n, C, h, w) beside unscaled picture latents of the same shape."""
        assert picture is not None
        context = self.text(tokens).last_hidden_state
        seen = torch.cat([noisy, picture], dim=1)
        return cast(UNet2DConditionOutput, self.unet(seen, t, encoder_hidden_states=context)).sample


@dataclass(frozen=True, eq=False)
class OrderEncoder(Encoder[Order]):
    """Orders about held-out scenes if `kept`, else about scenes of training."""

    kept: bool = False

    def draw(self, rng: np.random.Generator, count: int) -> list[Order]:
        return draw_orders(self.words, rng, count, kept=self.kept)

    def shown(self, sample: Order, sprites: Sprites, side: int) -> tuple[Pixels, ...]:
        return pictures(sample, sprites, side)


@dataclass(frozen=True, eq=False)
class EncodedOrders:
    """Latents (n, 2, C, h, w) float16 of pictures and their true results, and the order of each pair."""

    latents: NDArray[np.float16]
    orders: tuple[Order, ...]

    @classmethod
    def load(cls, folder: Path, size: int, channels: int) -> EncodedOrders:
        """Everything encoded at one size."""
        latents, rows = read_encoded(folder, size, (2, channels, size // 8, size // 8))
        return cls(latents, tuple(read_order(row) for row in rows))

    def pairs(self, rows: NDArray[np.int64], device: torch.device) -> tuple[Tensor, Tensor]:
        """(picture, result): scaled latents (n, C, h, w) of some rows."""
        both = torch.from_numpy(self.latents[rows].astype(np.float32)).to(device)
        return both[:, 0], both[:, 1]


class InstructTask(Denoising):
    """Trains on encoded pairs under ever new ways to say what was done."""

    name = "instruct"

    def __init__(
        self,
        settings: InstructSettings,
        base: Painter,
        tokenizer: CLIPTokenizer,
        prediction: str,
        encoded: EncodedOrders,
        held: EncodedOrders,
        share: int,
    ) -> None:
        super().__init__(Instructed(widened(base.unet), base.text), tokenizer, prediction)
        self.encoded, self.held = encoded, held
        self.share = max(1, settings.batch // share)
        self.views, self.rate, self.keep = settings.views, settings.learning_rate, settings.average

    def loss(self, rng: np.random.Generator, worker: int, progress: float) -> tuple[Tensor, int]:
        """One worker's share of a batch."""
        rows = rng.integers(len(self.encoded.orders), size=self.share)
        picture, result = self.encoded.pairs(rows, self.device)
        said, turn = [], rng.random(self.share)
        for row, lot in zip(rows, turn, strict=True):
            words = sentence(self.encoded.orders[row], float(rng.random()))
            said.append("" if lot < 2 * LEFT_OUT else words)
        blind = torch.from_numpy((turn >= LEFT_OUT) & (turn < 3 * LEFT_OUT)).to(self.device)
        shown = torch.where(blind[:, None, None, None], 0.0, picture / SCALE)
        return self.weighted(result, rng, said, turned(progress), picture=shown), self.share

    def check(self) -> dict[str, float]:
        """Errors at two noise levels with the right order, another's, none, and without the picture."""
        picture, result = self.held.pairs(np.arange(len(self.held.orders)), self.device)
        noise = torch.randn(result.shape, generator=torch.Generator().manual_seed(7)).to(self.device)
        right = [sentence(order) for order in self.held.orders]
        readings = {
            "right": (right, picture),
            "other": ([*right[1:], right[0]], picture),
            "empty": ([""] * len(right), picture),
            "blind": (right, torch.zeros_like(picture)),
        }
        found: dict[str, float] = {}
        for step in (600, 800):
            t = torch.full((len(right),), step, device=self.device)
            for name, (said, seen) in readings.items():
                squared, _ = self.error(result, noise, t, self.tokens(said), picture=seen / SCALE)
                found[f"{name}_{step}"] = round(float(squared.mean()), 5)
        return found


def parts(model: nn.Module) -> tuple[UNet2DConditionModel, nn.Module]:
    """Denoiser and text encoder of a trained painter."""
    assert isinstance(model, Painter)
    return model.unet, model.text
