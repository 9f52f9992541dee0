"""Noise levels, the timestep grid, and the DDIM move. Scalars are Python floats (float64).

Song, Meng, Ermon: Denoising Diffusion Implicit Models, 2021, equations 9, 12 and 16.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt
from typing import Any, Literal

import torch
from torch import Tensor

from sfumato.diffusion.spacing import distilled_stride
from sfumato.errors import ModelError
from sfumato.method import Solver

CLEAN = -1
"""The level at which ᾱ is exactly 1. No model has seen it; grids end at level 0 unless told otherwise."""

Prediction = Literal["epsilon", "v_prediction"]
Spacing = Literal["leading", "linspace"]
"""Steps of equal length below the top, or from the very top to 0 with levels between two timesteps."""


@dataclass(frozen=True)
class Grid:
    """The levels a picture passes on its way: `levels[0]` the noisiest, `levels[-1]` the end level.

    Step i goes from levels[i] to levels[i + 1] and shows the network timestep levels[i].
    """

    levels: tuple[float, ...]
    eta: float | None = None
    """The η an inversion's noise maps were made for; None leaves it to the edit."""
    solver: Solver | None = None
    """The solver they were made for; None leaves it to the edit."""
    linear: bool = False
    """The direction gives up η σ_t(1)² to the noise, as edit-friendly inversion was published."""

    @property
    def steps(self) -> int:
        return len(self.levels) - 1


@dataclass(frozen=True)
class Schedule:
    """ᾱ of every training timestep, and what the network was trained to predict."""

    alpha_bar: tuple[float, ...]
    prediction: Prediction = "epsilon"
    stride: int | None = None
    """Every how many timesteps a few-step model was distilled on."""

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Schedule:
        """Read a diffusers `scheduler_config.json`.

        Raises `ModelError` for a noise schedule or prediction type the engine does not know.
        """
        prediction = config.get("prediction_type", "epsilon")
        if prediction not in ("epsilon", "v_prediction"):
            raise ModelError(f"The model predicts '{prediction}', which this version cannot use.")
        if config.get("rescale_betas_zero_snr"):
            raise ModelError("The model's noise schedule ends in pure noise, which this version cannot use.")
        betas = _betas(config)
        return cls(tuple((1 - betas).cumprod(0).tolist()), prediction, distilled_stride(config))

    def a(self, level: float) -> float:
        """ᾱ at a level; between two timesteps √((1-ᾱ)/ᾱ) is interpolated, as diffusers' Euler samplers do."""
        if level == CLEAN:
            return 1.0
        below = int(level)
        if below == level:
            return self.alpha_bar[below]
        low, high = (sqrt((1 - a) / a) for a in self.alpha_bar[below : below + 2])
        return 1 / (1 + (low + (level - below) * (high - low)) ** 2)

    def grid(
        self, steps: int, *, end: int = 0, offset: Literal[0, 1] = 1, spacing: Spacing = "leading"
    ) -> Grid:
        """`steps` levels spread over the schedule, one above the end level so that no step is idle.

        Equals diffusers' "leading" spacing with `steps_offset=offset`: offset 1 where `steps` divides the
        schedule, offset 0 always. That is the published code of Prompt-to-Prompt and its kin, whose last step
        goes from level 0 to level 0 and changes nothing. "linspace" is k-diffusion's and ends well at `CLEAN`
        only. A few-step model starts from its noisiest level and ends clean, as its own scheduler does.
        """
        length = len(self.alpha_bar)
        if self.stride is not None:
            count = length // self.stride
            steps = min(steps, count)
            return Grid((*((count - i * count // steps) * self.stride - 1 for i in range(steps)), CLEAN))
        if spacing == "linspace":
            return Grid((*torch.linspace(length - 1, 0, steps, dtype=torch.float64).tolist(), end))
        # Where `steps` does not divide the schedule, ours reach its top and the published ones stop short.
        climbing = (i * length // steps + 1 if offset else i * (length // steps) for i in range(steps))
        return Grid((*sorted((t for t in climbing if t < length), reverse=True), end))

    def noised(self, x0: Tensor, noise: Tensor, level: float) -> Tensor:
        """√ᾱ x_0 + √(1-ᾱ) ε: the picture at a level."""
        a = self.a(level)
        return sqrt(a) * x0 + sqrt(1 - a) * noise

    def x0hat(self, x: Tensor, eps: Tensor, level: float) -> Tensor:
        """(x - √(1-ᾱ) ε) / √ᾱ: the picture the network has in mind."""
        a = self.a(level)
        return (x - sqrt(1 - a) * eps) / sqrt(a)

    def move(self, x: Tensor, eps: Tensor, here: float, there: float) -> Tensor:
        """D(x, ε; a→b) = √b x̂_0 + √(1-b) ε: one deterministic DDIM move, in either direction."""
        b = self.a(there)
        return sqrt(b) * self.x0hat(x, eps, here) + sqrt(1 - b) * eps

    def sigma(self, here: float, there: float, eta: float) -> float:
        """σ_t(η): the share of fresh noise of a step; η = 1 is the posterior of the grid (DDPM)."""
        a, b = self.a(here), self.a(there)
        return eta * sqrt((1 - b) / (1 - a) * (1 - a / b))

    def epsilon(self, output: Tensor, x: Tensor, level: float) -> Tensor:
        """The noise the network means, whatever it predicts: ε = √ᾱ v + √(1-ᾱ) x for v-prediction."""
        if self.prediction == "epsilon":
            return output
        a = self.a(level)
        return sqrt(a) * output + sqrt(1 - a) * x


def _betas(config: Mapping[str, Any]) -> Tensor:
    count = int(config.get("num_train_timesteps", 1000))
    low, high = float(config.get("beta_start", 1e-4)), float(config.get("beta_end", 0.02))
    kind = config.get("beta_schedule", "linear")
    if trained := config.get("trained_betas"):
        return torch.tensor(trained, dtype=torch.float64)
    if kind == "linear":
        return torch.linspace(low, high, count, dtype=torch.float64)
    if kind == "scaled_linear":
        return torch.linspace(sqrt(low), sqrt(high), count, dtype=torch.float64) ** 2
    raise ModelError(f"The model's noise schedule '{kind}' is not one this version knows.")
