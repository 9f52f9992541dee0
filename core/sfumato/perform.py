"""One job from pixels to patches: stops 4 to 8 of an edit (design, section 4), as one generator."""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Generator, Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sfumato.controlling import control_outcome
from sfumato.events import Cost, Outcome
from sfumato.failure import ran_out_of_memory
from sfumato.inverting import invert
from sfumato.masking import find_mask
from sfumato.method import Edit, Job, Need, Pixels, Recipe
from sfumato.models.catalogue import Additions
from sfumato.order import Order, check
from sfumato.pace import Advance, Phase
from sfumato.provenance import control_provenance, provenance
from sfumato.scene import Scene, count_outside, develop, share_changed, stage
from sfumato.shrinking import shrunk
from sfumato.walking import Phases, through
from sfumato.workshop import Workshop

if TYPE_CHECKING:
    from sfumato.diffusion.inversion import Inversion
    from sfumato.diffusion.recorder import Recorder
    from sfumato.models.model import Model

log = logging.getLogger(__name__)

_HARDLY = 0.05
"""Share of the pixels touched by an edit of which fewer visible ones are next to none: edits of the built-in
cases that did what they were asked for have 0.1 and more, most that moved nothing where they should have 0.05
and less."""
_LOOKS = 10
"""Steps a masker is thought to take, before it has said."""


def perform(job: Job, workshop: Workshop) -> Generator[Advance, None, Outcome]:
    """Do a job; where memory runs out, once more and smaller, and say so. Closing leaves nothing behind.

    Raises `SfumatoError` for what a person can understand; the request is refused before anything is run.
    """
    try:
        return (yield from _attempt(job, workshop))
    except (RuntimeError, MemoryError) as error:
        smaller = shrunk(job, workshop.describe(job.recipe.model)) if ran_out_of_memory(error) else None
        if smaller is None:
            raise
        log.warning("Job %s ran out of memory and is tried smaller: %s", job.id, error)
        traceback.clear_frames(error.__traceback__)
    yield Advance(0, 1, "Not enough memory: trying smaller", phase="loading")
    try:
        with workshop.saving_memory():
            outcome = yield from _attempt(smaller.job, workshop)
    except (RuntimeError, MemoryError) as error:
        if not ran_out_of_memory(error):
            raise
        traceback.clear_frames(error.__traceback__)
        raise smaller.shortage() from error
    return replace(
        outcome,
        notes=(smaller.note, *outcome.notes),
        smaller=True,
        provenance=outcome.provenance | {"smaller": smaller.note},
    )


def _attempt(job: Job, workshop: Workshop) -> Generator[Advance, None, Outcome]:
    """Do a job once."""
    began = time.perf_counter()
    if job.task == "control":
        return (yield from control_outcome(job, workshop.registry))
    order = check(job, workshop)
    plan = _plan(order, workshop)
    model = yield from through(workshop.load(order.model.name, Additions.of(job.recipe)), plan)
    networks = yield from through(workshop.load_networks(order.networks, model), plan)
    meter, plan = _Meter(model), plan[1:]
    mask = scene = inversion = report = edit = None
    if order.masker is not None:
        mask, scene = yield from through(find_mask(order, model), plan)
        order, plan = order.with_mask(mask), plan[1:]
        meter.note("mask")
    if scene is None or not order.masks_only:
        yield Advance(0, 1, "Reading the picture", phase="loading", ahead=plan)
        scene = stage(order, model, networks)
    seen = _recorder(order, scene, model)
    patches: list[Pixels] = []
    decoded: list[NDArray[np.uint8]] = []
    with nullcontext() if seen is None else seen.watching():
        if order.inverter is not None:
            inversion, report = yield from invert(order, scene, model, workshop, (seen, plan))
        meter.note("inversion")
        if order.edits:
            editing = order.editor.edit(model.surround(scene.request), inversion, model)
            edit = yield from through(editing, plan[-2:], scene.region.box)
        meter.note("edit")
    if edit is not None:
        patches = yield from through(develop(order, scene, edit, model, decoded), plan[-1:])
    return Outcome(
        box=scene.region.box,
        patches=tuple(patches),
        inversion=report,
        changed_outside=_changed_outside(order.job, scene, patches),
        rows={phase: cost.rows for phase, cost in meter.costs.items()},
        provenance=provenance(order.job, model, scene.region, order.methods, patches)
        | control_provenance(order.job, networks, order.preprocessor),
        notes=_notes(order, edit, inversion) or _unmoved(order, scene, edit, patches),
        seconds=time.perf_counter() - began,
        extras=_extras(edit, decoded),
        costs=meter.costs,
        mask=mask,
        recording=None if seen is None else seen.recording(scene.request, inversion, edit),
    )


def _plan(order: Order, workshop: Workshop) -> Phases:
    """The phases of a job and how many steps each is thought to take."""
    recipe = order.job.recipe
    masking: Phases = (("mask", _LOOKS),) if order.masker is not None else ()
    inverting: Phases = (("inversion", recipe.steps),) if order.inverter is not None else ()
    editing: Phases = (("edit", recipe.steps), ("decode", recipe.candidates)) if order.edits else ()
    return ("loading", 0 if workshop.has_loaded(order.model.name) else 6), *masking, *inverting, *editing


def _extras(edit: Edit | None, decoded: list[NDArray[np.uint8]]) -> dict[str, Any]:
    """The area a method chose, if it did, and what the model decoded, by candidate."""
    if edit is None:
        return {}
    area = {} if edit.mask is None else {"mask": edit.mask[0, 0].float().cpu().numpy()}
    return area | {"decoded": tuple(decoded)}


class _Meter:
    """What each phase cost, by the network's own counters."""

    def __init__(self, model: Model) -> None:
        self._counters, self._before = model.counters, replace(model.counters)
        self.costs: dict[Phase, Cost] = {}

    def note(self, phase: Phase) -> None:
        """All that was counted since the last note belongs to `phase`."""
        now, before = replace(self._counters), self._before
        self.costs[phase] = Cost(
            now.forward - before.forward, now.backward - before.backward, now.control - before.control
        )
        self._before = now


def _recorder(order: Order, scene: Scene, model: Model) -> Recorder | None:
    """Somebody who looks on, if the job asks for it."""
    if not order.job.record or order.masks_only:
        return None
    from sfumato.diffusion.recorder import Recorder

    return Recorder(model, scene.request, order.editor.prompt_to_invert(scene.request))


def _changed_outside(job: Job, scene: Scene, patches: Sequence[Pixels]) -> int:
    changed = sum(count_outside(job, scene.region, patch) for patch in patches)
    if changed:
        raise AssertionError(f"{changed} pixels outside the mask would change")
    return changed


def _unmoved(order: Order, scene: Scene, edit: Edit | None, patches: Sequence[Pixels]) -> tuple[str, ...]:
    """What to try instead, where a method did hardly anything and says what it cannot do."""
    if edit is None or not order.editor.unmoved:
        return ()
    # Without an area of its own an edit touches all, and something small may be all that was asked for.
    few = _HARDLY if edit.mask is not None else _HARDLY / 10
    if max(share_changed(order.job, scene.region, patch) for patch in patches) >= few:
        return ()
    return (f"Hardly anything changed. {order.editor.unmoved}",)


def _notes(order: Order, edit: Edit | None, inversion: Inversion | None) -> tuple[str, ...]:
    if edit is None:
        return ()
    own = None if inversion is None else inversion.grid.eta
    if own is not None and order.job.recipe.eta not in (Recipe().eta, own):
        return (f"Edits of this inversion run at eta {own:g}, which its noise was made for.", *edit.notes)
    by_prompt = order.inverter is not None and Need.TARGET_PROMPT in order.editor.needs
    if by_prompt and order.facts.asks_for_nothing:
        return ("Both prompts say the same, so this is a reconstruction of your picture.", *edit.notes)
    return edit.notes
