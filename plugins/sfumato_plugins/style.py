"""StyleDiffusion, light: keep what the words attend to and learn, step by step, what they bring along."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from math import ceil, exp
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor

from sfumato.diffusion.attention import Hook, Plan, Probabilities, Site, map_sites
from sfumato.diffusion.denoiser import Row
from sfumato.diffusion.inversion import Inversion, invert_ddim
from sfumato.diffusion.optimise import Descent, Found, in_full_precision
from sfumato.hookspecs import hookimpl
from sfumato.method import Ability, EditRequest, Inverter, Need, Progress
from sfumato.models.model import Model
from sfumato.params import Hint, Params


class StyleParams(Params):
    inner_steps: Annotated[int, Field(ge=0, le=200), Hint("Attempts in the first step")] = 20
    """How often the first step is improved; later ones ever less. Published as 100, which takes very long."""
    value_steps: Annotated[float, Field(ge=0, le=1), Hint("Keep the look", unit="share of steps")] = 0.5
    """For how long an edit paints with what was learned from your picture. Longer keeps its colours and
    surfaces, shorter follows the new words."""
    attention_weight: Annotated[float, Field(ge=0, le=100), Hint("Hold on attention", advanced=True)] = 1.0
    """How much it counts that words attend where they did during the inversion."""


class Style(Inverter[StyleParams]):
    """c̃_t = γ_t ⊙ c + β_t, which only cross-attention's values are made of (Li et al. 2023, StyleDiffusion).

    The light variant: γ_t and β_t are found directly. In the paper a small network makes them of CLIP's
    tokens of the picture, which the models here do not bring along. Loss, rates and stops are the published
    ones: |x̄_prev - x*_prev|² under guidance + Σ |A - A*|² at the sites that show where words attend.
    """

    name = "style"
    title = "StyleDiffusion (light)"
    summary = (
        "Learns what your words look like in this picture, without an image network. Slow, for look edits."
    )
    paper = "https://arxiv.org/abs/2303.15649"
    params = StyleParams
    needs = frozenset({Need.SOURCE_PROMPT})
    abilities = frozenset({Ability.PROMPTS, Ability.ATTENTION, Ability.INVERSION})
    depends_on = frozenset({"guidance", "negative"})

    def invert(self, request: EditRequest[StyleParams], model: Model) -> Generator[Progress, None, Inversion]:
        x0, grid, c = request.x0, model.grid(request), model.text(request.source).embeddings
        assert x0 is not None
        with in_full_precision(model):
            trajectory = yield from invert_ddim(model, x0, model.text(request.source), grid)
            x, scale_shift, passed = trajectory[:1], (torch.ones_like(c), torch.zeros_like(c)), []
            for i in range(grid.steps):
                found = yield from _fitted(model, request, (x, trajectory[i + 1 : i + 2]), scale_shift, i)
                scale_shift, x = found.values, found.latent
                passed.append(scale_shift)
        scales, shifts = zip(*passed, strict=True)
        return Inversion(
            x0=x0,
            grid=grid,
            prompt=request.source,
            trajectory=trajectory,
            value_scale=torch.cat(scales),
            value_shift=torch.cat(shifts),
            value_share=request.params.value_steps,
            guidance=request.guidance,
            reconstruction=x,
        )


def _fitted(
    model: Model,
    request: EditRequest[StyleParams],
    at: tuple[Tensor, Tensor],
    scale_shift: tuple[Tensor, ...],
    i: int,
) -> Generator[Progress, None, Found]:
    """(γ_i, β_i) and the latent they lead to, from `at` = (x̄_i, x*_{i+1}) and the last step's."""
    (x, goal), p, w, grid = at, request.params, request.guidance, model.grid(request)
    here, there = grid.levels[i], grid.levels[i + 1]
    text = model.text(request.source)
    watch, fixed = _Maps(model, request.latent_shape, "inv.c"), _Maps(model, request.latent_shape, "src.c")
    rows = {"src.u": Row("src.u", model.text(request.negative)).seen(x, i)}
    rows["inv.c"] = Row("inv.c", text).seen(goal, i)
    eps_u = model.denoiser(rows, here, plan=watch.plan(i), step=i)["src.u"]

    def objective(values: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        seen = Row("src.c", text).seen(x, i)._replace(value_text=_restyled(text.embeddings, values))
        eps_c = model.denoiser({"src.c": seen}, here, plan=fixed.plan(i), step=i)["src.c"]
        moved = model.schedule.move(x, eps_u + w * (eps_c - eps_u), here, there)
        return (moved - goal).square().mean() + p.attention_weight * fixed.distance(watch), moved

    descent = Descent(
        rate=1e-2 * max(1 - i / 100, 0.01),
        most=ceil(p.inner_steps * exp(-0.1 * i)),
        enough=1e-5 + 2e-5 * i,
        at=(i, grid.steps, p.inner_steps),
    )
    return (yield from descent.run(model, scale_shift, objective))


def _restyled(c: Tensor, scale_shift: tuple[Tensor, ...]) -> Tensor:
    """c̃ = γ ⊙ c + β"""
    scale, shift = scale_shift
    return scale * c + shift


class _Maps:
    """Where the words of one row attend, at every site of the role "maps"."""

    def __init__(self, model: Model, latent_shape: Sequence[int], row: str) -> None:
        self._sites, self._row = frozenset(map_sites(model.sites, latent_shape)), row
        self._seen: dict[Site, Tensor] = {}

    def plan(self, step: int) -> Plan:
        """A plan that looks on at one step."""

        def look(probabilities: Probabilities, site: Site, _: int) -> Probabilities:
            self._seen[site] = probabilities[self._row]
            return {}

        return Plan((Hook(self._sites, range(step, step + 1), (self._row,), look),))

    def distance(self, other: _Maps) -> Tensor:
        """Σ over sites of the mean of (A - A*)²; a scalar."""
        return torch.stack([(self._seen[k] - other._seen[k]).square().mean() for k in self._seen]).sum()


@hookimpl
def register_inverters() -> Sequence[Inverter[Any]]:
    return [Style()]
