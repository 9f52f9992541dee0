"""ControlNet: a copy of the encoder reads a control image and adds what it sees to the skips of the U-Net.

Zhang, Rao, Agrawala: Adding Conditional Control to Text-to-Image Diffusion Models, 2023.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor, nn

from sfumato.diffusion.branches import Branch
from sfumato.diffusion.denoiser import Control


@dataclass(frozen=True, eq=False)
class ControlNet:
    """A loaded ControlNet that fits the model it was loaded for."""

    name: str
    network: nn.Module
    weights_hash: str

    @property
    def pools(self) -> bool:
        """Whether its residuals are averaged over the picture; such networks always work in guess mode."""
        network: Any = self.network
        return bool(network.config.global_pool_conditions)


@dataclass(frozen=True, eq=False)
class Steering:
    """Residuals of one ControlNet for one control image, times `scale`, during some of the steps."""

    net: ControlNet
    image: Tensor
    """(1, 3, H, W) in [0, 1]"""
    scale: float
    steps: range
    guess: bool = False
    """Scale the residuals from 0.1 at the first skip to 1 at the middle, evenly in their logarithm."""

    def __call__(
        self, x: Tensor, level: float, context: Tensor, step: int, added: Mapping[str, Tensor] | None
    ) -> tuple[Sequence[Tensor], Tensor] | None:
        """As `denoiser.Control`; nothing is run outside the steps or at scale 0."""
        if step not in self.steps or self.scale == 0:
            return None
        network: Any = self.net.network
        down, middle = network(
            x,
            level,
            encoder_hidden_states=context,
            controlnet_cond=self.image.to(x.dtype).expand(len(x), -1, -1, -1),
            conditioning_scale=self.scale,
            added_cond_kwargs=added,
            guess_mode=self.guess,
            return_dict=False,
        )
        return down, middle


def open_steps(start: float, end: float, steps: int) -> range:
    """Steps i with start ≤ i/S and (i + 1)/S ≤ end, as diffusers' pipelines gate a ControlNet."""
    inside = [i for i in range(steps) if i / steps >= start and (i + 1) / steps <= end]
    return range(inside[0], inside[-1] + 1) if inside else range(0)


def steered(branch: Branch, controls: tuple[Control, ...], *, conditional_only: bool = False) -> Branch:
    """The branch with controls on its rows; on the last, the conditional one, alone if asked for."""
    first = len(branch.rows) - 1 if conditional_only else 0
    rows = tuple(replace(row, controls=controls) if k >= first else row for k, row in enumerate(branch.rows))
    return replace(branch, rows=rows)
