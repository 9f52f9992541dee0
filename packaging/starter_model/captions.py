"""Captions: what a scene is called, in a few of the ways people would say it."""

from __future__ import annotations

import numpy as np

from starter_model.concepts import concepts
from starter_model.world import PLAIN, Scene, Thing

SIZE_WORDS = {"small": ("small", "little", "tiny"), "big": ("big", "large")}
PLURALS = ("grapes",)
JUNK = ("very", "nice", "photo", "new", "old", "one", "bright", "cute", "my", "great")


def article(word: str) -> str:
    """The word or phrase with its article; none where it ends in a plural."""
    if word.split()[-1] in PLURALS:
        return word
    return f"an {word}" if word[0] in "aeiou" and not word.startswith("uni") else f"a {word}"


def name_thing(thing: Thing, *, colour: bool = True, size: str = "") -> str:
    """A noun phrase: "a small red apple"."""
    words = [size, thing.colour if colour and thing.colour else "", thing.word]
    return article(" ".join(word for word in words if word))


def name_background(background: str) -> str:
    """How a background is said: "on a red background", "in the snow"."""
    return f"on {article(background)} background" if background in PLAIN else background


def relate(scene: Scene, first: str, second: str, turn: float) -> str:
    """Two noun phrases in one of the ways their relation is said, chosen by `turn` in [0, 1)."""
    if scene.relation == "beside":
        if turn < 0.6:
            return f"{first} and {second}"
        return f"{first} left of {second}" if turn < 0.8 else f"{second} right of {first}"
    return f"{first} {scene.relation} {second}"


def name_shown(scene: Scene, names: list[str], turn: float) -> str:
    """What of a scene is seen, of the names of its things: "a cat and a ball", or "nothing"."""
    names = [name for which, name in enumerate(names) if which != scene.hidden]
    if not names:
        return "nothing"
    return names[0] if len(names) == 1 else relate(scene, *names, turn)


def prompt(scene: Scene) -> str:
    """The scene's plain full caption; colours that are as drawn are named too."""
    names = [name_thing(thing, size="" if scene.size == "normal" else scene.size) for thing in scene.things]
    side = f" on the {scene.place}" if scene.shown and scene.place != "centre" else ""
    return f"{name_shown(scene, names, 0.0)}{side} {name_background(scene.background)}"


def caption(scene: Scene, rng: np.random.Generator) -> str:
    """A training caption: details may stay unsaid, the picture may be empty of words; never a wrong word."""
    if rng.random() < 0.1:
        return ""
    size = str(rng.choice(SIZE_WORDS[scene.size])) if scene.size != "normal" and rng.random() < 0.9 else ""
    names = []
    for thing in scene.things:
        as_drawn = thing.colour == concepts()[thing.word].natural
        names.append(name_thing(thing, colour=not as_drawn or rng.random() < 0.5, size=size))
    what = name_shown(scene, names, float(rng.random()))
    if scene.shown and scene.place != "centre" and rng.random() < 0.9:
        what += f" on the {scene.place}"
    if rng.random() < 0.93:
        what += f" {name_background(scene.background)}"
    lead = rng.random()
    if lead < 0.12:
        what = ("a picture of " if lead < 0.06 else "an icon of ") + what
    if rng.random() < 0.04:
        words = what.split()
        words.insert(int(rng.integers(len(words) + 1)), str(rng.choice(JUNK)))
        what = " ".join(words)
    return what
