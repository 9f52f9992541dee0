"""Named rows in, predicted noise out: the one place that calls the network."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from math import log
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from sfumato.diffusion.attention import AnyHook, Plan, Site
from sfumato.diffusion.processors import Moment, controlled
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
    """Row evaluations: how many went forward, how many were differentiated, how many a ControlNet saw."""

    forward: int = 0
    backward: int = 0
    control: int = 0


class Control(Protocol):
    """What a ControlNet adds to its rows: residuals for the skips and the middle of the U-Net."""

    def __call__(
        self, x: Tensor, level: float, context: Tensor, step: int, added: Mapping[str, Tensor] | None
    ) -> tuple[Sequence[Tensor], Tensor] | None:
        """Residuals for x (n, C, h, w) with context (n, L, D) at a step; None adds nothing."""
        ...


class Seen(NamedTuple):
    """What the network is shown for one row."""

    latent: Tensor
    """(1, C, h, w)"""
    text: Tensor
    """(1, L, D)"""
    pooled: Tensor | None = None
    """(1, D'), for models with a second text encoder."""
    value_text: Tensor | None = None
    """(1, L, D): cross-attention's values are made of this, its keys of `text`."""
    concat: Tensor | None = None
    """(1, C', h, w): further input channels."""
    controls: tuple[Control, ...] = ()


@dataclass(frozen=True, eq=False)
class Row:
    """One evaluation: the network looks at a branch's latent with this text in mind.

    `text` and `value_text` may hold one entry per step (null-text inversion's ∅_t, StyleDiffusion's c̃_t).
    """

    name: str
    text: Text | Sequence[Text]
    value_text: Sequence[Tensor | None] | None = None
    concat: Tensor | None = None
    controls: tuple[Control, ...] = ()
    """What these add is summed."""

    def seen(self, latent: Tensor, step: int) -> Seen:
        """What the network is shown at a step."""
        text = self.text if isinstance(self.text, Text) else self.text[step]
        valued = None if self.value_text is None else self.value_text[step]
        return Seen(latent, text.embeddings, text.pooled, valued, self.concat, self.controls)


Listener = Callable[[Mapping[str, Seen], int], None]
"""(rows, step): told of every network call before it is made."""

Combine = Callable[[Mapping[str, Tensor], int], Tensor]
"""(rows' noise, step) -> the branch's; InstructPix2Pix and LEDITS++ are linear combinations too."""


def guided(uncond: str, cond: str, w: float) -> Combine:
    """Classifier-free guidance: ε_∅ + w (ε_c - ε_∅) (Ho & Salimans 2022)."""
    return lambda eps, _: eps[uncond] + w * (eps[cond] - eps[uncond])


def alone(row: str) -> Combine:
    """One row and nothing else."""
    return lambda eps, _: eps[row]


@dataclass
class Surroundings:
    """What all rows of a job are shown beside latent and text; set before a method is run."""

    guidance: float = 1.0
    """w, for a network that takes it as an input."""
    concat: Callable[[Tensor], Tensor] | None = None
    """(n, C, h, w) -> (1, C', h, w): input channels for rows that bring none (inpainting models)."""


def guidance_embedding(w: float, width: int) -> Tensor:
    """(1, width): sines and cosines of 1000 (w - 1) (Meng et al. 2023; Luo et al. 2023, section 4.3)."""
    half = width // 2
    frequencies = torch.exp(torch.arange(half) * -(log(10000.0) / (half - 1)))
    angles = 1000.0 * (w - 1) * frequencies
    return torch.nn.functional.pad(torch.cat([angles.sin(), angles.cos()]), (0, width % 2))[None]


@dataclass(frozen=True, eq=False)
class Denoiser:
    """ε_θ(x_t, t, c) for a batch of rows, whatever the network predicts and whatever precision it runs in."""

    unet: nn.Module
    schedule: Schedule
    counters: Counters
    dtype: torch.dtype
    sites: tuple[Site, ...] = ()
    size_scale: int | None = None
    """Pixels per latent cell, for networks that are told the size of the picture (SDXL)."""
    observers: list[AnyHook] = field(default_factory=list)
    """Hooks that watch every call beside its own plan and change nothing."""
    listeners: list[Listener] = field(default_factory=list)
    guidance_width: int | None = None
    """Size of the guidance embedding, for networks that take one (LCM)."""
    surroundings: Surroundings = field(default_factory=Surroundings)

    def __call__(
        self, rows: Mapping[str, Seen], level: float, *, plan: Plan | None = None, step: int = 0
    ) -> dict[str, Tensor]:
        """Predict the noise of each row, all in one batch, in the order given.

        Returns float32 (1, C, h, w) per row. Raises `MethodError` if a number is lost.
        """
        if not rows:
            return {}
        for listener in self.listeners:
            listener(rows, step)
        x = torch.cat([each.latent for each in rows.values()])
        context = torch.cat([each.text for each in rows.values()]).to(self.dtype)
        added = self._added(rows, x)
        inputs = self._with_channels(x, rows).to(self.dtype)
        extra: dict[str, Any] = self._residuals(rows, x, level, context, step, added)
        moment = Moment(step, tuple(rows), _value_text(rows))
        with controlled(self.unet, self._watched(plan), moment, self.sites):
            out = self.unet(
                inputs,
                level,
                encoder_hidden_states=context,
                added_cond_kwargs=added,
                timestep_cond=self._guidance(x),
                return_dict=False,
                **extra,
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

    @contextmanager
    def observed(self, *hooks: AnyHook, on_call: Listener | None = None) -> Iterator[None]:
        """Let hooks watch every call meanwhile, before any plan has acted; tell `on_call` of each."""
        self.observers.extend(hooks)
        listeners = [] if on_call is None else [on_call]
        self.listeners.extend(listeners)
        try:
            yield
        finally:
            for listener in listeners:
                self.listeners.remove(listener)
            for hook in hooks:
                self.observers.remove(hook)

    def _watched(self, plan: Plan | None) -> Plan | None:
        if not self.observers or self._recomputes:
            return plan
        hooks = () if plan is None else plan.hooks
        watching = Plan((*self.observers, *hooks))
        return watching if plan is None else replace(watching, acted=plan.acted)

    @property
    def _recomputes(self) -> bool:
        """Gradient checkpointing runs blocks a second time, when hooks of this call would be gone."""
        return torch.is_grad_enabled() and bool(getattr(self.unet, "is_gradient_checkpointing", False))

    def _added(self, rows: Mapping[str, Seen], x: Tensor) -> dict[str, Tensor] | None:
        """SDXL's further conditions: pooled text, and (height, width, top, left, height, width) in pixels."""
        if self.size_scale is None:
            return None
        pooled = [each.pooled for each in rows.values() if each.pooled is not None]
        size = [side * self.size_scale for side in x.shape[-2:]]
        ids = torch.tensor([[*size, 0, 0, *size]], dtype=self.dtype, device=x.device)
        return {"text_embeds": torch.cat(pooled).to(self.dtype), "time_ids": ids.expand(len(rows), -1)}

    def _guidance(self, x: Tensor) -> Tensor | None:
        if self.guidance_width is None:
            return None
        embedded = guidance_embedding(self.surroundings.guidance, self.guidance_width)
        return embedded.to(x.device, self.dtype).expand(len(x), -1)

    def _with_channels(self, x: Tensor, rows: Mapping[str, Seen]) -> Tensor:
        """The latents, with further channels behind them: a row's own, or what the job shows to all."""
        further = [each.concat for each in rows.values()]
        if self.surroundings.concat is not None and any(each is None for each in further):
            shared = self.surroundings.concat(x)
            further = [shared if each is None else each for each in further]
        brought = [each for each in further if each is not None]
        return torch.cat([x, torch.cat(brought)], dim=1) if brought else x

    def _residuals(
        self,
        rows: Mapping[str, Seen],
        x: Tensor,
        level: float,
        context: Tensor,
        step: int,
        added: Mapping[str, Tensor] | None,
    ) -> dict[str, Any]:
        """What ControlNets add: each is asked once about the rows it is attached to; zeros elsewhere."""
        controls = dict.fromkeys(control for each in rows.values() for control in each.controls)
        total: list[Tensor] | None = None
        for control in controls:
            at = [k for k, each in enumerate(rows.values()) if control in each.controls]
            chosen = None if added is None else {name: value[at] for name, value in added.items()}
            answer = control(x[at].to(self.dtype), level, context[at], step, chosen)
            if answer is None:
                continue
            self.counters.control += len(at)
            parts = [*answer[0], answer[1]]
            if total is None:
                total = [part.new_zeros(len(rows), *part.shape[1:]) for part in parts]
            for whole, part in zip(total, parts, strict=True):
                whole[at] += part
        if total is None:
            return {}
        return {
            "down_block_additional_residuals": tuple(total[:-1]),
            "mid_block_additional_residual": total[-1],
        }


def _value_text(rows: Mapping[str, Seen]) -> Tensor | None:
    """(rows, L, D): each row's own value text or, where it has none, its text; None if no row has one."""
    if all(each.value_text is None for each in rows.values()):
        return None
    return torch.cat([each.text if each.value_text is None else each.value_text for each in rows.values()])
