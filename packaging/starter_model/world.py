"""The world: scenes as plain data, their edits, and which combinations are kept from training."""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np

from sfumato.errors import InputError
from starter_model.concepts import concepts
from starter_model.recolour import COLOURS

PLAIN: dict[str, tuple[int, int, int]] = {
    "red": (214, 44, 48),
    "orange": (245, 140, 40),
    "yellow": (250, 214, 60),
    "green": (62, 160, 72),
    "blue": (48, 104, 214),
    "purple": (132, 72, 190),
    "pink": (246, 150, 190),
    "black": (24, 24, 28),
    "white": (246, 246, 246),
    "gray": (140, 142, 146),
    "brown": (128, 82, 48),
}
PLACES_OUTSIDE = (
    "on the grass",
    "in the snow",
    "in the desert",
    "on the beach",
    "in the sea",
    "in the sky",
    "at night",
    "in the forest",
    "at sunset",
)
BACKGROUNDS = (*PLAIN, *PLACES_OUTSIDE)
SIZES = ("normal", "small", "big")
PLACES = ("centre", "left", "right")
RELATIONS = ("beside", "on", "behind")
MOUNTS = ("bicycle", "scooter", "car", "chair", "book", "drum", "horse", "elephant", "turtle", "cake")


@dataclass(frozen=True)
class Thing:
    """One object; `colour` is None where it is not one of the seven (it is then as drawn)."""

    word: str
    colour: str | None = None

    def __post_init__(self) -> None:
        concept = concepts().get(self.word)
        if concept is None:
            raise InputError(f"The world has no {self.word}.")
        if self.colour is None and concept.natural in COLOURS:
            object.__setattr__(self, "colour", concept.natural)
        if self.colour is not None and (concept.natural is None or self.colour not in COLOURS):
            raise InputError(f"A {self.word} cannot be {self.colour}.")


@dataclass(frozen=True)
class Scene:
    """What a picture shows; `seed` draws placement, size, lighting and jitter, which no edit changes.

    Two things stand in a relation: the first is beside (left of), on, or behind the second.
    `size` and `place` belong to pictures of one thing. The `hidden` thing is not there, its place is empty:
    what a picture was before something was added to it, and is after something was taken away.
    """

    things: tuple[Thing, ...]
    background: str
    seed: int
    size: str = "normal"
    place: str = "centre"
    relation: str | None = None
    hidden: int | None = None

    @property
    def shown(self) -> tuple[Thing, ...]:
        """The things that can be seen."""
        return tuple(thing for which, thing in enumerate(self.things) if which != self.hidden)

    def __post_init__(self) -> None:
        pair = len(self.things) == 2
        if len(self.things) not in (1, 2) or pair != (self.relation in RELATIONS):
            raise InputError("A scene holds one thing, or two in a relation.")
        if self.background not in BACKGROUNDS or self.size not in SIZES or self.place not in PLACES:
            raise InputError(
                f"Unknown background, size or place: {self.background}, {self.size}, {self.place}."
            )
        if pair and (self.size, self.place) != ("normal", "centre"):
            raise InputError("Size and place belong to pictures of one thing.")
        if self.hidden is not None and self.hidden not in range(len(self.things)):
            raise InputError("Only a thing of the scene can be hidden.")


def edit(scene: Scene, *, which: int = 0, **change: str) -> Scene:
    """The scene with one attribute changed: object, colour (of thing `which`), size, place or background.

    Everything drawn from the seed stays. InputError where the change is not one of one attribute, as when
    a coloured object would become one that cannot have that colour.
    """
    if len(change) != 1:
        raise InputError("An edit changes exactly one attribute.")
    ((attribute, value),) = change.items()
    if attribute in ("size", "place", "background"):
        return replace(scene, **change)  # pyright: ignore[reportArgumentType] -- names checked above
    if attribute not in ("object", "colour"):
        raise InputError(f"A scene has no attribute {attribute}.")
    thing = scene.things[which]
    if attribute == "colour":
        new = replace(thing, colour=value)
    else:
        keeps = thing.colour is not None and concepts()[value].natural is not None
        new = Thing(value, thing.colour if keeps else None)
        if new.colour != thing.colour:
            raise InputError(f"A {thing.word} cannot become a {value} and keep its colour.")
    things = tuple(new if place == which else old for place, old in enumerate(scene.things))
    return replace(scene, things=things)


@cache
def held_out_pairs() -> frozenset[tuple[str, str | None, str]]:
    """The (object, colour, background) combinations of pairs.json, which never enter training."""
    rows = json.loads(Path(__file__).with_name("held_out.json").read_text())
    return frozenset((Thing(row[0], row[1]).word, Thing(row[0], row[1]).colour, row[2]) for row in rows)


def held_out(scene: Scene) -> bool:
    """Whether a scene is kept for evaluation: listed combinations and about 5 % of all, chosen by hash."""
    for thing in scene.things:
        key = f"{thing.word}|{thing.colour or ''}|{scene.background}"
        listed = (thing.word, thing.colour, scene.background) in held_out_pairs()
        if listed or zlib.crc32(key.encode()) % 20 == 0:
            return True
    words = "|".join(thing.word for thing in scene.things)
    return len(scene.things) == 2 and zlib.crc32(words.encode()) % 20 == 0


def draw_thing(rng: np.random.Generator, words: tuple[str, ...]) -> Thing:
    """A thing, recolourable words twice as likely; three in four of those get any of the colours."""
    weights = np.array([2.0 if concepts()[word].natural else 1.0 for word in words])
    word = words[int(rng.choice(len(words), p=weights / weights.sum()))]
    if concepts()[word].natural and rng.random() < 0.75:
        return Thing(word, str(rng.choice(COLOURS)))
    return Thing(word)


def draw_scene(rng: np.random.Generator, words: tuple[str, ...] | None = None, pairs: float = 0.25) -> Scene:
    """A scene of the whole world, held-out combinations included; `pairs` is the share of two things."""
    words = words or tuple(concepts())
    while True:
        scene = propose(rng, words, pairs)
        if all(thing.colour != scene.background for thing in scene.things):  # red on red shows nothing
            return scene


def propose(rng: np.random.Generator, words: tuple[str, ...], pairs: float) -> Scene:
    """One draw of `draw_scene`, things that vanish in their background included."""
    background = str(rng.choice(list(PLAIN) if rng.random() < 0.55 else PLACES_OUTSIDE))
    seed = int(rng.integers(2**31))
    if rng.random() >= pairs:
        size = str(rng.choice(SIZES, p=[0.78, 0.13, 0.09]))
        place = "centre" if size == "big" else str(rng.choice(PLACES, p=[0.86, 0.07, 0.07]))
        return Scene((draw_thing(rng, words),), background, seed, size, place)
    relation = str(rng.choice(RELATIONS, p=[0.6, 0.25, 0.15]))
    under = tuple(word for word in words if word in MOUNTS) if relation == "on" else words
    second = draw_thing(rng, under or words)
    first = draw_thing(rng, tuple(word for word in words if word != second.word) or words)
    return Scene((first, second), background, seed, relation=relation)


def draw_training_scene(
    rng: np.random.Generator, words: tuple[str, ...] | None = None, pairs: float = 0.25
) -> Scene:
    """A scene that is not held out."""
    while held_out(scene := draw_scene(rng, words, pairs)):
        pass
    return scene


def hide_some(scene: Scene, rng: np.random.Generator) -> Scene:
    """The scene, now and then without one of its things: of two more often than of one."""
    chance = 0.22 if len(scene.things) == 2 else 0.03
    return replace(scene, hidden=int(rng.integers(len(scene.things)))) if rng.random() < chance else scene


def draw_shown_scene(rng: np.random.Generator, words: tuple[str, ...], pairs: float) -> Scene:
    """A scene that is not held out, now and then without one of its things."""
    return hide_some(draw_training_scene(rng, words, pairs), rng)


def draw_held_out_scene(
    rng: np.random.Generator, words: tuple[str, ...] | None = None, pairs: float = 0.25
) -> Scene:
    """A scene that never enters training."""
    while not held_out(scene := draw_scene(rng, words, pairs)):
        pass
    return scene
