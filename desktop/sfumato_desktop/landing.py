"""What a run is for: the job made of a document, and the layer, name and sentence made of its outcome."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from sfumato.document.commands import AddLayer, Command, ReplaceLayer, SetVisible, Together
from sfumato.document.compositor import flatten, hash_below
from sfumato.document.layers import Document, EditInfo, Layer
from sfumato.events import Outcome
from sfumato.method import Job, Mask, Pixels, Recipe
from sfumato.prompts import Word, compare, words
from sfumato_desktop.session import Session

Task = Literal["edit", "invert", "mask", "control"]


@dataclass(eq=False)
class Run:
    """A job under way and what it is for."""

    job: Job
    session: Session | None
    replaces: str | None
    """The edit layer that is being run again."""
    instead_of: str | None = None
    """The edit layer this is another try of: what lies below it is edited, and it is hidden."""
    apart: bool = False
    """The result becomes a document of its own."""
    title: str = ""
    """What the step is called that a mask makes."""

    @property
    def from_words(self) -> bool:
        """A picture is made that the open one has no part in."""
        return self.job.image is None


def job_of(
    document: Document | None, recipe: Recipe, task: Task, layer: Layer | None, *, below: Layer | None
) -> Job:
    """Everything the engine needs, in copies of its own: for `layer` anew, on the picture below `below`."""
    if document is None or (layer is not None and layer.edit is not None and not layer.edit.below):
        return Job(recipe=recipe)
    return Job(
        recipe=recipe,
        task=task,
        image=flatten(document, below=below.id if below else None),
        profile=document.profile,
        mask=_mask_of(document, layer),
    )


def _mask_of(document: Document, layer: Layer | None) -> Mask | None:
    mask = layer.edit.mask if layer is not None and layer.edit is not None else document.mask
    return None if mask is None else mask.copy()


def layer_of(job: Job, outcome: Outcome) -> Layer:
    """The edit layer of a finished job; it remembers its request and what it was computed from."""
    edit = EditInfo(
        recipe=job.recipe,
        mask=job.mask,
        provenance=outcome.provenance,
        candidates=outcome.patches,
        chosen=0,
        below=hash_below(_base(job.image), outcome.box) if job.image is not None else "",
    )
    left, top = outcome.box[:2]
    name = layer_name(job.recipe) if job.image is not None else job.recipe.target[:40]
    return Layer(name, outcome.patches[0], left, top, edit=edit)


def _base(image: Pixels) -> Document:
    """What a job saw, as a document: the picture as one layer."""
    height, width = image.shape[:2]
    return Document(width, height, [Layer("", image)])


def landing(session: Session, layer: Layer, run: Run) -> Command:
    old, earlier = session.layer(run.replaces), session.layer(run.instead_of)
    if old is None:
        hide = [SetVisible(earlier.id, False)] if earlier is not None and earlier.visible else []
        return Together(f"Run {layer.name}", [*hide, AddLayer(layer)])
    layer = dataclasses.replace(layer, name=old.name, visible=old.visible, opacity=old.opacity, id=old.id)
    command = ReplaceLayer(old.id, layer)
    command.title = f"Re-run {layer.name}"
    return command


def layer_name(recipe: Recipe) -> str:
    """The change in a few words: "cat → dog", "in snow", or the method's name."""
    if recipe.instruction:
        return recipe.instruction[:40]
    if recipe.concepts:
        return concepts_in_words(recipe)[:40]
    before, after = words(recipe.source), words(recipe.target)
    parts: list[str] = []
    for piece in compare(recipe.source, recipe.target):
        old = _without_articles(before[slice(*piece.source)])
        new = _without_articles(after[slice(*piece.target)])
        if piece.change != "kept" and (old or new):
            parts.append(f"{old} → {new}" if old and new else new or f"no {old}")
    return (", ".join(parts) or recipe.target or recipe.editor)[:40]


def concepts_in_words(recipe: Recipe) -> str:
    """What is added and what is taken away: "+ smile, − glasses"."""
    return ", ".join(f"{'+' if strength > 0 else '−'} {name}" for name, strength in recipe.concepts)


def _without_articles(some: Sequence[Word]) -> str:
    return " ".join(word.text for word in some if word.text.lower() not in ("a", "an", "the"))


def sentence(outcome: Outcome) -> str:
    """How it went."""
    reused = outcome.inversion is not None and outcome.inversion.reused
    parts = [f"Done in {outcome.seconds:.1f} s{', inversion reused' if reused else ''}.", *outcome.notes]
    return " ".join(parts)
