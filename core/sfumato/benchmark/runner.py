"""One edit of one case, as plain data in and plain data out, so that it can run in any process."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from sfumato.benchmark.cases import png
from sfumato.benchmark.hardware import processor
from sfumato.benchmark.masks import Runs, decode_runs
from sfumato.benchmark.metrics import Picture
from sfumato.document.colour import Profile
from sfumato.document.compositor import flatten
from sfumato.document.geometry import window
from sfumato.document.layers import Document, Layer
from sfumato.document.region import cut
from sfumato.document.resampling import resize
from sfumato.errors import SfumatoError
from sfumato.events import Cost, Outcome
from sfumato.failure import explain
from sfumato.files.images import open_image
from sfumato.many.alike import demand
from sfumato.many.crew import Crew
from sfumato.many.spreading import spread
from sfumato.many.worker import Done, Failed
from sfumato.method import Job, Recipe
from sfumato.models.catalogue import Additions
from sfumato.pace import Advance
from sfumato.perform import perform
from sfumato.scene import Floats, region_of, to_picture, to_tensor
from sfumato.walking import finished, stepped
from sfumato.workshop import Workshop

if TYPE_CHECKING:
    from sfumato.models.model import Model

Kind = Literal["edit", "vae"]
"""An edit, or only through the model's autoencoder and back."""


@dataclass(frozen=True)
class Task:
    """What is to be made of a picture."""

    picture: bytes
    """The file."""
    recipe: Recipe
    mask: Runs | None = None
    kind: Kind = "edit"
    methods: str = ""
    """The `methods_digest` that whoever does it must have; empty if that does not matter."""


@dataclass(frozen=True)
class Made:
    """What came of a task."""

    picture: bytes
    """The finished picture as PNG, without transparency, in the colours of the one given."""
    costs: Mapping[str, Cost]
    """Rows of "inversion" and "edit"."""
    seconds: Mapping[str, float]
    """Of "inversion" and "edit", the latter with decoding; loading a model is in neither."""
    reused: bool = False
    """The inversion had been made before, for another pairing."""
    inversion: str = ""
    """What it is kept under; empty without one."""
    inversion_seconds: float | None = None
    """What it took whoever made it; None without one."""
    notes: tuple[str, ...] = ()
    decoded: bytes | None = None
    """What the model decodes, before the picture's own detail is put back; None if that is the picture."""
    processor: str = ""
    """The name of what computed it."""
    smaller: bool = False
    """Memory was short, and it was made smaller than asked for."""
    weights: str = ""
    """The hash of those of the model it was made with."""


def work(task: Task, workshop: Workshop) -> Made:
    """Do a task. Raises `SfumatoError`; a bug is one that carries details."""
    document = open_image(task.picture)
    job = Job(
        recipe=task.recipe,
        image=flatten(document),
        profile=document.profile,
        mask=None
        if task.mask is None
        else np.where(decode_runs(task.mask, (document.width, document.height)), np.uint8(255), np.uint8(0)),
    )
    try:
        if task.kind == "vae":
            return _round_trip(job, workshop)
        demand(task.methods, task.recipe, workshop.registry)
        return _edit(job, document, workshop)
    except Exception as error:
        raise explain(error, job) from error.__cause__


def _edit(job: Job, document: Document, workshop: Workshop) -> Made:
    clock, outcome = _timed(perform(job, workshop))
    costs = {phase: outcome.costs.get(phase, Cost()) for phase in ("inversion", "edit")}
    report = outcome.inversion
    decoded = png(_decoded(job, outcome)) if outcome.extras.get("decoded") else None
    return Made(
        picture=png(_finished(document, outcome)),
        costs=costs,
        seconds=clock,
        reused=report is not None and report.reused,
        inversion="" if report is None else report.key,
        inversion_seconds=None if report is None else report.seconds,
        notes=outcome.notes,
        decoded=decoded,
        processor=processor(str(loaded(job.recipe, workshop).device)),
        smaller=outcome.smaller,
        weights=outcome.provenance["weights"],
    )


def _finished(document: Document, outcome: Outcome) -> Picture:
    """The picture with its edit laid over it, (H, W, 3)."""
    edited = Layer("edit", outcome.patches[0], *outcome.box[:2])
    whole = flatten(replace(document, layers=[*document.layers, edited]))
    return np.ascontiguousarray(whole[..., :3])


def _decoded(job: Job, outcome: Outcome) -> Picture:
    """The picture with what the model decoded in place of its box, (H, W, 3)."""
    assert job.image is not None
    whole = job.image[..., :3].copy()
    place = whole[window(outcome.box)]
    place[...] = _fitted(outcome.extras["decoded"][0] / 255, job, (place.shape[1], place.shape[0]))
    return whole


def _fitted(picture: Floats, job: Job, size: tuple[int, int]) -> Picture:
    """(h, w, 3) sRGB in [0, 1] at a (width, height), in the profile of the job's picture."""
    scaled = resize(Profile(job.profile).from_srgb(np.clip(picture, 0, 1).astype(np.float32)) * 255, size)
    return np.rint(np.clip(scaled, 0, 255)).astype(np.uint8)


def _timed(steps: Generator[Advance, None, Outcome]) -> tuple[dict[str, float], Outcome]:
    """Run a job; seconds of each phase. A step's time belongs to the phase it reports."""
    spent, last = {"inversion": 0.0, "edit": 0.0}, time.perf_counter()
    with closing(stepped(steps)) as walk:
        while True:
            try:
                phase = next(walk).phase
            except StopIteration as end:
                spent["edit"] += time.perf_counter() - last
                return spent, end.value
            now = time.perf_counter()
            if phase != "loading":
                spent["inversion" if phase == "inversion" else "edit"] += now - last
            last = now


def _round_trip(job: Job, workshop: Workshop) -> Made:
    """The picture through the autoencoder and back, its own detail left out: the bound of every method."""
    import torch

    model = loaded(job.recipe, workshop)
    assert job.image is not None
    region = region_of(job, model)
    height, width = job.image.shape[:2]
    began = time.perf_counter()
    with torch.no_grad():
        back = to_picture(model.decode(model.encode(to_tensor(cut(job.image, job.profile, region), model))))
    picture = _fitted(back, job, (width, height))
    seconds = {"inversion": 0.0, "edit": time.perf_counter() - began}
    costs = {"inversion": Cost(), "edit": Cost()}
    where = processor(str(model.device))
    return Made(png(picture), costs, seconds, processor=where, weights=model.weights_hash)


def loaded(recipe: Recipe, workshop: Workshop) -> Model:
    """The model of a recipe, in memory. Raises `ModelError`."""
    return finished(workshop.load(recipe.model, Additions.of(recipe)))


Make = Callable[[Mapping[str, Task], Workshop], Iterator[tuple[str, Made | SfumatoError]]]
"""Does tasks, here or elsewhere, and gives what became of each as it is known, in any order.

To look a task up reads its picture, and may raise `InputError`."""


def made_by(crew: Crew) -> Make:
    """A crew as what does tasks; `workshop` is used for those that are done in this process."""

    def make(
        tasks: Mapping[str, Task], workshop: Workshop
    ) -> Generator[tuple[str, Made | SfumatoError], None, None]:
        with closing(spread(tasks, work, crew, here=workshop)) as outcomes:
            for outcome in outcomes:
                yield outcome.key, outcome.result if isinstance(outcome, Done) else _error(outcome)

    return make


def _error(failed: Failed) -> SfumatoError:
    error = SfumatoError(failed.sentence)
    error.details = failed.details
    return error


in_place = made_by(Crew())
"""Tasks one after another in this process, in their order; one that fails does not stop the others."""
