"""The few-step sibling: each of its steps arrives where two guided ones of the starter do.

Meng et al.: On Distillation of Guided Diffusion Models (arXiv:2210.03142), section 3, in one round: guidance
and steps are learned at once. Half of its ways go on from where the student itself arrived, so that it learns
to mend what it leaves behind (Ross, Gordon and Bagnell: DAgger, arXiv:1011.0686). Both begin with noise and
words: pictures are not needed.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor
from transformers import CLIPTokenizer

from starter_model.captions import caption
from starter_model.config import TurboSettings
from starter_model.diffusion import Denoising, Painter
from starter_model.precision import quickest
from starter_model.sampling import move
from starter_model.world import Scene

CLEAN = -1
HUBER = 0.001
"""c of the pseudo-Huber loss √(d² + c²) - c, for latents of unit variance (arXiv:2310.14189, section 3.3)."""
FINE_ABOVE = 700
"""Steps above which numbers are kept in float32.

The clean latents divide the noise's error by √ᾱ. In bfloat16 that makes 0.042 at step 999 (0.022 with the
first and the last layer in float32) and 0.010 at 699, where student and target differ by about 0.06.
"""


def levels(count: int) -> list[int]:
    """Where so many equal steps from noise begin ("trailing" spacing), and the clean end."""
    return [*range(999, -1, -1000 // count), CLEAN]


class TurboTask(Denoising):
    """Trains a copy of the starter to go in one step where the starter goes in two, guided."""

    name = "turbo"

    def __init__(
        self,
        settings: TurboSettings,
        base: Painter,
        tokenizer: CLIPTokenizer,
        prediction: str,
        draw: Callable[[np.random.Generator], Scene],
        share: int,
    ) -> None:
        super().__init__(base, tokenizer, prediction)
        self.teacher = copy.deepcopy(base).requires_grad_(False).eval()
        self.guidance, self.draw, self.way = settings.guidance, draw, levels(settings.steps)
        side = int(base.unet.config["sample_size"])
        self.shape = (int(base.unet.config["in_channels"]), side, side)
        self.probe: Callable[[TurboTask], dict[str, float]] = lambda _task: {}
        """Measures its progress; see `taught`."""
        self.ways = max(1, settings.batch // share // settings.steps)
        self.views, self.rate, self.keep = settings.views, settings.learning_rate, settings.average

    def alpha(self, level: int) -> Tensor:
        """ᾱ of a level, 1 of the clean end."""
        return torch.tensor(1.0) if level == CLEAN else self.alphas[level]

    def sigma(self, level: int) -> Tensor:
        """√((1 - ᾱ) / ᾱ) of a level."""
        return (1 / self.alpha(level) - 1).sqrt()

    def weight(self, here: int, there: int) -> Tensor:
        """1 / √(σ_here - σ_there), between the picture's error (1) and the noise's (without the root)."""
        return (self.sigma(here) - self.sigma(there)).rsqrt()

    def noise_of(self, painter: Painter, latents: Tensor, level: int, tokens: Tensor) -> Tensor:
        """ε (n, C, h, w) in float32, whatever the painter predicts."""
        t = torch.full((len(latents),), level, device=latents.device)
        with quickest(latents.device, fine=level > FINE_ABOVE):
            found = painter(latents, t, tokens).float()
        if self.prediction == "epsilon":
            return found
        alpha = self.alpha(level)
        return alpha.sqrt() * found + (1 - alpha).sqrt() * latents

    def jump(self, latents: Tensor, here: int, there: int, tokens: Tensor) -> Tensor:
        """The student's one DDIM step of latents (n, C, h, w) between two levels."""
        student = self.model
        assert isinstance(student, Painter)
        noise = self.noise_of(student, latents, here, tokens)
        return move(latents, noise, self.alpha(here), self.alpha(there))

    @torch.no_grad()
    def taught(self, latents: Tensor, here: int, there: int, tokens: Tensor) -> Tensor:
        """One guided DDIM step of the teacher between two levels."""
        words, teacher = torch.cat([tokens, self.tokens([""] * len(latents))]), self.teacher.to(self.device)
        along, without = self.noise_of(teacher, latents.repeat(2, 1, 1, 1), here, words).chunk(2)
        noise = without + self.guidance * (along - without)
        return move(latents, noise, self.alpha(here), self.alpha(there))

    def loss(self, rng: np.random.Generator, worker: int, progress: float) -> tuple[Tensor, int]:
        """One worker's share of a batch: the student's steps along some ways from noise to picture."""
        tokens = self.tokens([caption(self.draw(rng), rng) for _ in range(self.ways)])
        latents = torch.randn(self.ways, *self.shape).to(self.device)
        own = torch.from_numpy(rng.random((self.ways, 1, 1, 1)) < 0.5).to(self.device)
        found, steps = torch.zeros((), device=self.device), list(pairwise(self.way))
        for here, there in steps:
            middle = (here + there) // 2
            goal = self.taught(self.taught(latents, here, middle, tokens), middle, there, tokens)
            arrived = self.jump(latents, here, there, tokens)
            # Divided by √ᾱ it is what is left of it in the picture.
            distance = (arrived - goal).square() / self.alpha(there)
            found = found + self.weight(here, there) * ((distance + HUBER**2).sqrt() - HUBER).mean()
            latents = torch.where(own, arrived.detach(), goal)
        return found / len(steps), self.ways * len(steps)

    def check(self) -> dict[str, float]:
        """Distances to where the guided teacher arrives in many steps; see `taught.Taught`."""
        return self.probe(self)
