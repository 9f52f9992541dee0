"""The judge: a small classifier that reads what a picture shows, or says "none of these"."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from starter_model.config import JudgeSettings
from starter_model.recolour import COLOURS
from starter_model.spoiled import Examples
from starter_model.vae import to_tensor
from starter_model.world import BACKGROUNDS, PLACES, RELATIONS, SIZES, Scene

SKIP = -100  # a label that is not judged
LAYOUTS = (*(f"{size} {place}" for size in SIZES for place in PLACES), *RELATIONS)


def layout(scene: Scene) -> str | None:
    """The layout of one thing (size and place) or of two (relation); None where a thing is hidden."""
    if scene.hidden is not None:
        return None
    return scene.relation or f"{scene.size} {scene.place}"


@dataclass(frozen=True)
class Reading:
    """What a picture shows; None where it is none of the words (or, second, nothing)."""

    objects: tuple[str | None, str | None]
    colours: tuple[str | None, str | None]
    background: str
    layout: str


class Block(nn.Module):
    """A residual block that halves the picture."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(before, after, 3, 2, 1)
        self.second = nn.Conv2d(after, after, 3, 1, 1)
        self.norms = nn.ModuleList([nn.GroupNorm(8, after), nn.GroupNorm(8, after)])
        self.short = nn.Conv2d(before, after, 1, 2)

    def forward(self, x: Tensor) -> Tensor:
        """(n, before, H, W) to (n, after, H/2, W/2)."""
        inner = functional.silu(self.norms[0](self.first(x)))
        return functional.silu(self.short(x) + self.norms[1](self.second(inner)))


class Judge(nn.Module):
    """Six answers from one trunk: first and second object, their colours, the background, the layout."""

    def __init__(self, settings: JudgeSettings, words: tuple[str, ...]) -> None:
        super().__init__()
        widths = (3, *settings.widths)
        self.words = words
        self.trunk = nn.Sequential(*(Block(a, b) for a, b in pairwise(widths)))
        # Pooled to 2 × 2, so that left and right, above and below are told apart.
        features = settings.widths[-1] * 4
        things, colours = len(words) + 1, len(COLOURS) + 1
        sizes = (things, things, colours, colours, len(BACKGROUNDS), len(LAYOUTS))
        self.heads = nn.ModuleList([nn.Linear(features, size) for size in sizes])

    def forward(self, pictures: Tensor) -> tuple[Tensor, ...]:
        """Logits of the six answers for (n, 3, H, W) in [-1, 1]."""
        features = functional.adaptive_avg_pool2d(self.trunk(pictures), 2).flatten(1)
        return tuple(head(features) for head in self.heads)


def labels(scene: Scene, words: tuple[str, ...], *, spoiled: bool = False) -> tuple[int, ...]:
    """The six right answers; a spoiled picture shows none of the words, in no colour worth judging."""
    background = BACKGROUNDS.index(scene.background)
    if spoiled:
        return (len(words), len(words), SKIP, SKIP, background, SKIP)
    objects, colours = [len(words)] * 2, [SKIP] * 2
    for place, thing in enumerate(scene.shown):
        objects[place] = words.index(thing.word)
        colours[place] = COLOURS.index(thing.colour) if thing.colour in COLOURS else len(COLOURS)
    stands = layout(scene)
    return (*objects, *colours, background, SKIP if stands is None else LAYOUTS.index(stands))


@torch.no_grad()
def read(judge: Judge, pixels: NDArray[np.uint8]) -> list[Reading]:
    """What the judge sees in pictures (n, H, W, 3)."""
    device = next(judge.parameters()).device
    rows = []
    for part in np.array_split(pixels, max(1, len(pixels) // 32)):
        answers = judge(to_tensor(part).to(device))
        rows.extend(zip(*(logits.argmax(1).tolist() for logits in answers), strict=True))
    words, colours = (*judge.words, None), (*COLOURS, None)
    return [
        Reading((words[a], words[b]), (colours[c], colours[d]), BACKGROUNDS[e], LAYOUTS[f])
        for a, b, c, d, e, f in rows
    ]


def agrees(expected: list[dict[str, Any]], reading: Reading) -> bool:
    """Whether a reading holds everything that `starter_model.cases` says a good result must."""
    return all(_holds(each, reading) for each in expected)


def _holds(wanted: dict[str, Any], reading: Reading) -> bool:
    what, value = wanted["what"], wanted["value"]
    if what == "absent":
        return value not in reading.objects
    if what in ("background", "layout"):
        return getattr(reading, what) == value
    return {"object": reading.objects, "colour": reading.colours}[what][wanted["thing"]] == value


@dataclass(frozen=True)
class Score:
    """Shares of right answers over some pictures."""

    objects: float  # every object of the picture right
    colours: float  # of the things that have one of the seven colours
    background: float
    layout: float


def score(readings: list[Reading], scenes: list[Scene]) -> Score:
    """How many readings agree with their scenes."""
    objects, colours, backgrounds, layouts = [], [], [], []
    for reading, scene in zip(readings, scenes, strict=True):
        wanted = tuple(thing.word for thing in scene.shown)
        objects.append(reading.objects[: len(wanted)] == wanted)
        pairs = zip(reading.colours, scene.shown, strict=False)
        colours.extend(seen == thing.colour for seen, thing in pairs if thing.colour in COLOURS)
        backgrounds.append(reading.background == scene.background)
        layouts.extend([reading.layout == layout(scene)] if layout(scene) else [])
    shares = (objects, colours, backgrounds, layouts)
    share = [round(float(np.mean(found)), 4) if found else 1.0 for found in shares]
    return Score(*share)


class JudgeTask:
    """Trains the judge on fresh renders, VAE round trips and spoiled pictures."""

    name = "judge"

    def __init__(self, settings: JudgeSettings, examples: Examples, share: int) -> None:
        self.settings, self.examples = settings, examples
        self.share = max(1, settings.batch // share)
        self.views, self.rate, self.keep = settings.views, settings.learning_rate, settings.average
        self.model = Judge(settings, examples.words)

    def loss(self, rng: np.random.Generator, worker: int, progress: float) -> tuple[Tensor, int]:
        """The six cross-entropies, summed."""
        device = next(self.model.parameters()).device
        drawn = [self.examples.draw(rng) for _ in range(self.share)]
        rows = [labels(scene, self.examples.words, spoiled=spoiled) for _, scene, spoiled in drawn]
        wanted = torch.tensor(rows, device=device)
        pictures = to_tensor(np.stack([pixels for pixels, _, _ in drawn])).to(device)
        with torch.autocast(device.type, torch.bfloat16):
            answers = self.model(pictures)
        total = torch.zeros((), device=device)
        for column, logits in enumerate(answers):
            judged = wanted[:, column] != SKIP
            if judged.any():
                total = total + functional.cross_entropy(logits.float()[judged], wanted[judged, column])
        return total, self.share

    def check(self) -> dict[str, float]:
        """Right answers on held-out renders and round trips, and how many spoiled pictures are refused."""
        found: dict[str, float] = {}
        for name, (pixels, scenes) in self.examples.held_out.items():
            result = score(read(self.model, pixels), scenes)
            found |= {
                f"{name}_objects": result.objects,
                f"{name}_colours": result.colours,
                f"{name}_background": result.background,
                f"{name}_layout": result.layout,
            }
        refused = [reading.objects[0] is None for reading in read(self.model, self.examples.spoiled)]
        return {**found, "refused": round(float(np.mean(refused)), 4)}
