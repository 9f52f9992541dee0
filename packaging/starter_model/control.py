"""The controlled sibling: a ControlNet that draws along edges, beside the frozen starter.

Zhang, Rao, Agrawala: Adding Conditional Control to Text-to-Image Diffusion Models (arXiv:2302.05543). The
edges are those of Sfumato's own "Edges" preprocessor at its defaults, drawn at the model's size and finer: it
is trained on what it will get.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch
from diffusers.models.controlnets.controlnet import ControlNetModel, ControlNetOutput
from diffusers.models.unets.unet_2d_condition import UNet2DConditionOutput
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import CLIPTokenizer

from sfumato.document.resampling import resize
from sfumato_plugins.control_images import Canny
from starter_model.artwork import Sprites
from starter_model.captions import caption
from starter_model.config import ControlSettings
from starter_model.diffusion import Denoising, Painter, turned
from starter_model.encoded import Batch, Encoded, read_scene
from starter_model.render import render
from starter_model.state import write_whole

UNSAID = 0.3
"""Share of views without words, from which it learns to read the edges alone."""

FINER, FINER_SHARE = (1, 2, 4), (0.5, 0.25, 0.25)
"""Edges are drawn at so many times the picture's side and shrunk: a control layer is drawn at up to 512
pixels, and its lines are grey where the model sees them."""
VERSION = 2
"""Raise it when the same scene gives other edges: they are then drawn anew."""

Edges = NDArray[np.bool_]
Lines = NDArray[np.uint8]


def edges(pixels: NDArray[np.uint8]) -> Edges:
    """(H, W) of a picture (H, W, 3): where Sfumato's edges are."""
    canny = Canny()
    return canny.make(pixels, canny.params())[..., 0] > 0


def lines(pixels: NDArray[np.uint8], side: int) -> Lines:
    """(side, side) grey: the edges of a square picture as the program shows them to a model of that side."""
    drawn = edges(pixels)[..., None].astype(np.uint8) * 255
    return np.clip(np.rint(resize(drawn, (side, side))), 0, 255).astype(np.uint8)[..., 0]


def as_hints(found: Lines, device: torch.device) -> Tensor:
    """(n, H, W) grey edges as control images (n, 3, H, W) in [0, 1]."""
    return torch.from_numpy(found).to(device).float()[:, None].expand(-1, 3, -1, -1) / 255


def recipe(words: tuple[str, ...], seed: int, count: int, pairs: float) -> dict[str, object]:
    """What decides which edges are drawn: the encoded world's settings and this module's."""
    world = {"words": words, "seed": seed, "count": count, "pairs": pairs}
    return {**world, "version": VERSION, "finer": FINER, "finer_share": FINER_SHARE}


@dataclass(frozen=True)
class EdgeDrawer:
    """Draws the edges of encoded scenes, in the order of their file; picklable."""

    data: Path
    encoded: Path

    def __call__(self, batch: Batch) -> int:
        """Write (count, size, size) grey lines; returns the count."""
        sprites, size = Sprites.load(self.data), batch.size
        rows = json.loads((self.encoded / batch.file.with_suffix(".json").name).read_text())[: batch.count]
        times = np.random.default_rng(batch.seed).choice(FINER, size=len(rows), p=FINER_SHARE)
        pairs = zip(rows, times, strict=True)
        drawn = [lines(render(read_scene(row), sprites, size * int(n)).pixels, size) for row, n in pairs]
        write_whole(batch.file, np.stack(drawn).tobytes())
        return batch.count


def read_edges(folder: Path, size: int) -> Lines:
    """(n, size, size) grey: everything drawn at one size."""
    files = sorted(folder.glob(f"{size}_*.bin"))
    return np.concatenate([np.fromfile(file, np.uint8) for file in files]).reshape(-1, size, size)


class Controlled(nn.Module):
    """A frozen painter and the ControlNet beside it."""

    def __init__(self, painter: Painter, embedding: tuple[int, ...]) -> None:
        super().__init__()
        self.painter = painter.requires_grad_(False)
        self.control = ControlNetModel.from_unet(
            painter.unet, conditioning_embedding_out_channels=embedding, load_weights_from_unet=True
        )

    def forward(self, noisy: Tensor, t: Tensor, tokens: Tensor, hint: Tensor) -> Tensor:
        """The prediction for latents (n, C, h, w) along hints (n, 3, H, W) in [0, 1]."""
        context = self.painter.text(tokens).last_hidden_state
        told = self.control(noisy, t, encoder_hidden_states=context, controlnet_cond=hint)
        down, middle = cast(ControlNetOutput, told).down_block_res_samples, told.mid_block_res_sample
        found = self.painter.unet(
            noisy,
            t,
            encoder_hidden_states=context,
            down_block_additional_residuals=down,
            mid_block_additional_residual=middle,
        )
        return cast(UNet2DConditionOutput, found).sample


class ControlTask(Denoising):
    """Trains the ControlNet on encoded pictures and their edges."""

    name = "control"

    def __init__(
        self,
        settings: ControlSettings,
        base: Painter,
        tokenizer: CLIPTokenizer,
        prediction: str,
        encoded: Encoded,
        drawn: Lines,
        share: int,
    ) -> None:
        super().__init__(Controlled(base, settings.embedding), tokenizer, prediction)
        self.encoded, self.drawn = encoded, drawn
        self.probed = min(settings.probe, len(drawn) // 2)
        self.share = max(1, settings.batch // share)
        self.views, self.rate, self.keep = settings.views, settings.learning_rate, settings.average

    def latents(self, rows: NDArray[np.int64]) -> Tensor:
        """(n, C, h, w) of some rows."""
        return torch.from_numpy(self.encoded.latents[rows].astype(np.float32)).to(self.device)

    def loss(self, rng: np.random.Generator, worker: int, progress: float) -> tuple[Tensor, int]:
        """One worker's share of a batch; the first pictures are kept for the probe."""
        rows = rng.integers(self.probed, len(self.drawn), size=self.share)
        said = ["" if rng.random() < UNSAID else caption(self.encoded.scenes[row], rng) for row in rows]
        hint = as_hints(self.drawn[rows], self.device)
        return self.weighted(self.latents(rows), rng, said, turned(progress), hint=hint), self.share

    def check(self) -> dict[str, float]:
        """Errors at two noise levels with the picture's own edges, another's, and none, all without words."""
        rows = np.arange(self.probed)
        latents = self.latents(rows)
        noise = torch.randn(latents.shape, generator=torch.Generator().manual_seed(7)).to(self.device)
        own = as_hints(self.drawn[rows], self.device)
        found: dict[str, float] = {}
        for step in (600, 800):
            t = torch.full((len(rows),), step, device=self.device)
            for name, hint in (("own", own), ("other", own.roll(1, 0)), ("none", torch.zeros_like(own))):
                squared, _ = self.error(latents, noise, t, self.tokens([""] * len(rows)), hint=hint)
                found[f"{name}_{step}"] = round(float(squared.mean()), 5)
        return found
