"""DDIM inversion: run the sampler backwards."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Annotated, Any

from pydantic import Field

from sfumato.diffusion.inversion import Inversion, invert_ddim, reconstruct
from sfumato.diffusion.regularise import Regulariser
from sfumato.hookspecs import hookimpl
from sfumato.method import Ability, EditRequest, Inverter, Need, Progress
from sfumato.models.model import Model
from sfumato.params import Hint, Params


class DdimParams(Params):
    measure: Annotated[bool, Field(), Hint("Measure the reconstruction", advanced=True)] = True
    """Sample back once at guidance 1, to show how faithful the inversion is."""
    decorrelate: Annotated[float, Field(ge=0, le=100), Hint("Decorrelate the noise", advanced=True)] = 0.0
    """Make the noise the picture dissolves into less like the picture, which edits more easily. Published for
    Pix2Pix-Zero: 20; 0 leaves it as it is."""
    normalise: Annotated[float, Field(ge=0, le=100), Hint("Keep noise normal", advanced=True)] = 0.0
    """Hold that noise to mean 0 and variance 1. Published for Pix2Pix-Zero: 20; 0 leaves it as it is."""


class Ddim(Inverter[DdimParams]):
    """x*_t = D(x*_prev, ε_θ(x*_prev, t, c); prev→t) at guidance 1 (Song et al. 2021, section 4.3).

    The noise may be regularised on the way (Parmar et al. 2023, section 3.2).
    """

    name = "ddim"
    title = "DDIM inversion"
    summary = "Follows your picture back into noise. Close at guidance 1, drifts when the edit is guided."
    paper = "https://arxiv.org/abs/2010.02502"
    params = DdimParams
    needs = frozenset({Need.SOURCE_PROMPT})
    abilities = frozenset({Ability.INVERSION})

    def invert(self, request: EditRequest[DdimParams], model: Model) -> Generator[Progress, None, Inversion]:
        x0, text = request.x0, model.text(request.source)
        assert x0 is not None
        grid, p = model.grid(request), request.params
        adjust = Regulariser(ac=p.decorrelate, kl=p.normalise) if p.decorrelate or p.normalise else None
        trajectory = yield from invert_ddim(model, x0, text, grid, adjust=adjust)
        back = None
        if p.measure:
            back = yield from reconstruct(model, trajectory[:1], text, grid)
        return Inversion(x0=x0, grid=grid, prompt=request.source, trajectory=trajectory, reconstruction=back)


@hookimpl
def register_inverters() -> Sequence[Inverter[Any]]:
    return [Ddim()]
