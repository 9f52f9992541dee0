"""The network that reads what a picture of the starter's world shows.

`packaging/starter_model` trains it (stage `judge`) and checks it on held-out pictures. It is kept as a
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
_HALVINGS = 4
"""Blocks that halve the picture; those after them keep its 8 x 8 places."""
_PLACES = (SIDE >> _HALVINGS) ** 2


@dataclass(frozen=True)
class Words:
    """What it can read. Objects and colours have one answer more: none of these."""

    objects: tuple[str, ...]
    colours: tuple[str, ...]
    backgrounds: tuple[str, ...]
    layouts: tuple[str, ...]

    @property
    def sizes(self) -> tuple[int, int, int, int]:
        """The numbers of answers: an object, its colour, the background, the layout."""
        return len(self.objects) + 1, len(self.colours) + 1, len(self.backgrounds), len(self.layouts)


class Block(nn.Module):
    """A residual block, one place of whose answer stands for `stride` x `stride` places before."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(before, after, 3, stride, 1)
        self.second = nn.Conv2d(after, after, 3, 1, 1)
        self.norms = nn.ModuleList([nn.GroupNorm(8, after), nn.GroupNorm(8, after)])
        self.short = nn.Conv2d(before, after, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        """(n, before, H, W) -> (n, after, H/stride, W/stride)."""
        inner = functional.silu(self.norms[0](self.first(x)))
        return functional.silu(self.short(x) + self.norms[1](self.second(inner)))


class Glance(nn.Module):
    """Looks for the first thing and for the second: each is a mean of places, or of none.

    What it finds is read by the same words for both, so that a word learnt alone is known in company.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.where = nn.Parameter(torch.randn(width, _PLACES) * 0.02)
        self.nothing = nn.Parameter(torch.randn(width, 1) * 0.02)
        self.query = nn.Linear(width, 2)
        self.nowhere = nn.Parameter(torch.zeros(2))

    def forward(self, features: Tensor) -> Tensor:
        """(n, width, 8, 8) -> (n, 2, width)."""
        seen = features.flatten(2)
        scores = self.query((seen + self.where).transpose(1, 2)).transpose(1, 2).float()
        scores = torch.cat([scores, self.nowhere.expand(len(seen), 2).unsqueeze(2)], 2)
        found = torch.cat([seen.float(), self.nothing.expand(len(seen), -1, 1)], 2)
        return scores.softmax(2) @ found.transpose(1, 2)


class Judge(nn.Module):
    """Six answers from one trunk: first and second object, their colours, the background, the layout.

    Raises `ValueError` for fewer than four widths.
    """

    def __init__(self, widths: Sequence[int], words: Words) -> None:
        super().__init__()
        if len(widths) < _HALVINGS:
            raise ValueError(f"a judge of fewer than {_HALVINGS} blocks")
        self.words, self.widths = words, tuple(widths)
        self.name = "judge"
        strides = (2 if place < _HALVINGS else 1 for place in range(len(widths)))
        blocks = (Block(a, b, by) for (a, b), by in zip(pairwise((3, *widths)), strides, strict=True))
        self.trunk = nn.Sequential(*blocks)
        self.glance = Glance(widths[-1])
        things, colours, backgrounds, layouts = words.sizes
        self.thing = nn.Linear(widths[-1], things)
        self.colour = nn.Linear(widths[-1], colours)
        # Pooled to 2 x 2, so that left and right, above and below are told apart.
        self.background = nn.Linear(widths[-1] * 4, backgrounds)
        self.layout = nn.Linear(widths[-1] * 4, layouts)

    def forward(self, pictures: Tensor) -> tuple[Tensor, ...]:
        """Logits of the six answers for (n, 3, SIDE, SIDE) in [-1, 1]."""
        features = self.trunk(pictures)
        things = self.glance(features)
        quarters = functional.adaptive_avg_pool2d(features, 2).flatten(1)
        words, colours = self.thing(things), self.colour(things)
        return (*words.unbind(1), *colours.unbind(1), self.background(quarters), self.layout(quarters))

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
            advice="Give the folder that `python -m starter_model judge` made.",
        ) from error
    tensors = read_tensors(folder / WEIGHTS, "reader of attributes")
    try:
        judge.load_state_dict({name: tensor.float() for name, tensor in tensors.items()})
    except RuntimeError as error:
        raise ModelError(f"The weights in {folder} do not fit its {CONFIG}; it is damaged.") from error
    digest = hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()
    judge.name = f"judge of the starter's world, {digest[:8]}"
    return judge.eval().requires_grad_(False)
