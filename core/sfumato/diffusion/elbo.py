"""How likely a model finds a picture: the evidence lower bound, term by term.

-log p(x_0) <= L_T + Σ_{t=2..T} L_{t-1} + L_0 (Ho, Jain, Abbeel 2020, equation 5). The lecture's t is the
level t - 1 here: ᾱ_t = a(t - 1), ᾱ_0 = 1. Latents have a density, not a probability: in latent space the
sum, and L_0 above all, may be negative, and only differences between prompts or pictures mean anything.
Everything is accumulated in float64, for the weights reach SNR(1) ≈ 1000, and on the CPU, for some devices
(MPS) have no float64.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from math import log, pi
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from sfumato.diffusion.branches import fresh_noise
from sfumato.diffusion.denoiser import Row
from sfumato.diffusion.schedule import CLEAN, Schedule
from sfumato.method import Progress

if TYPE_CHECKING:
    from sfumato.models.model import Model

Variance = Literal["posterior", "beta"]
"""σ_t² of the reverse process: β̃_t, or β_t."""
Predict = Callable[[Tensor, int], Mapping[str, Tensor]]
"""(x_t, level) -> for each prompt the noise the network sees, at guidance 1."""

QUICK = 100
"""Network rows per prompt of a quick look."""


@dataclass(frozen=True)
class Point:
    """One level of the curve."""

    level: int
    nats: float
    """L_{t-1} at this level, one ε (or the mean over several)."""
    error: float
    """Mean of (ε - ε_θ)² per dimension; about 1 for a network that sees nothing."""
    weight: int
    """How many levels it stands for."""


@dataclass(frozen=True, eq=False)
class Elbo:
    """The three terms in nats, for one prompt."""

    prior: float
    """L_T: no network."""
    score: float
    """Σ L_{t-1}"""
    reconstruction: float
    """L_0"""
    dimensions: int
    curve: tuple[Point, ...]
    """From the cleanest level up; level 0 belongs to L_0 and is not in it."""
    per_cell: Tensor
    """(h, w) float64: the same sum, cell by cell, over the channels."""

    @property
    def total(self) -> float:
        """An upper bound of -log p(x_0 | c), in nats."""
        return self.prior + self.score + self.reconstruction

    def bits_per_dimension(self, nats: float) -> float:
        """Nats of the whole picture -> bits per dimension of its latent."""
        return nats / (self.dimensions * log(2))


def of_prompts(model: Model, prompts: Sequence[str]) -> Predict:
    """The model's noise for each prompt, all in one batch."""
    rows = {prompt: Row(prompt, model.text(prompt)) for prompt in prompts}

    def predict(x: Tensor, level: int) -> Mapping[str, Tensor]:
        x = x.float().to(model.device)
        return model.denoiser({name: row.seen(x, 0) for name, row in rows.items()}, level)

    return predict


def elbo(
    predict: Predict,
    x0: Tensor,
    schedule: Schedule,
    *,
    rows: int | None = QUICK,
    draws: int = 1,
    seed: int = 0,
    variance: Variance = "posterior",
) -> Generator[Progress, None, dict[str, Elbo]]:
    """The bound for each prompt, under the same levels and the same noise; x0 (1, C, h, w).

    `rows` network rows per prompt and draw: L_0's own, and one in each of `rows` - 1 equal strata of the
    other levels; None, or as many as there are levels, is the full sum. Noise depends on seed and level only.
    """
    x0, T = x0.cpu().double(), len(schedule.alpha_bar)
    strata = _strata(T, T if rows is None else rows, seed)
    sums: dict[str, _Sums] = {}
    for done, (level, weight) in enumerate([(0, 1), *strata]):
        for name, square in _squared_errors(predict, x0, schedule, (level, draws, seed)).items():
            term = _weight(schedule, level, variance) * square + _constant(schedule, level, variance)
            if level == 0:
                sums[name] = _Sums(reconstruction=term, score=torch.zeros_like(x0))
                continue
            sums[name].score += weight * term
            sums[name].curve.append(Point(level, float(term.sum()), float(square.mean()), weight))
        yield Progress(done + 1, len(strata) + 1, "Measuring")
    prior = _prior(x0, schedule)
    return {name: each.with_prior(prior) for name, each in sums.items()}


@dataclass
class _Sums:
    """Terms per dimension so far, (1, C, h, w)."""

    reconstruction: Tensor
    score: Tensor
    curve: list[Point] = field(default_factory=list)

    def with_prior(self, prior: Tensor) -> Elbo:
        return Elbo(
            prior=float(prior.sum()),
            score=float(self.score.sum()),
            reconstruction=float(self.reconstruction.sum()),
            dimensions=prior.numel(),
            curve=tuple(self.curve),
            per_cell=(prior + self.score + self.reconstruction)[0].sum(0),
        )


def _squared_errors(
    predict: Predict, x0: Tensor, schedule: Schedule, drawn: tuple[int, int, int]
) -> dict[str, Tensor]:
    """(ε - ε_θ)² per prompt, the mean over the draws; `drawn` = (level, draws, seed)."""
    level, draws, seed = drawn
    noise = fresh_noise((seed * 1_000_003 + level) % 2**63, x0.shape, x0.device)
    total: dict[str, Tensor] = {}
    for _ in range(draws):
        eps = noise().double()
        for name, seen in predict(schedule.noised(x0, eps, level), level).items():
            total[name] = total.get(name, torch.zeros_like(x0)) + (eps - seen.cpu().double()) ** 2 / draws
    return total


def _prior(x0: Tensor, schedule: Schedule) -> Tensor:
    """L_T = ½ [(1-ᾱ_T) + ᾱ_T x_0² - 1 - log(1-ᾱ_T)], per dimension."""
    a = schedule.alpha_bar[-1]
    return 0.5 * ((1 - a) + a * x0**2 - 1 - log(1 - a))


def _weight(schedule: Schedule, level: int, variance: Variance) -> float:
    """What (ε - ε_θ)² counts.

    For L_{t-1} that is β_t² / (2 σ_t² α_t (1-ᾱ_t)); with σ_t² = β̃_t it is ½ (SNR(t-1) - SNR(t)) (1-ᾱ_t)/ᾱ_t.
    For L_0 = -log N(x_0; x̂_0, σ_1²): (1-ᾱ_1)/ᾱ_1 / (2 σ_1²).
    """
    a = schedule.a(level)
    if level == 0:
        return (1 - a) / a / (2 * _sigma_1(schedule))
    beta = _beta(schedule, level)
    sigma = _posterior(schedule, level) if variance == "posterior" else beta
    return beta**2 / (2 * sigma * (1 - beta) * (1 - a))


def _constant(schedule: Schedule, level: int, variance: Variance) -> float:
    """What each dimension adds whatever the network says."""
    if level == 0:
        return 0.5 * log(2 * pi * _sigma_1(schedule))
    if variance == "posterior":
        return 0.0
    ratio = _posterior(schedule, level) / _beta(schedule, level)
    return 0.5 * (ratio - 1 - log(ratio))


def _beta(schedule: Schedule, level: int) -> float:
    """β_t = 1 - ᾱ_t/ᾱ_{t-1}"""
    return 1 - schedule.a(level) / schedule.a(level - 1 if level else CLEAN)


def _posterior(schedule: Schedule, level: int) -> float:
    """β̃_t = (1-ᾱ_{t-1})/(1-ᾱ_t) β_t; level > 0."""
    return (1 - schedule.a(level - 1)) / (1 - schedule.a(level)) * _beta(schedule, level)


def _sigma_1(schedule: Schedule) -> float:
    """σ_1²: β̃_1 is 0, so that β̃_2 stands in for it."""
    return _posterior(schedule, 1)


def _strata(T: int, rows: int, seed: int) -> list[tuple[int, int]]:
    """One level from each of `rows` - 1 strata of the levels 1 .. T - 1, and the stratum's size."""
    count = min(max(rows, 2), T) - 1
    edges = [1 + j * (T - 1) // count for j in range(count + 1)]
    generator = torch.Generator().manual_seed(seed)
    shares = torch.rand(count, generator=generator, dtype=torch.float64).tolist()
    sizes = [high - low for low, high in pairwise(edges)]
    return [(low + int(u * size), size) for low, size, u in zip(edges, sizes, shares, strict=False)]
