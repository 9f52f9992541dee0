"""SDEdit: noise the picture part of the way, then denoise it under the new prompt."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Annotated, Any

from pydantic import Field

from sfumato.diffusion.inversion import Inversion
from sfumato.diffusion.sampling import from_noised_source
from sfumato.hookspecs import hookimpl
from sfumato.method import Ability, Edit, Editor, EditRequest, Need, Progress
from sfumato.models.model import Model
from sfumato.params import Hint, Params


class StrengthParams(Params):
    strength: Annotated[float, Field(ge=0, le=1), Hint("Strength", unit="share of noise")] = 0.6
    """How much of the picture is given up to noise. Low keeps the picture, high follows the words."""


class DdimNaive(Editor[StrengthParams]):
    """Start at √ᾱ x_0 + √(1-ᾱ) ε, `strength` of the way up, and sample (Meng et al. 2022, algorithm 1)."""

    name = "ddim_naive"
    title = "Noise and denoise (SDEdit)"
    summary = "No inversion: adds noise and paints the picture anew under the new words."
    paper = "https://arxiv.org/abs/2108.01073"
    params = StrengthParams
    needs = frozenset({Need.IMAGE, Need.TARGET_PROMPT})
    abilities = frozenset({Ability.PROMPTS})
    inversion = "none"

    def edit(
        self, request: EditRequest[StrengthParams], inversion: Inversion | None, model: Model
    ) -> Generator[Progress, None, Edit]:
        x0, grid = request.x0, model.grid(request)
        assert x0 is not None
        start = grid.steps - int(request.params.strength * grid.steps)
        if start == grid.steps:
            return Edit(
                latents=x0, notes=("At this strength not one step is run: the picture is as it was.",)
            )
        latents = yield from from_noised_source(model, request, grid, start)
        return Edit(latents=latents)


@hookimpl
def register_editors() -> Sequence[Editor[Any]]:
    return [DdimNaive()]
