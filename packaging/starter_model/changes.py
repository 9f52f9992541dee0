"""Changes of a scene with their true result: ten kinds, each said as two captions and as an instruction."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from sfumato.errors import InputError
from starter_model.captions import article, name_background, name_thing
from starter_model.recolour import COLOURS
from starter_model.world import (
    MOUNTS,
    PLACES,
    PLACES_OUTSIDE,
    PLAIN,
    RELATIONS,
    SIZES,
    Scene,
    draw_held_out_scene,
    draw_training_scene,
    edit,
    held_out,
)

# In the order of PIE-Bench's edit types 0 to 9; where this world has no such thing (content, pose, material,
# style), its nearest: size, place, relation, surroundings.
KINDS = (
    "two changes",
    "object",
    "add",
    "remove",
    "size",
    "place",
    "colour",
    "relation",
    "background",
    "surroundings",
)
OF_TWO_THINGS = frozenset({"add", "remove", "relation"})
OF_ONE_THING = frozenset({"size", "place"})
ONE_ATTRIBUTE = ("object", "colour", "background")
ELSEWHERE = "elsewhere"
"""From a plain background to a place or back: no kind of case, but what people ask for, and trained."""

PATIENCE = 3000


@dataclass(frozen=True)
class Change:
    """From one scene to another that differs in what `kind` says; `which` thing it is about."""

    kind: str
    before: Scene
    after: Scene
    which: int

    @property
    def parts(self) -> tuple[Change, ...]:
        """The changes of one attribute it is made of, each from the same scene."""
        if self.kind != "two changes":
            return (self,)
        old, new = self.before, self.after
        found = []
        if old.things[self.which].word != new.things[self.which].word:
            found.append("object")
        elif old.things != new.things:
            found.append("colour")
        if old.background != new.background:
            found.append("background")
        return tuple(Change(kind, old, new, self.which) for kind in found)


def _other(values: tuple[str, ...], now: str, rng: np.random.Generator) -> str:
    return str(rng.choice([value for value in values if value != now]))


def _one_attribute(
    kind: str, scene: Scene, which: int, words: tuple[str, ...], rng: np.random.Generator
) -> Scene:
    """One attribute changed to another value. InputError where the world forbids it."""
    if kind == "background":
        return edit(scene, background=_other(tuple(PLAIN), scene.background, rng))
    if kind == "surroundings":
        return edit(scene, background=_other(PLACES_OUTSIDE, scene.background, rng))
    if kind == ELSEWHERE:
        others = PLACES_OUTSIDE if scene.background in PLAIN else tuple(PLAIN)
        return edit(scene, background=str(rng.choice(others)))
    if kind in ("size", "place"):
        values = SIZES if kind == "size" else PLACES
        return edit(scene, **{kind: _other(values, getattr(scene, kind), rng)})
    if kind == "relation":
        mounts = RELATIONS if scene.things[1].word in MOUNTS else ("beside", "behind")
        return replace(scene, relation=_other(mounts, scene.relation or "", rng))
    now = scene.things[which]
    if kind == "colour":
        return edit(scene, which=which, colour=_other(COLOURS, now.colour or "", rng))
    return edit(scene, which=which, object=_other(words, now.word, rng))


def apply(kind: str, scene: Scene, which: int, words: tuple[str, ...], rng: np.random.Generator) -> Scene:
    """A scene changed as `kind` says. InputError where the world forbids what was drawn."""
    if kind == "two changes":
        first = str(rng.choice(["object", "colour"]))
        second = "background" if scene.background in PLAIN else "surroundings"
        return _one_attribute(second, _one_attribute(first, scene, which, words, rng), which, words, rng)
    if kind == "add":
        return replace(scene, hidden=None)
    if kind == "remove":
        return replace(scene, hidden=which)
    return _one_attribute(kind, scene, which, words, rng)


def possible(kind: str, scene: Scene) -> bool:
    """Whether a change of that kind can begin with a scene."""
    count = len(scene.things)
    if (kind in OF_TWO_THINGS and count != 2) or (kind in OF_ONE_THING and count != 1):
        return False
    if kind == "place":
        return scene.size != "big"  # a big thing fills the picture wherever it is said to be
    if kind == "size":
        return scene.size == "normal" and scene.place == "centre"
    backgrounds = {"background": tuple(PLAIN), "surroundings": PLACES_OUTSIDE}
    return scene.background in backgrounds.get(kind, (scene.background,))


def propose(
    kind: str, words: tuple[str, ...], rng: np.random.Generator, *, kept: bool, pairs: float = 0.3
) -> Change | None:
    """One change of that kind, or None where the draw allows none.

    Both scenes are held out if `kept`, and neither is otherwise.
    """
    share = 1.0 if kind in OF_TWO_THINGS else 0.0 if kind in OF_ONE_THING else pairs
    scene = (draw_held_out_scene if kept else draw_training_scene)(rng, words, share)
    which = int(rng.integers(len(scene.things)))
    if not possible(kind, scene):
        return None
    if kind == "add":
        scene = replace(scene, hidden=which)
    try:
        after = apply(kind, scene, which, words, rng)
    except InputError:
        return None
    visible = all(thing.colour != after.background for thing in after.things)
    different = len({thing.word for thing in after.things}) == len(after.things)
    return Change(kind, scene, after, which) if visible and different and held_out(after) == kept else None


def draw_change(
    kind: str, words: tuple[str, ...], rng: np.random.Generator, *, kept: bool, pairs: float = 0.3
) -> Change:
    """A change of that kind, drawn from scenes of which a share of `pairs` has two things.

    InputError where a small world has none.
    """
    for _ in range(PATIENCE):
        if change := propose(kind, words, rng, kept=kept, pairs=pairs):
            return change
    raise InputError(f"This world has no change of the kind '{kind}'.")


def instruction(change: Change, turn: float = 0.0) -> str:
    """What to do, in one of the ways people say it, chosen by `turn` in [0, 1)."""
    return " and ".join(_said(part, turn) for part in change.parts)


def _said(change: Change, turn: float) -> str:
    ways = _WAYS[change.kind](change)
    return ways[int(turn * len(ways))]


def _object(change: Change) -> list[str]:
    old, new = change.before.things[change.which].word, article(change.after.things[change.which].word)
    return [
        f"turn the {old} into {new}",
        f"make the {old} {new}",
        f"replace the {old} with {new}",
        f"change the {old} to {new}",
    ]


def _colour(change: Change) -> list[str]:
    thing = change.after.things[change.which]
    assert thing.colour is not None
    return [
        f"make the {thing.word} {thing.colour}",
        f"turn the {thing.word} {thing.colour}",
        f"paint the {thing.word} {thing.colour}",
        f"change the colour of the {thing.word} to {thing.colour}",
    ]


def _add(change: Change) -> list[str]:
    name, scene = name_thing(change.after.things[change.which]), change.after
    if change.which == 0 and scene.relation != "beside":
        return [f"{verb} {name} {scene.relation} the {scene.things[1].word}" for verb in ("add", "put")]
    return [f"add {name}", f"put {name} in the picture"]


def _remove(change: Change) -> list[str]:
    word = change.before.things[change.which].word
    return [f"remove the {word}", f"take away the {word}"]


def _size(change: Change) -> list[str]:
    word, size = change.after.things[0].word, change.after.size
    growth = "bigger" if size == "big" else "smaller"
    return [f"make the {word} {growth}", f"make it {growth}", f"make the {word} {size}"]


def _place(change: Change) -> list[str]:
    word, place = change.after.things[0].word, change.after.place
    where = "in the middle" if place == "centre" else f"on the {place}"
    toward = "to the middle" if place == "centre" else f"to the {place}"
    return [f"put the {word} {where}", f"move the {word} {toward}", f"move it {toward}"]


def _relation(change: Change) -> list[str]:
    first, second = (thing.word for thing in change.after.things)
    return [f"put the {first} {change.after.relation} the {second}"]


def _background(change: Change) -> list[str]:
    background = change.after.background
    word = change.after.things[change.which].word
    if background not in PLAIN:
        return [f"put it {background}", f"put the {word} {background}"]
    return [
        f"make the background {background}",
        f"put it {name_background(background)}",
        f"change the background to {background}",
    ]


_WAYS: dict[str, Callable[[Change], list[str]]] = {
    "object": _object,
    "add": _add,
    "remove": _remove,
    "size": _size,
    "place": _place,
    "colour": _colour,
    "relation": _relation,
    "background": _background,
    "surroundings": _background,
    ELSEWHERE: _background,
}
