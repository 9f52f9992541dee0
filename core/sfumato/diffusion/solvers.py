"""How to go from one level to the next, given the noise the network sees. All solvers behind one call.

    x_prev = solver(Step(x, eps, i), noise)

`euler_a` (Karras et al. 2022, algorithm 2 without churn, ancestral) is the DDIM step with η = 1 written in
other coordinates: with x/√ᾱ and σ = √((1-ᾱ)/ᾱ), its σ_up equals σ_t(1)/√ᾱ_prev. So one formula serves both.
"""

from __future__ import annotations

from collections.abc import Callable
from math import exp, log, sqrt

from torch import Tensor

from sfumato.diffusion.schedule import CLEAN, Grid, Schedule
from sfumato.method import Solver as SolverName

Noise = Callable[[], Tensor]
"""Draws N(0, I) of the latent's shape; called only by steps that use it."""


class Solver:
    """One picture's way down a grid. Multistep solvers remember the last x̂_0; make one per branch."""

    def __init__(self, schedule: Schedule, grid: Grid, eta: float) -> None:
        self.schedule, self.grid, self.eta = schedule, grid, eta

    def step(self, x: Tensor, eps: Tensor, i: int, noise: Noise) -> Tensor:
        """x at levels[i + 1] from x and ε at levels[i]; shapes (1, C, h, w)."""
        mean, sigma = self.parts(x, eps, i)
        return mean if sigma == 0 else mean + sigma * noise()

    def parts(self, x: Tensor, eps: Tensor, i: int) -> tuple[Tensor, float]:
        """(μ, σ) of a step, which goes to μ + σ z: what an inversion needs to find the z that leads home."""
        here, there = self.grid.levels[i], self.grid.levels[i + 1]
        b, sigma = self.schedule.a(there), self.schedule.sigma(here, there, self.eta)
        mean = sqrt(b) * self.schedule.x0hat(x, eps, here) + self._direction(b, sigma) * eps
        return mean, sigma

    def _direction(self, b: float, sigma: float) -> float:
        given_up = sigma**2 / self.eta if self.grid.linear and sigma else sigma**2
        return sqrt(max(1 - b - given_up, 0.0))

    def resume(self, i: int, x0hat: Tensor) -> None:
        """Go on at step i as if it had taken step i - 1 and seen `x0hat` (1, C, h, w) there."""

    def gain(self, i: int) -> float:
        """κ_i: by how much x at levels[i + 1] moves with ε; first order where a solver has more."""
        here, there = self.grid.levels[i], self.grid.levels[i + 1]
        a, b = self.schedule.a(here), self.schedule.a(there)
        sigma = self.schedule.sigma(here, there, self.eta)
        return self._direction(b, sigma) - sqrt(b * (1 - a) / a)


_STEADY = 15
"""Steps from which on the last one, too, is of second order; fewer are too coarse for that (diffusers)."""


class DpmSolverSde(Solver):
    """Second-order multistep SDE-DPM-Solver++ (Lu et al. 2022, appendix; midpoint form)."""

    _last: tuple[Tensor, float] | None = None

    def parts(self, x: Tensor, eps: Tensor, i: int) -> tuple[Tensor, float]:
        here, there = self.grid.levels[i], self.grid.levels[i + 1]
        a, b = self.schedule.a(here), self.schedule.a(there)
        D0 = self.schedule.x0hat(x, eps, here)
        if there == CLEAN:
            return D0, 0.0
        h = self._lambda(b) - self._lambda(a)
        D = D0
        if self._last is not None and (i + 1 < self.grid.steps or self.grid.steps >= _STEADY):
            D1, h_last = self._last
            D = D0 + h / (2 * h_last) * (D0 - D1)
        self._last = (D0, h)
        shrink = 1 - exp(-2 * h)
        mean = sqrt((1 - b) / (1 - a)) * exp(-h) * x + sqrt(b) * shrink * D
        return mean, sqrt(1 - b) * sqrt(shrink)

    def resume(self, i: int, x0hat: Tensor) -> None:
        a, b = (self.schedule.a(level) for level in self.grid.levels[i - 1 : i + 1])
        self._last = (x0hat, self._lambda(b) - self._lambda(a))

    def gain(self, i: int) -> float:
        here, there = self.grid.levels[i], self.grid.levels[i + 1]
        a, b = self.schedule.a(here), self.schedule.a(there)
        shrink = 1.0 if there == CLEAN else 1 - exp(-2 * (self._lambda(b) - self._lambda(a)))
        return -sqrt(b * (1 - a) / a) * shrink

    @staticmethod
    def _lambda(a: float) -> float:
        return 0.5 * log(a / (1 - a))


class Lcm(Solver):
    """Latent consistency sampling (Luo et al. 2023, algorithm 1): jump to x̂_0, noise again."""

    def parts(self, x: Tensor, eps: Tensor, i: int) -> tuple[Tensor, float]:
        here, there = self.grid.levels[i], self.grid.levels[i + 1]
        scaled = 10.0 * here
        c_skip, c_out = 0.25 / (scaled**2 + 0.25), scaled / sqrt(scaled**2 + 0.25)
        x0 = c_out * self.schedule.x0hat(x, eps, here) + c_skip * x
        b = self.schedule.a(there)
        return (x0, 0.0) if i + 1 == self.grid.steps else (sqrt(b) * x0, sqrt(1 - b))

    def gain(self, i: int) -> float:
        here, last = self.grid.levels[i], i + 1 == self.grid.steps
        a, b = self.schedule.a(here), 1.0 if last else self.schedule.a(self.grid.levels[i + 1])
        scaled = 10.0 * here
        return -sqrt(b * (1 - a) / a) * scaled / sqrt(scaled**2 + 0.25)


def solver(name: SolverName, schedule: Schedule, grid: Grid, eta: float) -> Solver:
    """The solver of that name; `eta` matters to "ddim" only. A grid that names its own has the last word."""
    name, eta = grid.solver or name, eta if grid.eta is None else grid.eta
    if name == "ddim":
        return Solver(schedule, grid, eta)
    if name == "euler_a":
        return Solver(schedule, grid, eta=1.0)
    return {"dpmpp_sde": DpmSolverSde, "lcm": Lcm}[name](schedule, grid, eta)
