"""Branches of one picture on their way down the grid together. Nobody re-implements the step.

for state in sample(model, [source, target], inversion.grid, plan=plan):
    state.latents["tgt"] = ...            # a method may change what it likes, then asks for the next
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from sfumato.diffusion.attention import Plan
from sfumato.diffusion.blending import Keep
from sfumato.diffusion.branches import (
    SOURCE,
    Branch,
    candidates,
    fresh_noise,
    inverted_branch,
    skipped,
)
from sfumato.diffusion.denoiser import Seen
from sfumato.diffusion.inversion import Inversion
from sfumato.diffusion.schedule import Grid
from sfumato.diffusion.solvers import Noise, solver
from sfumato.method import EditRequest, Progress
from sfumato.method import Solver as SolverName

if TYPE_CHECKING:
    from sfumato.models.model import Model


@dataclass
class StepState:
    """After step i: where every branch is now. `latents` may be changed before the next step."""

    i: int
    latents: dict[str, Tensor]
    x0hat: dict[str, Tensor]
    eps: dict[str, Tensor] = field(default_factory=dict)
    """By row: the noise the network saw in this step."""

    def stacked(self, branches: Sequence[Branch]) -> Tensor:
        """(n, C, h, w): where these branches are."""
        return torch.cat([self.latents[each.name] for each in branches])


def kept_outside(
    model: Model,
    request: EditRequest,
    grid: Grid,
    trajectory: Tensor | None = None,
    *,
    widen: int = 0,
    late: bool = False,
) -> Keep | None:
    """What holds an edit to its source outside the request's mask; None without a mask."""
    if request.latent_mask is None or request.x0 is None:
        return None
    x0 = request.x0

    def noise(k: int) -> Noise:
        return fresh_noise(request.seed + k, x0.shape, x0.device)

    return Keep(request.latent_mask, x0, model.schedule, grid, noise, trajectory, widen, late)


def from_noised_source(
    model: Model, request: EditRequest, grid: Grid, start: int, *, widen: int = 0, as_published: bool = False
) -> Generator[Progress, None, Tensor]:
    """Noise the source to level `start` and sample the candidates from there, held to it outside the mask.

    Returns (n, C, h, w). `widen` is that of `Keep`. `as_published` starts from noise alone, though the level
    has some of the picture in it, and noises the background to the level a step came from.
    """
    x0, level = request.x0, grid.levels[start]
    assert x0 is not None
    branches = candidates(
        model, request, lambda eps: eps if as_published else model.schedule.noised(x0, eps, level)
    )
    states = sample(
        model,
        branches,
        grid,
        start=start,
        solver_name=request.solver,
        eta=request.eta,
        keep=kept_outside(model, request, grid, widen=widen, late=as_published),
    )
    last = yield from shown(states, branches[0].name, grid)
    return last.stacked(branches)


def sample(
    model: Model,
    branches: Sequence[Branch],
    grid: Grid,
    *,
    start: int = 0,
    plan: Plan | None = None,
    solver_name: SolverName = "ddim",
    eta: float = 0.0,
    noise_maps: Tensor | None = None,
    passed: Tensor | None = None,
    keep: Keep | None = None,
    before: Callable[[StepState], None] | None = None,
) -> Iterator[StepState]:
    """Take all branches from grid level `start` to the end, yielding after each step.

    Every step is one network call over the rows somebody needs. `noise_maps` (S, C, h, w) replace fresh
    noise, and `passed` (S, C, h, w) is the x̂_0 of steps that were skipped, for solvers that look back; `keep`
    holds unpinned branches to the source outside a mask, at each step's own level; `before` may change where
    the branches are before each step, the first one too. A grid that names a solver or η of its own, because
    an inversion's noise maps were made for them, has the last word.
    """
    steppers = {each.name: solver(solver_name, model.schedule, grid, eta) for each in branches}
    if start and passed is not None:
        for stepper in steppers.values():
            stepper.resume(start, passed[start - 1 : start])
    state = StepState(start - 1, {each.name: each.latent for each in branches}, {})
    for i in range(start, grid.steps):
        level = grid.levels[i]
        if before is not None:
            before(state)
        eps = model.denoiser(_needed(branches, state, i, plan), level, plan=plan, step=i)
        latents, x0hat = {}, {}
        for each in branches:
            pinned = each.pinned(i)
            if each.pin is not None and pinned == 1:
                latents[each.name] = each.pin[i + 1 : i + 2]
                continue
            x, e = state.latents[each.name], each.combine(eps, i)
            noise = each.noise if noise_maps is None else _replay(noise_maps, i)
            x0hat[each.name] = model.schedule.x0hat(x, e, level)
            moved = steppers[each.name].step(x, e, i, noise)
            if each.correct is not None:
                moved = each.correct(moved, x0hat[each.name], eps, i)
            if each.pin is not None:
                moved = torch.lerp(moved, each.pin[i + 1 : i + 2], pinned)
            elif keep is not None:
                moved = keep(moved, i + 1, each.name)
            latents[each.name] = moved
        state = StepState(i, latents, x0hat, eps)
        yield state


def _replay(noise_maps: Tensor, i: int) -> Noise:
    return lambda: noise_maps[i : i + 1]


def _needed(branches: Sequence[Branch], state: StepState, i: int, plan: Plan | None) -> dict[str, Seen]:
    """This step's rows: all of a free branch, of a pinned one what a hook reads; unconditional first."""
    read = plan.reads(i) if plan else frozenset()
    wanted = [
        (position, row, each)
        for each in branches
        for position, row in enumerate(reversed(each.rows))
        if each.pinned(i) < 1 or row.name in read
    ]
    wanted.sort(key=lambda entry: -entry[0])
    return {row.name: row.seen(each.seen(state.latents[each.name], i), i) for _, row, each in wanted}


def descend(
    model: Model,
    request: EditRequest,
    inversion: Inversion,
    branches: Sequence[Branch],
    plan: Plan | None = None,
    before: Callable[[StepState], None] | None = None,
) -> Iterator[StepState]:
    """`sample` from an inversion as a request wants it: start, solver, eta, and held outside the mask."""
    grid = inversion.grid
    return sample(
        model,
        branches,
        grid,
        start=skipped(request.start, grid),
        plan=plan,
        solver_name=request.solver,
        eta=request.eta,
        noise_maps=inversion.noise,
        passed=inversion.x0hat,
        keep=kept_outside(model, request, grid, inversion.trajectory),
        before=before,
    )


def replayed(model: Model, request: EditRequest, inversion: Inversion) -> Generator[Progress, None, Tensor]:
    """What an inversion brings back by itself, at the guidance it was made for: (1, C, h, w).

    Rows are counted; a pinned inversion needs none.
    """
    as_made = replace(request, guidance=inversion.guidance, start=0.0)
    source = inverted_branch(model, as_made, inversion, SOURCE, inversion.prompt)
    if inversion.pin:
        source = replace(source, pin=inversion.trajectory)
    states = sample(model, [source], inversion.grid, noise_maps=inversion.noise)
    last = yield from shown(states, SOURCE, inversion.grid, stage="Checking the inversion")
    return last.latents[SOURCE]


def shown(
    states: Iterator[StepState],
    name: str,
    grid: Grid,
    change: Callable[[StepState], None] | None = None,
    *,
    stage: str = "Editing",
) -> Generator[Progress, None, StepState]:
    """Walk `states`, let `change` adjust each, report x̂_0 of branch `name`; return the last state."""
    state = None
    for state in states:
        if change is not None:
            change(state)
        yield Progress(state.i + 1, grid.steps, stage, state.x0hat.get(name))
    assert state is not None, "a grid has at least one step"
    return state


def carry(state: StepState, inversion: Inversion, source: str = "src", target: str = "tgt") -> None:
    """Put the source back on its trajectory and move the edit by as much (Ju et al. 2023, as published).

    An edit that is where the source is goes home with it, bit for bit.
    """
    home = inversion.at(state.i + 1)
    state.latents[target] = home + (state.latents[target] - state.latents[source])
    state.latents[source] = home
