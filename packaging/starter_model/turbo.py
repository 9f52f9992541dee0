"""The few-step sibling, distilled from the starter by consistency within each of its few steps.

Heek, Hoogeboom and Salimans: Multistep Consistency Models (arXiv:2403.06807), section 3: the student learns
to arrive at the end of the step it is in, not at the clean picture. So it begins as the teacher in so few
steps without guidance, and deterministic DDIM walks it. The teacher's guidance is fixed and learned with it
(Luo et al., arXiv:2310.04378, section 4.2); the target comes from the student itself without gradient and
levels are weighted by their distance, as Song and Dhariwal (arXiv:2310.14189, sections 3.2 and 3.4) advise.
"""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from transformers import CLIPTokenizer

from starter_model.captions import caption
from starter_model.config import TurboSettings
from starter_model.diffusion import Denoising, Painter
from starter_model.encoded import Encoded
from starter_model.precision import quickest
from starter_model.sampling import move

LEVELS = 40
GAP = 1000 // LEVELS
"""The levels that the student learns to jump from: as many in each of four or eight steps."""
HUBER = 0.001
"""c of the pseudo-Huber loss √(d² + c²) - c, for latents of unit variance."""
FINE_ABOVE = 700
"""Steps above which numbers are kept in float32.

The clean latents divide the noise's error by √ᾱ. In bfloat16 that makes 0.042 at step 999 (0.022 with the
first and the last layer in float32) and 0.010 at 699, where student and target differ by about 0.06.
"""


class TurboTask(Denoising):
    """Trains a copy of the starter to go in one step where the starter goes in many."""

    name = "turbo"

    def __init__(
        self,
        settings: TurboSettings,
        base: Painter,
        tokenizer: CLIPTokenizer,
        prediction: str,
        encoded: Encoded,
        share: int,
    ) -> None:
        super().__init__(base, tokenizer, prediction)
        self.teacher = copy.deepcopy(base).requires_grad_(False).eval()
        self.encoded, self.guidance = encoded, settings.guidance
        self.probe: Callable[[TurboTask], dict[str, float]] = lambda _task: {}
        """Measures its progress; see `taught`."""
        self.stretch = 1000 // settings.steps
        """Timesteps that one of its steps goes."""
        self.share = max(1, settings.batch // share)
        self.views, self.rate, self.keep = settings.views, settings.learning_rate, settings.average

    def alpha(self, t: Tensor) -> Tensor:
        """ᾱ at steps (n,), (n, 1, 1, 1); below the first level there is no noise left."""
        found = torch.where(t < 0, 1.0, self.alphas.to(t.device)[t.clamp(min=0)])
        return found[:, None, None, None]

    def sigma(self, t: Tensor) -> Tensor:
        """σ = √((1 - ᾱ) / ᾱ) at steps (n,), (n, 1, 1, 1)."""
        return (1 / self.alpha(t) - 1).sqrt()

    def end(self, t: Tensor) -> Tensor:
        """Where the step that levels (n,) are in ends: a level, or -1 for the clean picture."""
        return t // self.stretch * self.stretch - 1

    def weight(self, t: Tensor) -> Tensor:
        """1 / (σ_t - σ_below) at levels (n,); its mean over all levels is 1."""
        levels = torch.arange(GAP - 1, 1000, GAP, device=t.device)
        found = 1 / (self.sigma(levels) - self.sigma(levels - GAP)).flatten()
        return (found / found.mean())[t // GAP]

    def noise_of(self, painter: Painter, latents: Tensor, t: Tensor, tokens: Tensor) -> Tensor:
        """ε (n, C, h, w) in float32, whatever the painter predicts."""
        found = torch.zeros_like(latents)
        for fine in (True, False):
            rows = ((t > FINE_ABOVE) == fine).nonzero().flatten()
            if len(rows):
                with quickest(latents.device, fine=fine):
                    some = painter(latents[rows], t[rows], tokens[rows])
                found = found.index_copy(0, rows, some.float())
        if self.prediction == "epsilon":
            return found
        alpha = self.alpha(t)
        return alpha.sqrt() * found + (1 - alpha).sqrt() * latents

    def jump(self, latents: Tensor, t: Tensor, there: Tensor, tokens: Tensor) -> Tensor:
        """The student's one DDIM step from levels t to others, both (n,); latents (n, C, h, w)."""
        student = self.model
        assert isinstance(student, Painter)
        noise = self.noise_of(student, latents, t, tokens)
        return move(latents, noise, self.alpha(t), self.alpha(there))

    @torch.no_grad()
    def taught(self, latents: Tensor, t: Tensor, below: Tensor, tokens: Tensor) -> Tensor:
        """One guided DDIM step of the teacher from level t to the one below."""
        empty = self.tokens([""] * len(latents))
        both = self.noise_of(
            self.teacher.to(self.device), latents.repeat(2, 1, 1, 1), t.repeat(2), torch.cat([tokens, empty])
        )
        along, without = both.chunk(2)
        return move(latents, without + self.guidance * (along - without), self.alpha(t), self.alpha(below))

    def loss(self, rng: np.random.Generator, worker: int, progress: float) -> tuple[Tensor, int]:
        """One worker's share of a batch, at levels spread over the schedule."""
        rows = rng.integers(len(self.encoded.scenes), size=self.share)
        latents = torch.from_numpy(self.encoded.latents[rows].astype(np.float32)).to(self.device)
        tokens = self.tokens([caption(self.encoded.scenes[row], rng) for row in rows])
        t = self.steps(rng, self.share) // GAP * GAP + GAP - 1
        alpha = self.alpha(t)
        noisy = alpha.sqrt() * latents + (1 - alpha).sqrt() * torch.randn_like(latents)
        below, end = t - GAP, self.end(t)
        with torch.no_grad():
            nearer = self.taught(noisy, t, below, tokens)
            arrived = self.jump(nearer, below.clamp(min=0), end, tokens)
            target = torch.where((below == end)[:, None, None, None], nearer, arrived)
        # In units of the clean latents: a step's error divided by √ᾱ is what is left of it in the picture.
        distance = ((self.jump(noisy, t, end, tokens) - target) / self.alpha(end).sqrt()).square()
        each = ((distance + HUBER**2).sqrt() - HUBER).mean((1, 2, 3))
        return (each * self.weight(t)).mean(), self.share

    def check(self) -> dict[str, float]:
        """Distances to where the guided teacher arrives in all its steps; see `taught.Taught`."""
        return self.probe(self)
