"""What an inversion delivers, and the loop most inverters share."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from sfumato.diffusion.denoiser import Row, alone, guided
from sfumato.diffusion.proximal import Proximal
from sfumato.diffusion.schedule import Grid
from sfumato.diffusion.text import Text
from sfumato.errors import MethodError
from sfumato.method import Progress

if TYPE_CHECKING:
    from sfumato.models.model import Model


_TENSORS = (
    "x0",
    "trajectory",
    "context",
    "pooled",
    "value_scale",
    "value_shift",
    "noise",
    "x0hat",
    "reconstruction",
)
_VALUES = ("pin", "pull", "single_branch", "value_share", "guidance", "seconds")
_MAPS = "maps "
"""How the names of recorded attention maps begin in a file."""


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
    """(S + 1, C, h, w): trajectory[i] is the picture at grid.levels[i]; the last is x0, or where a lossy
    inversion ends in its place."""
    pin: bool = False
    """Assign the source row to the trajectory after every step (direct inversion)."""
    pull: tuple[float, ...] | None = None
    """(S,) With `pin`: only draw the source row this far towards the trajectory after each step."""
    context: Tensor | None = None
    """(S, L, D) unconditional embeddings per step (null-text, negative-prompt)."""
    single_branch: bool = False
    """Only the source's branch is led away from `context`, the others from the negative prompt."""
    pooled: Tensor | None = None
    """(1, D') pooled text that goes with `context`, for models with a second text encoder."""
    value_scale: Tensor | None = None
    """(S, L, D) γ_t: a branch's cross-attention makes its values of γ ⊙ c + β of its own text c
    (StyleDiffusion)."""
    value_shift: Tensor | None = None
    """(S, L, D) β_t"""
    value_share: float = 1.0
    """Other branches than the source's do so for this share of the steps, from the noisiest on."""
    noise: Tensor | None = None
    """(S, C, h, w) noise maps z_t (edit-friendly DDPM)."""
    x0hat: Tensor | None = None
    """(S, C, h, w): what each step saw behind the noise, where the maps are for a solver that looks back: an
    edit that starts later would have nothing to look back on."""
    guidance: float = 1.0
    """The guidance it was made for."""
    proximal: Proximal | None = None
    """How much of what guidance would change the edits of it may change."""
    reconstruction: Tensor | None = None
    """(1, C, h, w): what sampling it back at its own guidance gives, if that was measured."""
    maps: Mapping[tuple[int, int], Tensor] = field(default_factory=dict)
    """(h', w') -> (3, W, h', w'): where each word looked, by thirds of the steps, if that was recorded."""
    seconds: float | None = None
    """How long it took to make, for those who find it made."""

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
        tensors |= {f"{_MAPS}{h}x{w}": maps.contiguous() for (h, w), maps in self.maps.items()}
        return tensors, {
            "prompt": self.prompt,
            **{name: getattr(self, name) for name in _VALUES},
            "grid": asdict(self.grid),
            "proximal": None if self.proximal is None else asdict(self.proximal),
        }

    @classmethod
    def from_tensors(cls, tensors: dict[str, Tensor], values: dict[str, Any]) -> Inversion:
        """The inverse of `to_tensors`, bit for bit."""
        grid, pull, proximal = values["grid"], values["pull"], values["proximal"]
        kept: dict[str, Any] = {name: values[name] for name in _VALUES}
        kept["grid"] = Grid(**grid | {"levels": tuple(grid["levels"])})
        kept["pull"] = None if pull is None else tuple(pull)
        kept["proximal"] = None if proximal is None else Proximal(**proximal)
        kept |= {name: tensors[name] for name in _TENSORS if name in tensors}
        recorded = {name.removeprefix(_MAPS): name for name in tensors if name.startswith(_MAPS)}
        kept["maps"] = {_shape(shape): tensors[name] for shape, name in recorded.items()}
        return cls(prompt=str(values["prompt"]), **kept)


def _shape(text: str) -> tuple[int, int]:
    height, _, width = text.partition("x")
    return int(height), int(width)


Predict = Callable[[Tensor, int], Tensor]
"""(x, i) -> ε (1, C, h, w): the noise of step i in a latent."""


def predictor(model: Model, text: Text, grid: Grid, *, w: float = 1.0) -> Predict:
    """ε^w of the source: one row at guidance 1 (the text alone) and 0 (no text), two otherwise."""
    uncond, cond = Row("src.u", model.text("")), Row("src.c", text)
    if w in (0, 1) or text.prompt == "":
        rows = (uncond,) if w == 0 else (cond,)
        combine = alone(rows[0].name)
    else:
        rows, combine = (uncond, cond), guided("src.u", "src.c", w)

    def predict(x: Tensor, i: int) -> Tensor:
        seen = {row.name: row.seen(x, i) for row in rows}
        return combine(model.denoiser(seen, grid.levels[i], step=i), i)

    return predict


def climbed(model: Model, x0: Tensor, grid: Grid, predict: Predict) -> Generator[Progress, None, Tensor]:
    """x*_t = D(x*_prev, predict(x*_prev); prev→t), from clean to noisy: the trajectory (S + 1, C, h, w)."""
    x, passed = x0, [x0]
    for i in reversed(range(grid.steps)):
        low, high = grid.levels[i + 1], grid.levels[i]
        eps = predict(x, i)
        preview = model.schedule.x0hat(x, eps, max(low, 0))
        x = model.schedule.move(x, eps, low, high)
        passed.append(x)
        yield Progress(grid.steps - i, grid.steps, "Inverting", preview)
    return torch.cat(passed[::-1])


def invert_ddim(
    model: Model,
    x0: Tensor,
    text: Text,
    grid: Grid,
    *,
    w: float = 1.0,
    adjust: Callable[[Tensor], Tensor] | None = None,
) -> Generator[Progress, None, Tensor]:
    """DDIM inversion: x*_t = D(x*_prev, ε_θ(x*_prev, t, c); prev→t), from clean to noisy.

    The latent of the lower level is shown to the network with the time of the higher one, as everywhere in
    this family (Mokady et al. 2023, section 3.1). One row per step at guidance 1. `adjust` may give each
    predicted noise (1, C, h, w) another form (`regularise.Regulariser`). Returns the trajectory
    (S + 1, C, h, w).
    """
    predict = predictor(model, text, grid, w=w)
    if adjust is None:
        return (yield from climbed(model, x0, grid, predict))
    return (yield from climbed(model, x0, grid, lambda x, i: adjust(predict(x, i))))
