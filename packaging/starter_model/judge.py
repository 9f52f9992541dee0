"""The judge: a small classifier that reads what a picture shows, or says "none of these"."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from sfumato.benchmark.judge import Reading
from sfumato.models.judge import Judge, Words
from starter_model.config import JudgeSettings
from starter_model.precision import quickest
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


def labels(scene: Scene, words: tuple[str, ...], spoiled: int | None = None) -> tuple[int, ...]:
    """The six right answers; a spoiled thing is none of the words, in no colour worth judging."""
    objects, colours = [len(words)] * 2, [SKIP] * 2
    for place, thing in enumerate(scene.shown):
        if place != spoiled:
            objects[place] = words.index(thing.word)
            colours[place] = COLOURS.index(thing.colour) if thing.colour in COLOURS else len(COLOURS)
    stands = None if spoiled is not None else layout(scene)
    background = BACKGROUNDS.index(scene.background)
    return (*objects, *colours, background, SKIP if stands is None else LAYOUTS.index(stands))


def reckon(judge: Judge, seen: float, met: float) -> None:
    """Have "none of these" said as often as it is met, not as often as it was seen while learning.

    By Bayes' rule its logit falls by the difference of the two shares' log-odds.
    """
    with torch.no_grad():
        judge.thing.bias[-1] -= math.log(seen / (1 - seen)) - math.log(met / (1 - met))


@dataclass(frozen=True)
class Score:
    """Shares of right answers over some pictures."""

    objects: float  # the picture shows its objects, in their order, and no other
    colours: float  # of the things that have one of the seven colours
    background: float
    layout: float
    any_order: float  # as `objects`, whichever is first


def score(readings: list[Reading], scenes: list[Scene]) -> Score:
    """How many readings agree with their scenes."""
    objects, colours, backgrounds, layouts, unordered = [], [], [], [], []
    for reading, scene in zip(readings, scenes, strict=True):
        first, second, *_ = (*(thing.word for thing in scene.shown), None, None)
        objects.append(reading.objects == (first, second))
        unordered.append(reading.objects in ((first, second), (second, first)))
        pairs = zip(reading.colours, scene.shown, strict=False)
        colours.extend(seen == thing.colour for seen, thing in pairs if thing.colour in COLOURS)
        backgrounds.append(reading.background == scene.background)
        layouts.extend([reading.layout == layout(scene)] if layout(scene) else [])
    shares = (objects, colours, backgrounds, layouts, unordered)
    share = [round(float(np.mean(found)), 4) if found else 1.0 for found in shares]
    return Score(*share)


class JudgeTask:
    """Trains the judge on fresh renders, VAE round trips and spoiled pictures."""

    name = "judge"

    def __init__(self, settings: JudgeSettings, examples: Examples, share: int) -> None:
        self.settings, self.examples = settings, examples
        self.share = max(1, settings.batch // share)
        self.views, self.rate, self.keep = settings.views, settings.learning_rate, settings.average
        self.words = examples.spoiler.words
        self.model = build_judge(settings, self.words)

    def loss(self, rng: np.random.Generator, worker: int, progress: float) -> tuple[Tensor, int]:
        """The six cross-entropies, summed."""
        device = next(self.model.parameters()).device
        drawn = [self.examples.draw(rng) for _ in range(self.share)]
        rows = [labels(each.scene, self.words, each.spoiled) for each in drawn]
        wanted = torch.tensor(rows, device=device)
        pictures = to_tensor(np.stack([each.pixels for each in drawn])).to(device)
        with quickest(device):
            answers = self.model(pictures)
        total = torch.zeros((), device=device)
        for column, logits in enumerate(answers):
            judged = wanted[:, column] != SKIP
            if judged.any():
                total = total + functional.cross_entropy(logits.float()[judged], wanted[judged, column])
        return total, self.share

    def check(self) -> dict[str, float]:
        """Right answers on held-out renders and round trips, and the share of spoiled pictures refused."""
        found: dict[str, float] = {}
        for name, (pixels, scenes) in self.examples.held_out.items():
            result = score(self.model.read(pixels), scenes)
            found |= {
                f"{name}_objects": result.objects,
                f"{name}_colours": result.colours,
                f"{name}_background": result.background,
                f"{name}_layout": result.layout,
            }
        for name, pixels in self.examples.refused.items():
            refused = [reading.objects[0] is None for reading in self.model.read(pixels)]
            found[f"refused_{name}"] = round(float(np.mean(refused)), 4)
        return found
