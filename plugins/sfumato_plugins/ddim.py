"""DDIM inversion: run the sampler backwards."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import replace
from typing import Annotated, Any

from pydantic import Field

from sfumato.diffusion.inversion import Inversion, invert_ddim
from sfumato.diffusion.regularise import Regulariser
from sfumato.diffusion.sampling import replayed
from sfumato.hookspecs import hookimpl
from sfumato.method import Ability, EditRequest, Inverter, Need, Progress
from sfumato.models.model import Model
from sfumato.params import Hint, Params


class DdimParams(Params):
    measure: Annotated[bool, Field(), Hint("Measure the reconstruction", advanced=True)] = True
    """Sample back once at the inversion's guidance, to show how faithful it is."""
    decorrelate: Annotated[float, Field(ge=0, le=100), Hint("Decorrelate the noise", advanced=True)] = 0.0
    """Make the noise the picture dissolves into less like the picture, which edits more easily. Published for
    Pix2Pix-Zero: 20; 0 leaves it as it is."""
    normalise: Annotated[float, Field(ge=0, le=100), Hint("Keep noise normal", advanced=True)] = 0.0
    """Hold that noise to mean 0 and variance 1. Published for Pix2Pix-Zero: 20; 0 leaves it as it is."""
    w_inv: Annotated[float, Field(ge=0, le=15), Hint("Guidance while inverting", advanced=True)] = 1.0
    """1 follows the source prompt alone and 0 no prompt; any other is less faithful, at twice the cost."""
    correction: Annotated[
        float, Field(ge=0, le=1), Hint("Take back the drift", unit="share", advanced=True)
    ] = 0.0
    """Draw the source this far back to its inversion during an edit. At 1 this is direct inversion."""
    correct_every: Annotated[
        int, Field(ge=1, le=1000), Hint("Take it back every", unit="steps", advanced=True)
    ] = 1
    """How often the drift is taken back."""


class Ddim(Inverter[DdimParams]):
    """x*_t = D(x*_prev, ε_θ(x*_prev, t, c); prev→t) at guidance 1 (Song et al. 2021, section 4.3).

    The noise may be regularised on the way (Parmar et al. 2023, section 3.2). The other advanced controls are
    the ablations of direct inversion (Ju et al. 2023, section 5.3).
    """

    name = "ddim"
    title = "DDIM inversion"
    summary = "Follows your picture back into noise. Close at guidance 1, drifts when the edit is guided."
    paper = "https://arxiv.org/abs/2010.02502"
    params = DdimParams
    needs = frozenset({Need.SOURCE_PROMPT})
    abilities = frozenset({Ability.INVERSION})

    def invert(self, request: EditRequest[DdimParams], model: Model) -> Generator[Progress, None, Inversion]:
        x0, p, grid = request.x0, request.params, model.grid(request)
        assert x0 is not None
        text = model.text(request.source)
        adjust = Regulariser(ac=p.decorrelate, kl=p.normalise) if p.decorrelate or p.normalise else None
        trajectory = yield from invert_ddim(model, x0, text, grid, w=p.w_inv, adjust=adjust)
        pulls = (p.correction if i % p.correct_every == 0 else 0.0 for i in range(grid.steps))
        inversion = Inversion(
            x0=x0,
            grid=grid,
            prompt=request.source,
            trajectory=trajectory,
            pin=p.correction > 0,
            pull=tuple(pulls) if p.correction > 0 else None,
            guidance=p.w_inv,
        )
        if not p.measure:
            return inversion
        return replace(inversion, reconstruction=(yield from replayed(model, request, inversion)))


@hookimpl
def register_inverters() -> Sequence[Inverter[Any]]:
    return [Ddim()]
