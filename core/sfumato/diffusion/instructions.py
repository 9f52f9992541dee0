"""Networks that see the picture beside the latent and follow an instruction: three rows a step.

Brooks, Holynski, Efros: InstructPix2Pix, 2023, section 3.2. Whoever combines the rows otherwise (Geng et al.:
InstructDiffusion, 2023) brings a formula of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from math import sqrt
from typing import TYPE_CHECKING, Annotated

import torch
from pydantic import Field
from torch import Tensor

from sfumato.diffusion.branches import Branch, fresh_noise, skipped
from sfumato.diffusion.denoiser import Combine, Row
from sfumato.diffusion.sampling import kept_outside, sample, shown
from sfumato.diffusion.schedule import CLEAN, Grid, Spacing
from sfumato.diffusion.text import Text
from sfumato.method import EditRequest, Progress
from sfumato.params import Hint, Params

if TYPE_CHECKING:
    from sfumato.models.model import Model

Formula = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(ε(I, T), ε(I, ∅), the blind row's ε) -> ε"""


class InstructionParams(Params):
    """What every method of this kind lets one choose."""

    timesteps: Annotated[Spacing, Field(), Hint("Timesteps", advanced=True)] = "leading"
    """Steps of equal length as everywhere here, or from the very top to 0 as the published sampler takes."""
    clean_end: Annotated[bool, Field(), Hint("End without any noise", advanced=True)] = False
    """Let the last step arrive at the picture itself, as the published sampler does, instead of at the least
    noise the network has seen."""

    def grid(self, model: Model, request: EditRequest) -> Grid:
        """The levels of a request under these choices."""
        end = CLEAN if self.clean_end or self.timesteps == "linspace" else 0
        return model.schedule.grid(
            request.steps, end=end, offset=request.timestep_offset, spacing=self.timesteps
        )


@dataclass(frozen=True, eq=False)
class Instruction:
    """The picture I, the words T, no words ∅, and what the row that is blind to the picture reads."""

    picture: Tensor
    """(1, C, h, w): the further channels."""
    text: Text
    empty: Text
    blind: Text

    def rows(self, name: str) -> tuple[Row, Row, Row]:
        """(I, T), (I, ∅) and the blind row, whose picture is zeros."""
        return (
            Row(f"{name}.it", self.text, concat=self.picture),
            Row(f"{name}.i", self.empty, concat=self.picture),
            Row(f"{name}.b", self.blind, concat=torch.zeros_like(self.picture)),
        )


def follow(
    model: Model, request: EditRequest, instruction: Instruction, formula: Formula
) -> Generator[Progress, None, Tensor]:
    """Sample the candidates from pure noise, or from the noised picture where steps are skipped.

    Returns (n, C, h, w). `request.noise` (1 + S, C, h, w) is the start's noise and then one per step.
    """
    params: InstructionParams = request.params
    grid = params.grid(model, request)
    given, first, branches = request.noise, skipped(request.start, grid), []
    for k in range(request.candidates):
        noise = fresh_noise(request.seed + k, request.latent_shape, model.device)
        eps = noise() if given is None else given[:1]
        rows = instruction.rows(f"tgt{k}")
        start = _start(model, request, eps, grid, first)
        branches.append(Branch(f"tgt{k}", start, rows, _combined(rows, formula), noise))
    states = sample(
        model,
        branches,
        grid,
        start=first,
        solver_name=request.solver,
        eta=request.eta,
        noise_maps=None if given is None or len(given) == 1 else given[1:],
        keep=kept_outside(model, request, grid),
    )
    last = yield from shown(states, branches[0].name, grid)
    return last.stacked(branches)


def _combined(rows: tuple[Row, Row, Row], formula: Formula) -> Combine:
    both, seen, blind = (row.name for row in rows)
    return lambda eps, _: formula(eps[both], eps[seen], eps[blind])


def _start(model: Model, request: EditRequest, eps: Tensor, grid: Grid, first: int) -> Tensor:
    """x_T ~ N(0, I); the published sampler's is that of a blank picture, √(1-ᾱ) ε."""
    level = grid.levels[first]
    if first and request.x0 is not None:
        return model.schedule.noised(request.x0, eps, level)
    return eps if request.params.timesteps == "leading" else sqrt(1 - model.schedule.a(level)) * eps
