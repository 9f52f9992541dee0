"""What an inversion delivers, and the loop most inverters share."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from sfumato.diffusion.denoiser import Row
from sfumato.diffusion.schedule import Grid
from sfumato.diffusion.text import Text
from sfumato.errors import MethodError
from sfumato.method import Progress

if TYPE_CHECKING:
    from sfumato.models.model import Model


_TENSORS = ("x0", "trajectory", "context", "pooled", "value_context", "noise", "reconstruction")


@dataclass(frozen=True, eq=False, kw_only=True)
class Inversion:
    """A picture dissolved into latents, with all an editor needs to bring it back changed.

    An editor uses THIS grid. Latents are float32, (C, h, w) per level.
    """

    x0: Tensor
    """(1, C, h, w)"""
    grid: Grid
    prompt: str
    """The prompt it was made with."""
    trajectory: Tensor | None = None
    """(S + 1, C, h, w): trajectory[i] is the picture at grid.levels[i]; the last is x0."""
    pin: bool = False
    """Assign the source row to the trajectory after every step (direct inversion)."""
    context: Tensor | None = None
    """(S, L, D) unconditional embeddings per step (null-text, negative-prompt)."""
    pooled: Tensor | None = None
    """(1, D') pooled text that goes with `context`, for models with a second text encoder."""
    value_context: Tensor | None = None
    """(S, L, D): what the source's cross-attention makes its values of (StyleDiffusion)."""
    noise: Tensor | None = None
    """(S, C, h, w) noise maps z_t (edit-friendly DDPM)."""
    guidance: float = 1.0
    """The guidance it was made for."""
    reconstruction: Tensor | None = None
    """(1, C, h, w): what sampling it back at its own guidance gives, if that was measured."""

    def at(self, i: int) -> Tensor:
        """(1, C, h, w) at grid.levels[i]. Raises `MethodError` if no trajectory was kept."""
        if self.trajectory is None:
            raise MethodError("This inversion keeps no trajectory, so nothing can start from it.")
        return self.trajectory[i : i + 1]

    def to_tensors(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Split into tensors and JSON-able values, for the store."""
        tensors = {
            name: value.contiguous() for name in _TENSORS if (value := getattr(self, name)) is not None
        }
        return tensors, {
            "levels": list(self.grid.levels),
            "prompt": self.prompt,
            "pin": self.pin,
            "guidance": self.guidance,
        }

    @classmethod
    def from_tensors(cls, tensors: dict[str, Tensor], values: dict[str, Any]) -> Inversion:
        """The inverse of `to_tensors`, bit for bit."""
        grid = Grid(tuple(values["levels"]))
        return cls(
            grid=grid,
            prompt=str(values["prompt"]),
            pin=bool(values["pin"]),
            guidance=float(values["guidance"]),
            **{name: tensors[name] for name in _TENSORS if name in tensors},
        )


def invert_ddim(
    model: Model, x0: Tensor, text: Text, grid: Grid, *, adjust: Callable[[Tensor], Tensor] | None = None
) -> Generator[Progress, None, Tensor]:
    """DDIM inversion at guidance 1: x*_t = D(x*_prev, ε_θ(x*_prev, t, c); prev→t), from clean to noisy.

    The latent of the lower level is shown to the network with the time of the higher one, as everywhere in
    this family (Mokady et al. 2023, section 3.1). One row per step. `adjust` may give each predicted noise
    (1, C, h, w) another form (`regularise.Regulariser`). Returns the trajectory (S + 1, C, h, w).
    """
    x, passed = x0, [x0]
    for i in reversed(range(grid.steps)):
        low, high = grid.levels[i + 1], grid.levels[i]
        eps = model.denoiser({"src.c": Row("src.c", text).seen(x, i)}, high, step=i)["src.c"]
        if adjust is not None:
            eps = adjust(eps)
        preview = model.schedule.x0hat(x, eps, max(low, 0))
        x = model.schedule.move(x, eps, low, high)
        passed.append(x)
        yield Progress(grid.steps - i, grid.steps, "Inverting", preview)
    return torch.cat(passed[::-1])


def reconstruct(model: Model, start: Tensor, text: Text, grid: Grid) -> Generator[Progress, None, Tensor]:
    """Sample back at guidance 1: what a plain inversion really gives. Returns (1, C, h, w)."""
    x = start
    for i in range(grid.steps):
        here, there = grid.levels[i], grid.levels[i + 1]
        eps = model.denoiser({"src.c": Row("src.c", text).seen(x, i)}, here, step=i)["src.c"]
        preview = model.schedule.x0hat(x, eps, here)
        x = model.schedule.move(x, eps, here, there)
        yield Progress(i + 1, grid.steps, "Checking the inversion", preview)
    return x
