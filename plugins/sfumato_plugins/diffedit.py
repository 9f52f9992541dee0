"""DiffEdit's mask: where two prompts disagree about the noise is where the picture has to change."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor

from sfumato.diffusion.areas import on_picture
from sfumato.diffusion.branches import fresh_noise
from sfumato.diffusion.denoiser import Row
from sfumato.hookspecs import hookimpl
from sfumato.method import Ability, EditRequest, Masker, Need, Progress
from sfumato.models.model import Model
from sfumato.params import Hint, Params


class DiffEditParams(Params):
    strength: Annotated[float, Field(gt=0, le=1), Hint("Noise to look through", unit="share of noise")] = 0.5
    """How much noise covers the picture while both prompts are asked. More finds larger things."""
    threshold: Annotated[float, Field(ge=0, le=1), Hint("Area threshold")] = 0.5
    """How much they must disagree for a spot to count; lower marks more."""
    looks: Annotated[int, Field(ge=1, le=64), Hint("Noises to average", advanced=True)] = 10
    """How often both prompts are asked, each time through new noise. More is steadier and slower."""
    clamp: Annotated[float, Field(ge=1, le=20), Hint("Largest disagreement", unit="means", advanced=True)] = 3
    """What exceeds this many times the mean counts as much, so that one bright spot does not decide alone."""
    widen: Annotated[int, Field(ge=0, le=8), Hint("Widen by", unit="cells")] = 0
    """Let the area grow by so many latent cells, to leave room for a larger thing."""
    edges: Annotated[bool, Field(), Hint("Follow the picture's edges", advanced=True)] = True
    """Snap the border of the area to the edges of the picture; off, it stays made of latent cells."""


class DiffEdit(Masker[DiffEditParams]):
    """Couairon et al.: DiffEdit, 2022, section 3.2, step 1: |ε(x_t|c_tgt) - ε(x_t|c_src)|, averaged.

    Both prompts see the same noised picture in one batch, so that equal prompts give exactly nothing.
    """

    name = "diffedit"
    title = "What the prompts disagree about (DiffEdit)"
    summary = "Marks what the new prompt would change, by asking the model about both prompts."
    paper = "https://arxiv.org/abs/2210.11427"
    params = DiffEditParams
    needs = frozenset({Need.IMAGE, Need.TARGET_PROMPT})
    abilities = frozenset({Ability.PROMPTS})

    def find(self, request: EditRequest[DiffEditParams], model: Model) -> Generator[Progress, None, Tensor]:
        p, x0, image, grid = request.params, request.x0, request.image, model.grid(request)
        assert x0 is not None
        assert image is not None
        level = grid.levels[grid.steps - max(1, int(p.strength * grid.steps))]
        rows = Row("src.c", model.text(request.source)), Row("tgt.c", model.text(request.target))
        noise = fresh_noise(request.seed, x0.shape, x0.device)
        difference = torch.zeros_like(x0)
        for look in range(p.looks):
            x = model.schedule.noised(x0, noise(), level)
            eps = model.denoiser({row.name: row.seen(x, 0) for row in rows}, level)
            difference += (eps["tgt.c"] - eps["src.c"]).abs() / p.looks
            yield Progress(look + 1, p.looks, "Comparing the prompts")
        disagreement = difference.mean(1, keepdim=True)
        most = p.clamp * disagreement.mean()
        area = disagreement.clamp(max=most) > p.threshold * most
        return on_picture(area, image, widen=p.widen, snapped=p.edges)


@hookimpl
def register_masks() -> Sequence[Masker[Any]]:
    return [DiffEdit()]
