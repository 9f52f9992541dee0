"""Null-text inversion: bend the empty prompt of every step until guidance leads back to the picture."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import replace
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor

from sfumato.diffusion.denoiser import Row
from sfumato.diffusion.inversion import Inversion, invert_ddim
from sfumato.diffusion.optimise import Descent, Found, in_full_precision, is_large
from sfumato.hookspecs import hookimpl
from sfumato.method import Ability, EditRequest, Inverter, Need, Progress
from sfumato.models.model import Model
from sfumato.params import Hint, Params


class NullTextParams(Params):
    inner_steps: Annotated[int, Field(ge=0, le=100), Hint("Attempts per step")] = 10
    """How often the empty prompt of a step is improved. More is closer to your picture, and takes longer."""
    keep: Annotated[Literal["best", "last"], Field(), Hint("Of the attempts keep the", advanced=True)] = (
        "best"
    )
    """The published code keeps the last attempt, which may be worse than the first."""
    single_branch: Annotated[bool, Field(), Hint("For the source alone", advanced=True)] = False
    """Use what was found for the source only and the plain negative prompt for the edit."""
    save_memory: Annotated[
        Literal["large models", "always", "never"], Field(), Hint("Save memory with", advanced=True)
    ] = "large models"
    """Compute what the gradient needs twice instead of keeping it: the same result, a third slower. Large
    models (Stable Diffusion) would want more than 16 GB otherwise."""


class NullText(Inverter[NullTextParams]):
    """min_∅ |D(x̄_t, ε_∅ + w (ε_c - ε_∅)) - x*_prev|² step by step (Mokady et al. 2023, algorithm 1).

    As in the published code the rate falls as 10⁻²(1 - i/100) and a step ends under 10⁻⁵ + 2·10⁻⁵ i. Unlike
    there the best attempt counts, and is where the next step starts from.
    """

    name = "null_text"
    title = "Null-text inversion"
    summary = (
        "Tunes an empty prompt for every step until your picture comes back under guidance. Slow, and close."
    )
    paper = "https://arxiv.org/abs/2211.09794"
    params = NullTextParams
    needs = frozenset({Need.SOURCE_PROMPT})
    abilities = frozenset({Ability.PROMPTS, Ability.INVERSION})
    depends_on = frozenset({"guidance", "negative"})

    def invert(
        self, request: EditRequest[NullTextParams], model: Model
    ) -> Generator[Progress, None, Inversion]:
        x0, grid = request.x0, model.grid(request)
        assert x0 is not None
        with in_full_precision(model):
            trajectory = yield from invert_ddim(model, x0, model.text(request.source), grid)
            x, null, context = trajectory[:1], model.text(request.negative).embeddings, []
            for i in range(grid.steps):
                found = yield from _fitted(model, request, (x, trajectory[i + 1 : i + 2], null), i)
                (null,), x = found.values, found.latent
                context.append(null)
        return Inversion(
            x0=x0,
            grid=grid,
            prompt=request.source,
            trajectory=trajectory,
            context=torch.cat(context),
            single_branch=request.params.single_branch,
            guidance=request.guidance,
            reconstruction=x,
        )


def _fitted(
    model: Model, request: EditRequest[NullTextParams], at: tuple[Tensor, Tensor, Tensor], i: int
) -> Generator[Progress, None, Found]:
    """∅_i and the latent it leads to, from `at` = (x̄_i, x*_{i+1}, ∅_{i-1})."""
    (x, goal, null), p, w, grid = at, request.params, request.guidance, model.grid(request)
    here, there = grid.levels[i], grid.levels[i + 1]
    negative = model.text(request.negative)
    source = Row("src.c", model.text(request.source)).seen(x, i)
    eps_c = model.denoiser({"src.c": source}, here, step=i)["src.c"]

    def objective(values: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        seen = Row("src.u", replace(negative, embeddings=values[0])).seen(x, i)
        eps_u = model.denoiser({"src.u": seen}, here, step=i)["src.u"]
        moved = model.schedule.move(x, eps_u + w * (eps_c - eps_u), here, there)
        return (moved - goal).square().mean(), moved

    descent = Descent(
        rate=1e-2 * max(1 - i / 100, 0.01),
        most=0 if w == 1 else p.inner_steps,  # at w = 1 the empty prompt has no say, and no gradient
        enough=1e-5 + 2e-5 * i,
        at=(i, grid.steps, p.inner_steps),
        keep_last=p.keep == "last",
        save_memory=p.save_memory == "always" or (p.save_memory == "large models" and is_large(model)),
    )
    return (yield from descent.run(model, (null,), objective))


@hookimpl
def register_inverters() -> Sequence[Inverter[Any]]:
    return [NullText()]
