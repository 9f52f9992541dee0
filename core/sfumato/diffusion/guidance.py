"""Cross-attention guidance: before a step, bring a latent's attention nearer to that of a reference.

Parmar et al.: Zero-shot Image-to-Image Translation (Pix2Pix-Zero), 2023, section 3.3, equation 6.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from sfumato.diffusion.attention import Hook, Plan, Probabilities, Site
from sfumato.diffusion.branches import Branch, paired
from sfumato.diffusion.denoiser import Row, Seen
from sfumato.diffusion.optimise import gradient
from sfumato.diffusion.schedule import Grid

if TYPE_CHECKING:
    from sfumato.models.model import Model

Carried = Literal["unconditional half", "conditional half", "both"]


@dataclass(frozen=True, eq=False)
class ApartRow(Row):
    """A row that looks at a latent of its own at the steps there is one for, else at its branch's."""

    own: dict[int, Tensor] = field(default_factory=dict)

    def seen(self, latent: Tensor, step: int) -> Seen:
        return super().seen(self.own.pop(step, latent), step)


class AttentionGuidance:
    """x ← x - λ ∇_x Σ_layers ‖A - A_ref‖², summed over pixels and tokens, averaged over heads and rows.

    The reference is sampled step by step beside the target, in network calls of the same layout: equal rows
    have equal maps bit for bit, one step's maps are all that is ever kept, and the gradient goes back through
    the target's rows only. Each of them has its own gradient; `carried` says which the branch goes on with.
    """

    def __init__(
        self, model: Model, grid: Grid, rate: float, *, carried: Carried, reference: Branch, target: Branch
    ) -> None:
        self.model, self.grid, self.rate, self.carried = model, grid, rate, carried
        self._pairs = paired(target, reference)
        self._maps: dict[tuple[Site, str], Tensor] = {}
        self._terms: list[Tensor] = []
        sites = frozenset(site for site in model.sites if site.kind == "cross")
        steps = range(grid.steps if rate else 0)
        self.watching = Plan((Hook(sites, steps, tuple(dict.fromkeys(self._pairs.values())), self._keep),))
        """The plan to sample the reference under."""
        self.comparing = Plan((Hook(sites, steps, tuple(self._pairs), self._compare),))
        self.stepping = Plan((Hook(sites, steps, tuple(self._pairs), lambda *_: {}),))
        """The plan to sample the branch under: idle, but with the softmax the reference goes through."""
        self._last = ApartRow(**vars(target.rows[-1]))
        self.target = replace(target, rows=(*target.rows[:-1], self._last))
        """The branch to sample."""

    def corrected(self, x: Tensor, i: int, title: str) -> Tensor:
        """The target's latent for step i, (1, C, h, w), once the reference has taken that step.

        Raises `MethodError` in the name of `title` if the model has no such attention.
        """
        rows = self.target.rows
        with torch.enable_grad():
            own = [x.detach().requires_grad_() for _ in rows]
            seen = {row.name: row.seen(each, i) for row, each in zip(rows, own, strict=True)}
            self._terms.clear()
            self.model.denoiser(seen, self.grid.levels[i], plan=self.comparing, step=i)
            self.comparing.check_acted(title, i)
            loss = torch.stack(self._terms).sum() / len(rows)
            slopes = gradient(self.model, loss, own, rows=len(rows))
        self._terms.clear()
        if self.carried == "both":
            return x - self.rate * torch.stack(slopes).sum(0)
        first, last = x - self.rate * slopes[0], x - self.rate * slopes[-1]
        if self.carried == "conditional half":
            return last
        self._last.own[i] = last
        return first

    def _keep(self, probabilities: Probabilities, site: Site, step: int) -> Probabilities:
        self._maps |= {(site, row): A.float() for row, A in probabilities.items()}
        return {}

    def _compare(self, probabilities: Probabilities, site: Site, step: int) -> Probabilities:
        for row, other in self._pairs.items():
            difference = probabilities[row].float() - self._maps[site, other]
            self._terms.append(difference.square().sum((-2, -1)).mean())
        return {}
