"""Negative-prompt inversion: lead away from what the picture shows, and guidance leads back to it."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import replace
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor

from sfumato.diffusion.inversion import Inversion, invert_ddim
from sfumato.diffusion.proximal import Proximal
from sfumato.diffusion.sampling import replayed
from sfumato.hookspecs import hookimpl
from sfumato.method import Ability, EditRequest, Inverter, Need, Progress
from sfumato.models.model import Model
from sfumato.params import Hint, Params


class NegativePromptParams(Params):
    proximal: Annotated[Literal["off", "l0", "l1"], Field(), Hint("Hold back small changes")] = "off"
    """Proximal guidance: where the words change little they change nothing. l1 also lessens what is left,
    which is what the published code does under either name."""
    quantile: Annotated[float, Field(ge=0, le=1), Hint("Hold back", unit="share of the picture")] = 0.75
    """How much of the picture counts as little changed, of the edited picture alone."""
    until: Annotated[
        int, Field(ge=0, le=1000), Hint("Keep the picture below", unit="noise level", advanced=True)
    ] = 400
    """Under this level, of a thousand, what is held back is also drawn to the picture. 0 never does."""
    rate: Annotated[float, Field(ge=0, le=1), Hint("Draw it there by", unit="share", advanced=True)] = 1.0
    """How far what is held back is drawn to the picture in each step."""
    towards: Annotated[Literal["inversion", "picture"], Field(), Hint("Draw it towards", advanced=True)] = (
        "inversion"
    )
    """The inversion's own latent of that step, or the finished picture."""
    widen: Annotated[int, Field(ge=0, le=8), Hint("Let go around changes", unit="cells", advanced=True)] = 1
    """How far around a change the picture is not drawn back either."""
    towards_empty: Annotated[
        float, Field(ge=0, le=1), Hint("Mix in the empty prompt", unit="share", advanced=True)
    ] = 0.0
    """Lead away from something between the source prompt and no prompt: a stronger, less faithful edit."""
    measure: Annotated[bool, Field(), Hint("Measure the reconstruction", advanced=True)] = True
    """Sample back once, to show how faithful the inversion is."""


class NegativePrompt(Inverter[NegativePromptParams]):
    """∅_t := c_src at every step, so that ε = ε_src + w (ε_tgt - ε_src) (Miyake et al. 2023, section 4).

    Optional proximal guidance is that of Han et al. 2023, and acts on every edit of this inversion.
    """

    name = "negative_prompt"
    title = "Negative-prompt inversion"
    summary = "Takes your description as what to lead away from. As close as DDIM at guidance 1, at once."
    paper = "https://arxiv.org/abs/2305.16807"
    params = NegativePromptParams
    needs = frozenset({Need.SOURCE_PROMPT})
    abilities = frozenset({Ability.PROMPTS, Ability.INVERSION})

    def invert(
        self, request: EditRequest[NegativePromptParams], model: Model
    ) -> Generator[Progress, None, Inversion]:
        x0, p, grid = request.x0, request.params, model.grid(request)
        text = model.text(request.source)
        assert x0 is not None
        trajectory = yield from invert_ddim(model, x0, text, grid)
        away = slerp(text.embeddings, model.text("").embeddings, p.towards_empty)
        inversion = Inversion(
            x0=x0,
            grid=grid,
            prompt=request.source,
            trajectory=trajectory,
            context=away.repeat(grid.steps, 1, 1),
            pooled=text.pooled,
            proximal=_proximal(p),
        )
        if not p.measure:
            return inversion
        return replace(inversion, reconstruction=(yield from replayed(model, request, inversion)))


def _proximal(p: NegativePromptParams) -> Proximal | None:
    if p.proximal == "off":
        return None
    return Proximal(p.proximal, p.quantile, p.until, p.rate, p.towards, p.widen)


def slerp(start: Tensor, end: Tensor, share: float) -> Tensor:
    """Spherical interpolation of two (1, L, D) as one vector each; straight where there is no angle between.

    That is where they point the same way, or where the empty prompt is zeros (SDXL).
    """
    if share == 0:
        return start
    a, b = start.flatten(), end.flatten()
    angle = torch.acos(((a / a.norm()) @ (b / b.norm())).clamp(-1, 1))
    if not angle.sin() >= 1e-6:
        return torch.lerp(start, end, share)
    return (((1 - share) * angle).sin() * start + (share * angle).sin() * end) / angle.sin()


@hookimpl
def register_inverters() -> Sequence[Inverter[Any]]:
    return [NegativePrompt()]
