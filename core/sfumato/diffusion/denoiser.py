"""Named rows in, predicted noise out: the one place that calls the network."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sfumato.diffusion.attention import Plan, attention
from sfumato.diffusion.schedule import Schedule
from sfumato.diffusion.text import Text
from sfumato.errors import MethodError


class Stopped(Exception):
    """Raised inside the network when a stop was asked for."""


class StopFlag:
    """Looked at before every block, so that a stop does not wait for a whole step of a large model."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def set(self) -> None:
        self._event.set()

    def clear(self) -> None:
        self._event.clear()

    def check(self) -> None:
        if self._event.is_set():
            raise Stopped

    def guard(self, blocks: Sequence[nn.Module]) -> None:
        """Have each of `blocks` look at the flag before it runs."""
        for block in blocks:
            block.register_forward_pre_hook(lambda *_: self.check())


@dataclass
class Counters:
    """Row evaluations of the network: how many went forward, how many were differentiated."""

    forward: int = 0
    backward: int = 0


@dataclass(frozen=True, eq=False)
class Row:
    """One evaluation: the network looks at a branch's latent with this text in mind.

    `text` may hold one text per step (null-text inversion's ∅_t).
    """

    name: str
    text: Text | Tensor | Sequence[Tensor]

    def embeddings(self, step: int) -> Tensor:
        """(1, L, D) at a step."""
        text = self.text if isinstance(self.text, Text | Tensor) else self.text[step]
        return text.embeddings if isinstance(text, Text) else text


Combine = Callable[[Mapping[str, Tensor]], Tensor]
"""Rows' noise predictions -> the branch's; InstructPix2Pix and LEDITS++ are linear combinations too."""


def guided(uncond: str, cond: str, w: float) -> Combine:
    """Classifier-free guidance: ε_∅ + w (ε_c - ε_∅) (Ho & Salimans 2022)."""
    return lambda eps: eps[uncond] + w * (eps[cond] - eps[uncond])


@dataclass(frozen=True, eq=False)
class Denoiser:
    """ε_θ(x_t, t, c) for a batch of rows, whatever the network predicts and whatever precision it runs in."""

    unet: nn.Module
    schedule: Schedule
    counters: Counters
    dtype: torch.dtype

    def __call__(
        self,
        rows: Mapping[str, tuple[Tensor, Tensor]],
        level: int,
        *,
        plan: Plan | None = None,
        step: int = 0,
    ) -> dict[str, Tensor]:
        """Predict the noise of each row.

        `rows` maps a name to (latent (1, C, h, w), embeddings (1, L, D)); all are computed in one batch, in
        the order given. Returns float32 (1, C, h, w) per row.
        """
        if not rows:
            return {}
        x = torch.cat([latent for latent, _ in rows.values()])
        context = torch.cat([embeddings for _, embeddings in rows.values()])
        with attention(self.unet, plan, step, tuple(rows)):
            out = self.unet(
                x.to(self.dtype), level, encoder_hidden_states=context.to(self.dtype), return_dict=False
            )[0]
        self.counters.forward += len(rows)
        eps = self.schedule.epsilon(out.float(), x, level)
        if not torch.isfinite(eps).all():
            raise MethodError(
                f"The network lost its numbers (NaN) at step {step + 1}.",
                kept="Your picture is unchanged.",
                advice="Try a lower guidance, or full precision (fp32).",
            )
        return {name: eps[k : k + 1] for k, name in enumerate(rows)}
