"""Branches of one picture: a latent, and the rows that decide where it goes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from sfumato.diffusion.denoiser import Combine, Row, alone, guided
from sfumato.diffusion.inversion import Inversion
from sfumato.diffusion.proximal import Correct
from sfumato.diffusion.schedule import Grid, Schedule
from sfumato.diffusion.solvers import Noise
from sfumato.diffusion.text import Text
from sfumato.method import EditRequest

if TYPE_CHECKING:
    from sfumato.models.model import Model


SOURCE = "src"
"""The branch that brings the picture itself back, as its inversion wants it."""


@dataclass(frozen=True, eq=False)
class Branch:
    """A latent and the rows that decide where it goes.

    A pinned branch is assigned to a trajectory after each step; its rows are computed only while a hook reads
    them. With `as_inverted` they look at the next level's latent, which repeats the inversion's own network
    call, so that a hook sees the maps of the inversion pass without any of them having been stored.
    """

    name: str
    latent: Tensor
    rows: tuple[Row, ...]
    combine: Combine
    noise: Noise
    pin: Tensor | None = None
    as_inverted: bool = False
    pull: Sequence[float] | None = None
    """Per step, how far a pinned branch is drawn to the trajectory; None assigns it."""
    correct: Correct | None = None
    """What a free branch's latent is put right by, after each step."""

    def pinned(self, i: int) -> float:
        """How far this branch is drawn to its trajectory after step i: 0 is free, 1 is assigned."""
        if self.pin is None:
            return 0.0
        return 1.0 if self.pull is None else self.pull[i]

    def seen(self, x: Tensor, i: int) -> Tensor:
        """What the network is shown at step i."""
        return self.pin[i + 1 : i + 2] if self.as_inverted and self.pin is not None else x


def fresh_noise(seed: int, shape: Sequence[int], device: torch.device | str = "cpu") -> Noise:
    """N(0, I) on `device`, drawn on the CPU from its own generator, so that every device gives the same."""
    generator = torch.Generator("cpu").manual_seed(seed)
    return lambda: torch.randn(*shape, generator=generator).to(device)


def step_noise(request: EditRequest, latent: Tensor) -> Noise:
    """What the steps of an inverted picture draw; branches that must move alike each take one of their own.

    The seed's first draw is what naive inversion covered the picture with: no step may repeat it.
    """
    noise = fresh_noise(request.seed, latent.shape, latent.device)
    noise()
    return noise


def branch(
    name: str, latent: Tensor, texts: tuple[Text | Sequence[Text], Text], w: float, noise: Noise
) -> Branch:
    """A branch under guidance w; `texts` = (unconditional, conditional). w = 1 needs one row only."""
    uncond, cond = Row(f"{name}.u", texts[0]), Row(f"{name}.c", texts[1])
    if w == 1:
        return Branch(name, latent, (cond,), alone(cond.name), noise)
    return Branch(name, latent, (uncond, cond), guided(uncond.name, cond.name, w), noise)


def candidates(model: Model, request: EditRequest, start: Callable[[Tensor], Tensor]) -> list[Branch]:
    """One branch per candidate under the target prompt, from `start(ε)`; candidate k draws from seed + k."""
    texts = model.text(request.negative), model.text(request.target)
    branches = []
    for k in range(request.candidates):
        noise = fresh_noise(request.seed + k, request.latent_shape, model.device)
        eps = noise() if request.noise is None else request.noise
        branches.append(branch(f"tgt{k}", start(eps), texts, request.guidance, noise))
    return branches


def inverted_branch(
    model: Model, request: EditRequest, inversion: Inversion, name: str, prompt: str
) -> Branch:
    """A branch that starts from an inversion, with all the inversion brings for it.

    That is per-step unconditional text, values and proximal guidance; and for the branch called "src" the
    guidance its noise maps were made for, or how far it is drawn to the trajectory where it is pinned.
    """
    source = name == SOURCE
    latent = inversion.at(skipped(request.start, inversion.grid))
    uncond = unconditional(model, request, inversion if source or not inversion.single_branch else None)
    own = source and inversion.noise is not None and not inversion.pin
    w = inversion.guidance if own else request.guidance
    made = branch(name, latent, (uncond, model.text(prompt)), w, step_noise(request, latent))
    made = _valued(made, inversion, 1.0 if source else inversion.value_share)
    if inversion.proximal is not None:
        made = _proximal(made, Row(f"{name}.u", uncond), w, (inversion, model.schedule))
    return replace(made, pull=inversion.pull) if source else made


def _valued(each: Branch, inversion: Inversion, share: float) -> Branch:
    """The branch whose conditional row makes its values of γ_t ⊙ c + β_t for a share of the steps."""
    scale, shift, (*others, cond) = inversion.value_scale, inversion.value_shift, each.rows
    if scale is None or shift is None or not isinstance(cond.text, Text):
        return each
    c, until = cond.text.embeddings, int(share * inversion.grid.steps)
    values = [scale[i : i + 1] * c + shift[i : i + 1] if i < until else None for i in range(len(scale))]
    return replace(each, rows=(*others, replace(cond, value_text=values)))


def _proximal(each: Branch, uncond: Row, w: float, about: tuple[Inversion, Schedule]) -> Branch:
    """The same branch under an inversion's proximal guidance, which looks at both rows at any guidance."""
    inversion, schedule = about
    assert inversion.proximal is not None
    cond = each.rows[-1]
    combine = inversion.proximal.combined(uncond.name, cond.name, w)
    goal = None if inversion.trajectory is None else inversion.trajectory[1:]
    correct = inversion.proximal.corrected(
        uncond.name, cond.name, (inversion.x0, goal), inversion.grid, schedule
    )
    return replace(each, rows=(uncond, cond), combine=combine, correct=correct)


def conditional(each: Branch) -> Branch:
    """A branch at guidance 1: its conditional row alone."""
    *_, cond = each.rows
    return replace(each, rows=(cond,), combine=alone(cond.name))


def lean(each: Branch) -> Branch:
    """A branch without its unconditional row if both rows see the same: guidance between equals is nothing.

    ε_∅ + w (ε_c - ε_∅) = ε_c bit for bit where ε_∅ = ε_c.
    """
    first, last = each.rows[0], each.rows[-1]
    same = first.text is last.text and first.value_text is last.value_text
    return conditional(each) if len(each.rows) == 2 and same else each


def paired(target: Branch, source: Branch) -> dict[str, str]:
    """For each row of the target the source's of the same half, or the only one it has."""
    rows = source.rows if len(source.rows) == len(target.rows) else source.rows[-1:] * len(target.rows)
    return {own.name: other.name for own, other in zip(target.rows, rows, strict=True)}


def unconditional(model: Model, request: EditRequest, inversion: Inversion | None) -> Text | Sequence[Text]:
    """The text guidance leads away from: the inversion's own per step if it brings one, else the negative."""
    text = model.text(request.negative)
    if inversion is None or inversion.context is None:
        return text
    pooled = text.pooled if inversion.pooled is None else inversion.pooled
    return [replace(text, embeddings=each[None], pooled=pooled) for each in inversion.context]


def skipped(share: float, grid: Grid) -> int:
    """How many of the noisiest steps to skip."""
    return int(share * grid.steps)
