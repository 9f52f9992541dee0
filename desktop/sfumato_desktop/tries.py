"""Another try at the same change starts from the same picture as the one before, and takes its place."""

from __future__ import annotations

from sfumato.document.layers import Document, Layer
from sfumato.method import Mask, Recipe


def earlier_try(document: Document, recipe: Recipe) -> Layer | None:
    """The edit on top of all that is seen, if `recipe` asks for the same spot of the same picture again.

    The source prompt says which picture is meant: as long as it describes the photo as it was before an
    edit, the photo is to be edited, and its inversion can be reused; not the result of that edit. An edit
    of another place, by its mask, goes on top instead. An instruction says itself what it is about.
    """
    shown = [layer for layer in document.layers if layer.visible and layer.opacity > 0]
    if len(shown) < 2:
        return None  # a picture made from words has nothing below it
    last = shown[-1]
    if last.edit is None:
        return None
    same = _same_wish(last.edit.recipe, recipe)
    return last if same and _meet(last.edit.mask, document.mask) else None


def _same_wish(one: Recipe, other: Recipe) -> bool:
    """The same order or the same description; without one, a thing in common to add or take away."""
    if one.instruction or other.instruction:
        return _plain(one.instruction) == _plain(other.instruction)
    if one.source.strip() or other.source.strip():
        return _plain(one.source) == _plain(other.source)
    names = [{_plain(name) for name, _ in recipe.concepts} for recipe in (one, other)]
    return bool(names[0] & names[1])


def _plain(prompt: str) -> str:
    return " ".join(prompt.lower().split())


def _meet(one: Mask | None, other: Mask | None) -> bool:
    """Whether two masks share a place; no mask is everywhere."""
    if one is None or other is None:
        return True
    return one.shape == other.shape and bool(((one > 0) & (other > 0)).any())
