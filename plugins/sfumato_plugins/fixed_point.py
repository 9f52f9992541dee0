"""Fixed-point inversion: correct each step until it is the way back, seen from where it leads."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import replace
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor

from sfumato.diffusion.inversion import Inversion, Predict, climbed, predictor
from sfumato.diffusion.regularise import Regulariser
from sfumato.diffusion.sampling import replayed
from sfumato.diffusion.schedule import Grid, Schedule
from sfumato.hookspecs import hookimpl
from sfumato.method import EditRequest, Inverter, Need, Progress
from sfumato.models.model import Model
from sfumato.params import Hint, Params


class FixedPointParams(Params):
    iterations: Annotated[int, Field(ge=0, le=20), Hint("Corrections per step")] = 3
    """How often each step is corrected. 0 is DDIM inversion; few-step models want up to 9."""
    average: Annotated[int, Field(ge=1, le=20), Hint("Average the last", unit="estimates", advanced=True)] = 2
    """How many of the last corrections are averaged, which settles those that go to and fro."""
    autocorrelation: Annotated[float, Field(ge=0, le=100), Hint("Even out the noise", advanced=True)] = 0.0
    """Keep neighbouring cells of the noise unalike, so that edits have more freedom; published as 20."""
    divergence: Annotated[float, Field(ge=0, le=100), Hint("Keep the noise's strength", advanced=True)] = 0.0
    """Keep the noise of every patch of 4 x 4 cells at strength 1; published as 0.065."""
    measure: Annotated[bool, Field(), Hint("Measure the reconstruction", advanced=True)] = True
    """Sample back once at guidance 1, to show how faithful the inversion is."""


class FixedPoint(Inverter[FixedPointParams]):
    """x_t ← D(x_prev, ε_θ(x_t, t); prev→t), repeated (Garibi et al. 2024, ReNoise, algorithm 1).

    The regularisation compares the noise with N(0, 1) and not, as published, with what the network predicts
    for the noised picture, which would cost another row in every step.
    """

    name = "fixed_point"
    title = "Fixed-point inversion"
    summary = "Like DDIM inversion, correcting every step a few times. For few steps and few-step models."
    paper = "https://arxiv.org/abs/2403.14602"
    params = FixedPointParams
    needs = frozenset({Need.SOURCE_PROMPT})

    def invert(
        self, request: EditRequest[FixedPointParams], model: Model
    ) -> Generator[Progress, None, Inversion]:
        x0, p, grid = request.x0, request.params, model.grid(request)
        assert x0 is not None
        plain = predictor(model, model.text(request.source), grid)
        trajectory = yield from climbed(model, x0, grid, corrected(plain, model.schedule, grid, p))
        inversion = Inversion(x0=x0, grid=grid, prompt=request.source, trajectory=trajectory)
        if not p.measure:
            return inversion
        return replace(inversion, reconstruction=(yield from replayed(model, request, inversion)))


def corrected(predict: Predict, schedule: Schedule, grid: Grid, p: FixedPointParams) -> Predict:
    """The noise that, seen at the upper end of a step, leads back to its lower end."""
    adjust = Regulariser(ac=p.autocorrelation, kl=p.divergence, rounds=4, patch=4)

    def at_its_upper_end(x: Tensor, i: int) -> Tensor:
        low, high = grid.levels[i + 1], grid.levels[i]
        found = [predict(x, i)]
        for _ in range(p.iterations):
            upper = schedule.move(x, found[-1], low, high)
            found.append(adjust(predict(upper, i)))
        return torch.stack(found[1:][-p.average :] or found).mean(0)

    return at_its_upper_end


@hookimpl
def register_inverters() -> Sequence[Inverter[Any]]:
    return [FixedPoint()]
