"""A run, from the press of the button to the new layer; the document is touched by one command only."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np
from PySide6.QtCore import QObject, Signal

from sfumato.document.commands import SetMask
from sfumato.document.geometry import Rect, shift
from sfumato.document.layers import Document, Layer
from sfumato.errors import SfumatoError
from sfumato.events import Advanced, Outcome
from sfumato.method import Job, Pixels, Recipe
from sfumato.provenance import box_of
from sfumato_desktop.jobs import Jobs
from sfumato_desktop.landing import Run, Task, job_of, landing, layer_of, sentence
from sfumato_desktop.previews import preview_of
from sfumato_desktop.scene import Preview
from sfumato_desktop.session import Session
from sfumato_desktop.tries import earlier_try


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
    """A picture was made from words, to be a document of its own."""
    recorded = Signal(Outcome)
    """What a run of the open picture looked at has been recorded."""
    masked = Signal()
    """A mask was found, and is the document's now."""
    control_made = Signal(np.ndarray)
    """The control image that was asked for, RGBA."""
    landed = Signal(str)
    """The id of the layer that now holds the result."""

    def __init__(self, jobs: Jobs, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._jobs = jobs
        self._runs: dict[str, Run] = {}
        self._open: Session | None = None
        self._box: Rect | None = None
        self.record = False
        """Have edits say where each word looked."""
        self.control_images: Callable[[], Mapping[str, Pixels]] = dict
        """What edits follow that was not made of the photo."""
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

    def look(self, recipe: Recipe) -> None:
        """Invert to see where each word looks: `recorded`."""
        self._submit(recipe, "invert", None, record=True)

    def make_control(self, recipe: Recipe) -> None:
        """Have the recipe's preprocessor make a control image of the picture: `control_made`."""
        self._submit(recipe, "control", None)

    def find_mask(self, recipe: Recipe, title: str) -> None:
        """Have the recipe's masker make the document's mask."""
        self._submit(recipe, "mask", None, title=title)

    def make(self, recipe: Recipe, *, apart: bool) -> None:
        """Make a picture from words: a layer in the middle of the open one, or `apart`, a new document."""
        job = Job(recipe=recipe)
        self._runs[job.id] = Run(job, self._open, None, apart=apart or self._open is None)
        self._start(job)

    def again(self, layer: Layer) -> None:
        """Run an edit layer again, on what lies below it now."""
        if layer.edit is not None:
            self._submit(layer.edit.recipe, "edit", layer)

    def stop(self) -> None:
        for job_id in list(self._runs):
            self._jobs.cancel(job_id)

    def _submit(
        self, recipe: Recipe, task: Task, layer: Layer | None, *, title: str = "", record: bool = False
    ) -> None:
        near = self._box if layer is None or layer.edit is None else box_of(layer.edit.provenance)
        document = self._open.document if self._open else None
        earlier = earlier_try(document, recipe) if document is not None and layer is None else None
        job = job_of(document, recipe, task, layer, below=layer or earlier)
        job = dataclasses.replace(job, near=near, record=record or (self.record and task == "edit"))
        if task == "edit" and layer is None and document is not None:
            job = dataclasses.replace(job, control_images=self.control_images())
        replaces, instead_of = (each.id if each else None for each in (layer, earlier))
        self._runs[job.id] = Run(job, self._open, replaces, instead_of, title=title)
        self._start(job)

    def _start(self, job: Job) -> None:
        self._jobs.submit(job)
        self.started.emit()

    def _on_advanced(self, event: Advanced) -> None:
        run = self._runs.get(event.job)
        if run is None or run.session is not self._open:
            return
        self.advanced.emit(event)
        if event.box is not None and run.session is not None and not run.apart:
            placed = dataclasses.replace(event, box=self._place(run, event.box))
            self.preview.emit(preview_of(placed, run.job.mask))

    def _place(self, run: Run, box: Rect) -> Rect:
        """Where in the open document the box of a run lies: that of a picture from words, in its middle."""
        if run.session is None or not run.from_words:
            return box
        again, document = run.session.layer(run.replaces), run.session.document
        if again is not None:
            return shift(box, again.left, again.top)
        return shift(box, (document.width - box[2]) // 2, (document.height - box[3]) // 2)

    def _on_finished(self, job_id: str, outcome: Outcome) -> None:
        run = self._runs.pop(job_id, None)
        if run is None:
            return
        if run.session is not self._open:
            self._end("The picture was closed, so its result was dropped.")
            return
        if not run.from_words and run.job.task != "control":
            self._box = outcome.box
        self.finished.emit(outcome)
        if run.job.task == "edit" and outcome.patches:
            self._land(run, outcome)
        if run.job.task == "control" and outcome.patches:
            self.control_made.emit(outcome.patches[0])
        if run.job.task == "mask" and outcome.mask is not None and run.session is not None:
            run.session.run(SetMask(outcome.mask, run.title))
            self.masked.emit()
        if outcome.recording is not None and run.session is not None:
            self.recorded.emit(outcome)
        self._end(sentence(outcome))

    def _land(self, run: Run, outcome: Outcome) -> None:
        layer = layer_of(run.job, outcome)
        session = run.session
        if session is None or run.apart:
            height, width = layer.pixels.shape[:2]
            session = Session(Document(width, height, [layer], recipe=run.job.recipe, title=layer.name))
            session.never_saved()
            self.made_document.emit(session)
        else:
            layer.left, layer.top = self._place(run, outcome.box)[:2]
            session.run(landing(session, layer, run))
        self.landed.emit(layer.id)

    def _on_failed(self, job_id: str, error: SfumatoError) -> None:
        run = self._runs.pop(job_id, None)
        if run is not None:
            self._end(
                "The edit failed; the picture is as it was."
                if run.job.task == "edit"
                else "That failed; the picture is as it was."
            )
            self.failed.emit(error)

    def _on_cancelled(self, job_id: str) -> None:
        if self._runs.pop(job_id, None) is not None:
            self._end("Stopped; the picture is as it was.")

    def _end(self, sentence: str) -> None:
        if not self._runs:
            self.ended.emit(sentence)
