"""A new picture from words."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any

from sfumato.diffusion.branches import candidates
from sfumato.diffusion.inversion import Inversion
from sfumato.diffusion.sampling import sample, shown
from sfumato.hookspecs import hookimpl
from sfumato.method import Ability, Edit, Editor, EditRequest, Need, Progress
from sfumato.models.model import Model
from sfumato.params import Params


class Generate(Editor[Params]):
    """x_T ~ N(0, I), then sample (Ho et al. 2020; Song et al. 2021 with η < 1)."""

    name = "generate"
    title = "New picture from words"
    summary = "Makes a picture from the target prompt alone."
    paper = "https://arxiv.org/abs/2006.11239"
    needs = frozenset({Need.TARGET_PROMPT})
    abilities = frozenset({Ability.PROMPTS})
    inversion = "none"

    def edit(
        self, request: EditRequest[Params], inversion: Inversion | None, model: Model
    ) -> Generator[Progress, None, Edit]:
        grid = model.grid(request)
        branches = candidates(model, request, lambda eps: eps)
        states = sample(model, branches, grid, solver_name=request.solver, eta=request.eta)
        last = yield from shown(states, branches[0].name, grid)
        return Edit(latents=last.stacked(branches))


@hookimpl
def register_editors() -> Sequence[Editor[Any]]:
    return [Generate()]
