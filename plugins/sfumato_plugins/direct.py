"""Direct inversion: keep the source exactly where its inversion went."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any

from sfumato.diffusion.inversion import Inversion, invert_ddim
from sfumato.hookspecs import hookimpl
from sfumato.method import Ability, EditRequest, Inverter, Need, Progress
from sfumato.models.model import Model
from sfumato.params import Params


class Direct(Inverter[Params]):
    """DDIM inversion whose source row is assigned to the trajectory at every step (Ju et al. 2023, alg. 1).

    The published code adds the difference x*_{t-1} - x_{t-1}, computed in a pass of its own; assigning gives
    the same without the pass and without its rounding.
    """

    name = "direct"
    title = "Direct inversion"
    summary = "Your picture comes back exactly, however strongly the edit is guided. The best place to start."
    paper = "https://arxiv.org/abs/2310.01506"
    needs = frozenset({Need.SOURCE_PROMPT})
    abilities = frozenset({Ability.INVERSION})

    def invert(self, request: EditRequest[Params], model: Model) -> Generator[Progress, None, Inversion]:
        x0, grid = request.x0, model.grid(request)
        assert x0 is not None
        trajectory = yield from invert_ddim(model, x0, model.text(request.source), grid)
        return Inversion(
            x0=x0, grid=grid, prompt=request.source, trajectory=trajectory, pin=True, reconstruction=x0
        )


@hookimpl
def register_inverters() -> Sequence[Inverter[Any]]:
    return [Direct()]
