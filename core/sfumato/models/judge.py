"""The network that reads what a picture of the starter's world shows.

`packaging/starter_model` trains it (stage `evaluate`) and checks it on held-out pictures. It is kept as a
folder: `config.json` with the words it knows, and `model.safetensors`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn import functional

from sfumato.benchmark.judge import Reading
from sfumato.errors import ModelError
from sfumato.files.atomic import write_atomically
from sfumato.models.tensors import read_tensors

WEIGHTS, CONFIG = "model.safetensors", "config.json"
SIDE = 128
"""Pixels it was trained at; other pictures are resized to that."""
_AT_ONCE = 32


@dataclass(frozen=True)
class Words:
    """What it can read. Objects and colours have one answer more: none of these."""

    objects: tuple[str, ...]
    colours: tuple[str, ...]
    backgrounds: tuple[str, ...]
    layouts: tuple[str, ...]

    @property
    def sizes(self) -> tuple[int, ...]:
        """The numbers of answers: two objects, their colours, background, layout."""
        things, colours = len(self.objects) + 1, len(self.colours) + 1
        return things, things, colours, colours, len(self.backgrounds), len(self.layouts)


class Block(nn.Module):
    """A residual block that halves the picture."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(before, after, 3, 2, 1)
        self.second = nn.Conv2d(after, after, 3, 1, 1)
        self.norms = nn.ModuleList([nn.GroupNorm(8, after), nn.GroupNorm(8, after)])
        self.short = nn.Conv2d(before, after, 1, 2)

    def forward(self, x: Tensor) -> Tensor:
        """(n, before, H, W) -> (n, after, H/2, W/2)."""
        inner = functional.silu(self.norms[0](self.first(x)))
        return functional.silu(self.short(x) + self.norms[1](self.second(inner)))


class Judge(nn.Module):
    """Six answers from one trunk: first and second object, their colours, the background, the layout."""

    def __init__(self, widths: Sequence[int], words: Words) -> None:
        super().__init__()
        self.words, self.widths = words, tuple(widths)
        self.name = "judge"
        self.trunk = nn.Sequential(*(Block(a, b) for a, b in pairwise((3, *widths))))
        # Pooled to 2 x 2, so that left and right, above and below are told apart.
        self.heads = nn.ModuleList([nn.Linear(widths[-1] * 4, size) for size in words.sizes])

    def forward(self, pictures: Tensor) -> tuple[Tensor, ...]:
        """Logits of the six answers for (n, 3, H, W) in [-1, 1]."""
        features = functional.adaptive_avg_pool2d(self.trunk(pictures), 2).flatten(1)
        return tuple(head(features) for head in self.heads)

    @torch.no_grad()
    def read(self, pixels: NDArray[np.uint8]) -> list[Reading]:
        """What it sees in pictures (n, H, W, 3) uint8."""
        device = next(self.parameters()).device
        answers: list[tuple[int, ...]] = []
        for part in np.array_split(pixels, max(1, len(pixels) // _AT_ONCE)):
            logits = self(_seen(part).to(device))
            answers.extend(zip(*(each.argmax(1).tolist() for each in logits), strict=True))
        return [self._reading(answer) for answer in answers]

    def _reading(self, answer: Sequence[int]) -> Reading:
        objects, colours = (*self.words.objects, None), (*self.words.colours, None)
        a, b, c, d, background, layout = answer
        return Reading(
            (objects[a], objects[b]),
            (colours[c], colours[d]),
            self.words.backgrounds[background],
            self.words.layouts[layout],
        )


def _seen(pixels: NDArray[np.uint8]) -> Tensor:
    """(n, H, W, 3) uint8 -> (n, 3, SIDE, SIDE) in [-1, 1]."""
    pictures = torch.from_numpy(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))).float() / 127.5 - 1
    if pictures.shape[-2:] == (SIDE, SIDE):
        return pictures
    return functional.interpolate(pictures, (SIDE, SIDE), mode="bilinear", antialias=True)


def save_judge(judge: Judge, folder: Path) -> None:
    """Write weights in half precision and configuration. Raises `StorageError`."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = {name: tensor.half().contiguous() for name, tensor in judge.state_dict().items()}
    config = {"widths": judge.widths, **asdict(judge.words)}
    for name, content in ((WEIGHTS, save(weights)), (CONFIG, json.dumps(config, indent=1).encode())):
        with write_atomically(folder / name) as file:
            file.write(content)


def load_judge(folder: Path) -> Judge:
    """Read what `save_judge` wrote. Raises `ModelError` if it is not there, damaged or something else."""
    try:
        config = json.loads((folder / CONFIG).read_text("utf-8"))
        words = Words(*(tuple(map(str, config[field])) for field in Words.__dataclass_fields__))
        judge = Judge([int(width) for width in config["widths"]], words)
    except (OSError, ValueError, TypeError, KeyError, IndexError) as error:
        raise ModelError(
            f"{folder} holds no reader of attributes that this version knows.",
            advice="Give the folder that `python -m starter_model evaluate` made.",
        ) from error
    tensors = read_tensors(folder / WEIGHTS, "reader of attributes")
    try:
        judge.load_state_dict({name: tensor.float() for name, tensor in tensors.items()})
    except RuntimeError as error:
        raise ModelError(f"The weights in {folder} do not fit its {CONFIG}; it is damaged.") from error
    digest = hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()
    judge.name = f"judge of the starter's world, {digest[:8]}"
    return judge.eval().requires_grad_(False)
