"""Naive inversion: add noise, and hope. The baseline the others are measured against."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import replace
from typing import Annotated, Any

import torch
from pydantic import Field

from sfumato.diffusion.branches import fresh_noise
from sfumato.diffusion.inversion import Inversion
from sfumato.diffusion.sampling import replayed
from sfumato.hookspecs import hookimpl
from sfumato.method import EditRequest, Inverter, Progress
from sfumato.models.model import Model
from sfumato.params import Hint, Params


class NaiveParams(Params):
    measure: Annotated[bool, Field(), Hint("Measure the reconstruction", advanced=True)] = False
    """Sample the noised picture back once, to show how far from the original it comes out."""


class Naive(Inverter[NaiveParams]):
    """x_t = √ᾱ_t x_0 + √(1-ᾱ_t) ε with one ε for all levels (Meng et al. 2022, SDEdit)."""

    name = "naive"
    title = "Add noise (no inversion)"
    summary = "Covers the picture with random noise. Fast, but the way back does not lead to your picture."
    paper = "https://arxiv.org/abs/2108.01073"
    params = NaiveParams
    depends_on = frozenset({"seed"})

    def invert(self, request: EditRequest[NaiveParams], model: Model) -> Generator[Progress, None, Inversion]:
        x0 = request.x0
        assert x0 is not None
        grid = model.grid(request)
        eps = request.noise
        if eps is None:
            eps = fresh_noise(request.seed, x0.shape, x0.device)()
        levels = [model.schedule.noised(x0, eps, level) for level in grid.levels[:-1]]
        trajectory = torch.cat([*levels, x0])
        inversion = Inversion(x0=x0, grid=grid, prompt=request.source, trajectory=trajectory)
        if not request.params.measure:
            return inversion
        return replace(inversion, reconstruction=(yield from replayed(model, request, inversion)))


@hookimpl
def register_inverters() -> Sequence[Inverter[Any]]:
    return [Naive()]
