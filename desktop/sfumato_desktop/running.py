"""A run, from the press of the button to the new layer; the document is touched by one command only."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from PySide6.QtCore import QObject, Signal

from sfumato.document.commands import AddLayer, Command, ReplaceLayer, SetVisible, Together
from sfumato.document.compositor import flatten, hash_below
from sfumato.document.geometry import Rect
from sfumato.document.layers import Document, EditInfo, Layer
from sfumato.errors import SfumatoError
from sfumato.events import Advanced, Outcome
from sfumato.method import Job, Mask, Recipe
from sfumato.prompts import Word, compare, words
from sfumato.provenance import box_of
from sfumato_desktop.jobs import Jobs
from sfumato_desktop.previews import preview_of
from sfumato_desktop.scene import Preview
from sfumato_desktop.session import Session
from sfumato_desktop.tries import earlier_try


@dataclass(eq=False)
class _Run:
    """A job under way and what it is for."""

    job: Job
    session: Session | None
    replaces: str | None
    """The edit layer that is being run again."""
    instead_of: str | None = None
    """The edit layer this is another try of: what lies below it is edited, and it is hidden."""


class Runs(QObject):
    """Submits jobs, follows them, and turns their outcome into one undoable command."""

    started = Signal()
    advanced = Signal(Advanced)
    preview = Signal(Preview)
    ended = Signal(str)
    """No run is under way any more, and what to say about it."""
    finished = Signal(Outcome)
    """A job on the open document is done."""
    failed = Signal(SfumatoError)
    made_document = Signal(Session)
    """A picture was made from words while none was open."""
    landed = Signal(str)
    """The id of the layer that now holds the result."""

    def __init__(self, jobs: Jobs, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._jobs = jobs
        self._runs: dict[str, _Run] = {}
        self._open: Session | None = None
        self._box: Rect | None = None
        jobs.advanced.connect(self._on_advanced)
        jobs.finished.connect(self._on_finished)
        jobs.failed.connect(self._on_failed)
        jobs.cancelled.connect(self._on_cancelled)

    @property
    def active(self) -> bool:
        return bool(self._runs)

    def show_session(self, session: Session | None) -> None:
        """Results of any other document are dropped from now on, and their runs stopped."""
        if session is not self._open:
            self._box = None
        self._open = session
        for job_id, run in list(self._runs.items()):
            if run.session is not session:
                self._jobs.cancel(job_id)

    def edit(self, recipe: Recipe) -> None:
        """Run `recipe` on what is visible now; the result goes on top, in place of an earlier try."""
        self._submit(recipe, "edit", None)

    def invert(self, recipe: Recipe) -> None:
        """Only invert, so that the edits that follow are quick."""
        self._submit(recipe, "invert", None)

    def again(self, layer: Layer) -> None:
        """Run an edit layer again, on what lies below it now."""
        if layer.edit is not None:
            self._submit(layer.edit.recipe, "edit", layer)

    def stop(self) -> None:
        for job_id in list(self._runs):
            self._jobs.cancel(job_id)

    def _submit(self, recipe: Recipe, task: str, layer: Layer | None) -> None:
        near = self._box if layer is None or layer.edit is None else box_of(layer.edit.provenance)
        document = self._open.document if self._open else None
        earlier = earlier_try(document, recipe) if document is not None and layer is None else None
        job = _job(document, recipe, task, layer, below=layer or earlier)
        job = dataclasses.replace(job, near=near)
        replaces, instead_of = (each.id if each else None for each in (layer, earlier))
        self._runs[job.id] = _Run(job, self._open, replaces, instead_of)
        self._jobs.submit(job)
        self.started.emit()

    def _on_advanced(self, event: Advanced) -> None:
        run = self._runs.get(event.job)
        if run is None or run.session is not self._open:
            return
        self.advanced.emit(event)
        if event.box is not None and run.session is not None:
            self.preview.emit(preview_of(event, run.job.mask))

    def _on_finished(self, job_id: str, outcome: Outcome) -> None:
        run = self._runs.pop(job_id, None)
        if run is None:
            return
        if run.session is not self._open:
            self._end("The picture was closed, so its result was dropped.")
            return
        self._box = outcome.box
        self.finished.emit(outcome)
        if run.job.task == "edit" and outcome.patches:
            self._land(run, outcome)
        self._end(_sentence(outcome))

    def _land(self, run: _Run, outcome: Outcome) -> None:
        layer = _layer(run.job, outcome)
        session = run.session
        if session is None:
            height, width = layer.pixels.shape[:2]
            session = Session(Document(width, height, [layer], recipe=run.job.recipe, title=layer.name))
            session.never_saved()
            self.made_document.emit(session)
        else:
            session.run(_landing(session, layer, run))
        self.landed.emit(layer.id)

    def _on_failed(self, job_id: str, error: SfumatoError) -> None:
        run = self._runs.pop(job_id, None)
        if run is not None:
            self._end("The edit failed; the picture is as it was.")
            self.failed.emit(error)

    def _on_cancelled(self, job_id: str) -> None:
        if self._runs.pop(job_id, None) is not None:
            self._end("Stopped; the picture is as it was.")

    def _end(self, sentence: str) -> None:
        if not self._runs:
            self.ended.emit(sentence)


def _job(
    document: Document | None, recipe: Recipe, task: str, layer: Layer | None, *, below: Layer | None
) -> Job:
    """Everything the engine needs, in copies of its own: for `layer` anew, on the picture below `below`."""
    if document is None:
        return Job(recipe=recipe)
    return Job(
        recipe=recipe,
        task="invert" if task == "invert" else "edit",
        image=flatten(document, below=below.id if below else None),
        profile=document.profile,
        mask=_mask_of(document, layer),
    )


def _mask_of(document: Document, layer: Layer | None) -> Mask | None:
    mask = layer.edit.mask if layer is not None and layer.edit is not None else document.mask
    return None if mask is None else mask.copy()


def _layer(job: Job, outcome: Outcome) -> Layer:
    """The edit layer of a finished job; it remembers its request and what it was computed from."""
    edit = EditInfo(
        recipe=job.recipe,
        mask=job.mask,
        provenance=outcome.provenance,
        candidates=outcome.patches,
        chosen=0,
        below=hash_below(_base(job), outcome.box),
    )
    left, top = outcome.box[:2]
    name = layer_name(job.recipe) if job.image is not None else job.recipe.target[:40]
    return Layer(name, outcome.patches[0], left, top, edit=edit)


def _base(job: Job) -> Document:
    """What the job saw, as a document: the picture as one layer, or nothing."""
    if job.image is None:
        return Document(1, 1)
    height, width = job.image.shape[:2]
    return Document(width, height, [Layer("", job.image)])


def _landing(session: Session, layer: Layer, run: _Run) -> Command:
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


def _sentence(outcome: Outcome) -> str:
    reused = outcome.inversion is not None and outcome.inversion.reused
    parts = [f"Done in {outcome.seconds:.1f} s{', inversion reused' if reused else ''}.", *outcome.notes]
    return " ".join(parts)
