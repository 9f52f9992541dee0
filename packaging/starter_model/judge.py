"""The judge: a small classifier that reads what a picture shows, or says "none of these"."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from sfumato.benchmark.judge import Reading
from sfumato.models.judge import Judge, Words
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


def build_judge(settings: JudgeSettings, words: tuple[str, ...]) -> Judge:
    """An untrained judge of these words."""
    return Judge(settings.widths, Words(words, COLOURS, BACKGROUNDS, LAYOUTS))


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
        self.model = build_judge(settings, examples.words)

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
            result = score(self.model.read(pixels), scenes)
            found |= {
                f"{name}_objects": result.objects,
                f"{name}_colours": result.colours,
                f"{name}_background": result.background,
                f"{name}_layout": result.layout,
            }
        refused = [reading.objects[0] is None for reading in self.model.read(self.examples.spoiled)]
        return {**found, "refused": round(float(np.mean(refused)), 4)}
