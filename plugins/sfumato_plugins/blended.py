"""Blended latent diffusion: paint inside the mask, keep the picture outside it at every step."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Annotated, Any

from pydantic import Field

from sfumato.diffusion.branches import skipped
from sfumato.diffusion.inversion import Inversion
from sfumato.diffusion.sampling import from_noised_source
from sfumato.hookspecs import hookimpl
from sfumato.method import Ability, Edit, Editor, EditRequest, Need, Progress
from sfumato.models.model import Model
from sfumato.params import Hint, Params


class BlendedParams(Params):
    skip: Annotated[float, Field(ge=0, le=0.95), Hint("Keep from the picture", unit="share of steps")] = 0.25
    """Share of the noisiest steps to skip: more keeps the shapes under the mask, less paints them anew."""
    widen: Annotated[int, Field(ge=0, le=8), Hint("Widen thin masks by", unit="cells", advanced=True)] = 1
    """Let the edit begin this many latent cells wider than the mask and shrink to it half-way."""
    official: Annotated[bool, Field(), Hint("Published noise levels", advanced=True)] = False
    """Start from noise alone and keep the background a step too noisy, as the published code does."""


class Blended(Editor[BlendedParams]):
    """Avrahami, Fried, Lischinski: Blended Latent Diffusion, 2023, algorithm 1.

    Three departures from the published code, unless it is asked for: it starts from the noised source instead
    of pure noise, blends at the level a step arrives at, and ends on the clean source.
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
        p, grid = request.params, model.grid(request)
        latents = yield from from_noised_source(
            model, request, grid, skipped(p.skip, grid), widen=p.widen, as_published=p.official
        )
        return Edit(latents=latents)


@hookimpl
def register_editors() -> Sequence[Editor[Any]]:
    return [Blended()]
