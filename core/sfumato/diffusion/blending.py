"""Keeping what must not change: latent masks, level-correct backgrounds, Prompt-to-Prompt's local blend.

Avrahami, Fried, Lischinski: Blended Latent Diffusion, 2023. Three things differ from the published code, all
on purpose: the background is noised to the level the step has arrived at, the last blend is with the clean
picture, and any coverage of a latent cell counts, so that thin masks do not vanish.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.functional import adaptive_max_pool2d, interpolate, max_pool2d

from sfumato.diffusion.attention import MapStore
from sfumato.diffusion.schedule import Grid, Schedule
from sfumato.diffusion.solvers import Noise

if TYPE_CHECKING:
    from sfumato.diffusion.sampling import StepState


def latent_mask(pixel_mask: Tensor, latent_shape: Sequence[int]) -> Tensor:
    """(1, 1, H, W) in [0, 1] -> (1, 1, h, w) in {0, 1}; a cell that is touched at all may change."""
    height, width = latent_shape[-2:]
    return adaptive_max_pool2d((pixel_mask > 0).float(), (height, width))


def grown(mask: Tensor, cells: int) -> Tensor:
    """A {0, 1} mask grown by some latent cells on every side."""
    return mask if cells <= 0 else max_pool2d(mask, 2 * cells + 1, stride=1, padding=cells)


@dataclass(frozen=True, eq=False)
class Keep:
    """x ← mask · x + (1 - mask) · (the source at this level); exact where the mask is 0 or 1.

    The background is the stored trajectory if there is one, else x_0 with noise; at the end it is x_0 itself.
    `widen` lets the mask start some cells wider and shrink to its own size over the first half of the steps.
    """

    mask: Tensor
    x0: Tensor
    schedule: Schedule
    grid: Grid
    new_noise: Callable[[int], Noise]
    """The k-th branch's own source of noise, so that candidates do not depend on one another."""
    trajectory: Tensor | None = None
    widen: int = 0
    late: bool = False
    """Noise the background to the level a step came from, at the last one too, as published."""
    _noises: dict[str, Noise] = field(default_factory=dict)

    def __call__(self, x: Tensor, i: int, branch: str) -> Tensor:
        """Blend the latent of a branch that has arrived at grid.levels[i]."""
        wider = round(self.widen * max(0.0, 1 - 2 * i / self.grid.steps))
        return torch.where(grown(self.mask, wider) > 0.5, x, self.background(i, branch))

    def background(self, i: int, branch: str) -> Tensor:
        """(1, C, h, w): the source at grid.levels[i], as this branch sees it."""
        if i == self.grid.steps and not self.late:
            return self.x0
        if self.trajectory is not None:
            return self.trajectory[i : i + 1]
        if branch not in self._noises:
            self._noises[branch] = self.new_noise(len(self._noises))
        return self.schedule.noised(self.x0, self._noises[branch](), self.grid.levels[i - self.late])


@dataclass(frozen=True, eq=False)
class LocalBlend:
    """x_t ← x_s + M (x_t - x_s), where M is where the blend words attend (Hertz et al. 2022, section 3).

    Maps are averaged over the steps so far, scaled to [0, 1] between their extremes, cut at `threshold` and
    grown by one cell; M is the union of the source words' and the target words' areas. Scaling by the maximum
    alone, as published, lets words of even attention ("black") cover everything. Words that follow one
    another are of one thing and have one area; things apart have one each, or a cat that is looked at hard
    would hide the sky that is looked at evenly, and only the cat would change. An area that bounds
    something of the source is not grown: `about_kept` says so of an edit of something's look ("a pink ->
    yellow umbrella"), and an area along most of the picture's border is the surroundings of what is kept.
    """

    maps: MapStore
    source_tokens: tuple[int, ...]
    target_tokens: tuple[int, ...]
    threshold: float
    first_step: int
    about_kept: bool
    as_published: bool = False
    """Scale by the maximum alone, take all words together, and grow every area."""
    spared_tokens: tuple[tuple[int, ...], tuple[int, ...]] = ((), ())
    """Of the source and of the target: where these attend nothing changes; their areas are not grown."""

    def __call__(self, state: StepState) -> None:
        """Blend branch "tgt" with "src" in place, from `first_step` on."""
        if state.i >= self.first_step:
            source, target = state.latents["src"], state.latents["tgt"]
            state.latents["tgt"] = torch.where(self.mask(target.shape), target, source)

    def mask(self, latent_shape: Sequence[int]) -> Tensor:
        """(1, 1, h, w) bool."""
        source = self._area("src.c", self.source_tokens)
        union = source | self._area("tgt.c", self.target_tokens)
        if not self.follows_edges:
            union = grown(union.float(), 1) > 0
        for row, tokens in zip(("src.c", "tgt.c"), self.spared_tokens, strict=True):
            if tokens:
                union = union & ~self._area(row, tokens)
        return interpolate(union.float(), size=tuple(latent_shape[-2:]), mode="nearest") > 0

    @property
    def follows_edges(self) -> bool:
        """Whether the area bounds something of the source picture."""
        area = self._area("src.c", self.source_tokens)[0, 0]
        border = torch.cat([area[0], area[-1], area[:, 0], area[:, -1]])
        return not self.as_published and (self.about_kept or bool(border.float().mean() > 0.5))

    def _area(self, row: str, tokens: tuple[int, ...]) -> Tensor:
        if self.as_published:
            return self.maps.area(row, tokens, self.threshold, by_maximum=True)
        areas = [self.maps.area(row, thing, self.threshold) for thing in runs(tokens)]
        return torch.stack(areas).any(0)


def runs(tokens: Iterable[int]) -> list[list[int]]:
    """Positions in a prompt, in order, cut wherever one is left out."""
    found: list[list[int]] = []
    for token in sorted(set(tokens)):
        if found and found[-1][-1] == token - 1:
            found[-1].append(token)
        else:
            found.append([token])
    return found
