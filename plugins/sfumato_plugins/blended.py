"""Blended latent diffusion: paint inside the mask, keep the picture outside it at every step."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Annotated, Any

from pydantic import Field

from sfumato.diffusion.inversion import Inversion
from sfumato.diffusion.sampling import candidates, kept_outside, sample, shown, skipped
from sfumato.hookspecs import hookimpl
from sfumato.method import Ability, Edit, Editor, EditRequest, Need, Progress
from sfumato.models.model import Model
from sfumato.params import Hint, Params


class BlendedParams(Params):
    skip: Annotated[float, Field(ge=0, le=0.95), Hint("Keep from the picture", unit="share of steps")] = 0.25
    """Share of the noisiest steps to skip: more keeps the shapes under the mask, less paints them anew."""
    widen: Annotated[int, Field(ge=0, le=8), Hint("Widen thin masks by", unit="cells", advanced=True)] = 1
    """Let the edit begin this many latent cells wider than the mask and shrink to it half-way."""


class Blended(Editor[BlendedParams]):
    """Avrahami, Fried, Lischinski: Blended Latent Diffusion, 2023, algorithm 1.

    Three departures from the published code: it starts from the noised source instead of pure noise, blends
    at the level a step arrives at, and ends on the clean source.
    """

    name = "blended"
    title = "Blended latent diffusion"
    summary = "Paints the words inside your mask and leaves everything else alone."
    paper = "https://arxiv.org/abs/2206.02779"
    params = BlendedParams
    needs = frozenset({Need.IMAGE, Need.TARGET_PROMPT, Need.MASK})
    abilities = frozenset({Ability.PROMPTS})
    inversion = "none"

    def edit(
        self, request: EditRequest[BlendedParams], inversion: Inversion | None, model: Model
    ) -> Generator[Progress, None, Edit]:
        x0, grid = request.x0, model.schedule.grid(request.steps)
        assert x0 is not None
        start = skipped(request.params.skip, grid)
        level = grid.levels[start]
        branches = candidates(model, request, lambda eps: model.schedule.noised(x0, eps, level))
        states = sample(
            model,
            branches,
            grid,
            start=start,
            solver_name=request.solver,
            eta=request.eta,
            keep=kept_outside(model, request, grid, widen=request.params.widen),
        )
        last = yield from shown(states, branches[0].name, grid)
        return Edit(latents=last.stacked(branches))


@hookimpl
def register_editors() -> Sequence[Editor[Any]]:
    return [Blended()]
