"""A new picture from words."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any

import torch

from sfumato.diffusion.inversion import Inversion
from sfumato.diffusion.sampling import branch, fresh_noise, sample, shown
from sfumato.hookspecs import hookimpl
from sfumato.method import Ability, Edit, EditRequest, Editor, Need, Progress
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
        grid = model.schedule.grid(request.steps)
        texts = model.text(request.negative), model.text(request.target)
        names = [f"tgt{k}" for k in range(request.candidates)]
        branches = []
        for k, name in enumerate(names):
            x_T = fresh_noise(request.seed + k, request.latent_shape)()
            branches.append(branch(name, x_T, texts, request.guidance, request.seed + k + 1_000_003))
        states = sample(model, branches, grid, solver_name=request.solver, eta=request.eta)
        last = yield from shown(states, names[0], grid)
        return Edit(latents=torch.cat([last.latents[name] for name in names]))


@hookimpl
def register_editors() -> Sequence[Editor[Any]]:
    return [Generate()]
