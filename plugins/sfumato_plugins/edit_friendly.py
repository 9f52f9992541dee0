"""Edit-friendly DDPM inversion: find the noise of a random way that ends in exactly this picture."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import replace
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor

from sfumato.diffusion.branches import fresh_noise
from sfumato.diffusion.inversion import Inversion, predictor
from sfumato.diffusion.schedule import Grid
from sfumato.diffusion.solvers import solver
from sfumato.hookspecs import hookimpl
from sfumato.method import Ability, EditRequest, Inverter, Progress
from sfumato.models.model import Model
from sfumato.params import Hint, Params


class EditFriendlyParams(Params):
    w_src: Annotated[float, Field(ge=0, le=15), Hint("Guidance of the source")] = 1.0
    """How strongly the source prompt leads while your picture is inverted. Any but 1 costs twice as much;
    more keeps edits under a high guidance closer to the picture."""
    eta: Annotated[float, Field(ge=0.05, le=1), Hint("Share of noise", advanced=True)] = 1.0
    """How much of each step is noise, here and in every edit of the inversion."""
    drop_last: Annotated[bool, Field(), Hint("Drop the last noise", advanced=True)] = False
    """As the published code does; your picture then comes back a little blurred."""
    linear: Annotated[bool, Field(), Hint("Published share of noise", advanced=True)] = False
    """Count the share of noise as the published code does; different only where it is not 1."""


class EditFriendly(Inverter[EditFriendlyParams]):
    """x_t = √ᾱ_t x_0 + √(1-ᾱ_t) ε̃_t, z_t = (x_prev - μ_t(x_t)) / σ_t (Huberman-Spiegelglas et al. 2024).

    Every level has noise of its own. z_1 is kept, so the way back is exact on any weights; the source row is
    assigned to the very latents that way passes, which costs nothing and is exact in any batch.
    """

    name = "edit_friendly"
    title = "Edit-friendly DDPM"
    summary = "Your picture comes back exactly, and each seed edits it differently. Start later to keep more."
    paper = "https://arxiv.org/abs/2304.06140"
    params = EditFriendlyParams
    abilities = frozenset({Ability.PROMPTS})
    depends_on = frozenset({"seed"})

    def invert(
        self, request: EditRequest[EditFriendlyParams], model: Model
    ) -> Generator[Progress, None, Inversion]:
        x0, p = request.x0, request.params
        assert x0 is not None
        grid = replace(model.grid(request), eta=p.eta, solver=request.solver, linear=p.linear)
        way = _random_way(model, request, grid)
        predict = predictor(model, model.text(request.source), grid, w=p.w_src)
        stepper, maps, seen = solver(request.solver, model.schedule, grid, p.eta), [], []
        for i in range(grid.steps):
            eps = predict(way[i], i)
            seen.append(model.schedule.x0hat(way[i], eps, grid.levels[i]))
            mean, sigma = stepper.parts(way[i], eps, i)
            dropped = sigma == 0 or (p.drop_last and i + 1 == grid.steps)
            z = torch.zeros_like(x0) if dropped else (way[i + 1] - mean) / sigma
            maps.append(z)
            if sigma > 0:  # what the way back will really pass, rounding and all
                way[i + 1] = mean + sigma * z
            yield Progress(i + 1, grid.steps, "Inverting", seen[i])
        end = way[-1] if p.drop_last else x0
        return Inversion(
            x0=x0,
            grid=grid,
            prompt=request.source,
            trajectory=torch.cat([*way[:-1], end]),
            pin=True,
            noise=torch.cat(maps),
            x0hat=torch.cat(seen) if request.solver == "dpmpp_sde" else None,
            guidance=p.w_src,
            reconstruction=way[-1],
        )


def _random_way(model: Model, request: EditRequest, grid: Grid) -> list[Tensor]:
    """x_0 noised to every level independently, then x_0 itself, also where the last step is an idle one."""
    x0, given = request.x0, request.noise
    assert x0 is not None
    draw = fresh_noise(request.seed, x0.shape, x0.device)
    noises = [draw() for _ in range(grid.steps)] if given is None else list(given.split(1))
    return [
        x0 if level == grid.levels[-1] else model.schedule.noised(x0, eps, level)
        for level, eps in zip(grid.levels, [*noises, x0], strict=True)
    ]


@hookimpl
def register_inverters() -> Sequence[Inverter[Any]]:
    return [EditFriendly()]
