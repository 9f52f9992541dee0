"""One job from pixels to patches: stops 4 to 8 of an edit (design, section 4), as one generator."""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Generator, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from sfumato.controlling import control_outcome
from sfumato.errors import MethodError
from sfumato.events import Cost, InversionReport, Outcome
from sfumato.failure import ran_out_of_memory
from sfumato.masking import find_mask
from sfumato.method import Edit, EditRequest, Job, Need, Pixels, Progress, Recipe
from sfumato.models.catalogue import Additions
from sfumato.order import Order, check
from sfumato.pace import Advance, Phase
from sfumato.provenance import control_provenance, inversion_key, provenance
from sfumato.scene import Floats, Scene, count_outside, develop, stage, to_picture
from sfumato.shrinking import shrunk
from sfumato.workshop import Workshop

if TYPE_CHECKING:
    from sfumato.diffusion.inversion import Inversion
    from sfumato.diffusion.recorder import Recorder
    from sfumato.models.model import Model

log = logging.getLogger(__name__)

P = TypeVar("P")
R = TypeVar("R")
Steps = Generator[Progress, None, R]
Plan = tuple[tuple[Phase, int], ...]
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
    return replace(outcome, notes=(smaller.note, *outcome.notes))


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
    with nullcontext() if seen is None else seen.watching():
        if order.inverter is not None:
            inversion, report = yield from _invert(order, scene, model, workshop, (seen, plan))
        meter.note("inversion")
        if order.edits:
            editing = order.editor.edit(model.surround(scene.request), inversion, model)
            edit = yield from through(editing, plan[-2:], scene.region.box)
        meter.note("edit")
    if edit is not None:
        patches = yield from through(develop(order, scene, edit, model), plan[-1:])
    return Outcome(
        box=scene.region.box,
        patches=tuple(patches),
        inversion=report,
        changed_outside=_changed_outside(order.job, scene, patches),
        rows={phase: cost.rows for phase, cost in meter.costs.items()},
        provenance=provenance(order.job, model, scene.region, order.methods, patches)
        | control_provenance(order.job, networks, order.preprocessor),
        notes=_notes(order, edit, inversion),
        seconds=time.perf_counter() - began,
        extras={} if edit is None or edit.mask is None else {"mask": edit.mask[0, 0].float().cpu().numpy()},
        costs=meter.costs,
        mask=mask,
        recording=None if seen is None else seen.recording(scene.request, inversion, edit),
    )


class Walk(Generic[P, R]):
    """Go through a generator in a `for` loop; what it returns is `result` afterwards."""

    result: R

    def __init__(self, steps: Generator[P, None, R]) -> None:
        self._steps = steps

    def __iter__(self) -> Iterator[P]:
        self.result = yield from self._steps


def stepped(steps: Generator[Advance, None, R]) -> Generator[Advance, None, R]:
    """Run each step with gradients off, and close `steps` whatever happens.

    Gradients are off inside the steps only: what runs between them is none of our business.
    """
    import torch

    try:
        while True:
            with torch.no_grad():
                try:
                    progress = next(steps)
                except StopIteration as end:
                    return end.value
            yield progress
    finally:
        with torch.no_grad():
            steps.close()


def _plan(order: Order, workshop: Workshop) -> Plan:
    """The phases of a job and how many steps each is thought to take."""
    recipe = order.job.recipe
    masking: Plan = (("mask", _LOOKS),) if order.masker is not None else ()
    inverting: Plan = (("inversion", recipe.steps),) if order.inverter is not None else ()
    editing: Plan = (("edit", recipe.steps), ("decode", recipe.candidates)) if order.edits else ()
    return ("loading", 0 if workshop.has_loaded(order.model.name) else 6), *masking, *inverting, *editing


def through(
    steps: Steps[R], plan: Plan, box: tuple[int, int, int, int] | None = None
) -> Generator[Advance, None, R]:
    """Run `steps` as the first phase of `plan`, saying with each what is still ahead."""
    walk = Walk(steps)
    try:
        for now in walk:
            yield Advance(
                now.step, now.total, now.stage, now.preview, phase=plan[0][0], ahead=plan[1:], box=box
            )
    finally:
        steps.close()
    return walk.result


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


def _invert(
    order: Order, scene: Scene, model: Model, workshop: Workshop, beside: tuple[Recorder | None, Plan]
) -> Generator[Advance, None, tuple[Inversion, InversionReport]]:
    """Look the inversion up by content; else run the inverter and keep what it gives.

    `beside` = (who looks on, the phases to come). What was never recorded is inverted again to be seen.
    """
    seen, plan = beside
    inverter = order.inverter
    assert inverter is not None
    request = inverter_request(order, scene)
    recipe = order.job.recipe
    vae = recipe.encoding if recipe.encoding == "mean" else f"sample {recipe.seed}"
    key = workshop.store.key(inversion_key(inverter, request, model, vae=vae))
    inversion = workshop.store.get(key, device=model.device)
    if inversion is not None and seen is not None and not inversion.maps:
        inversion = None
    reused = inversion is not None
    if inversion is None:
        inverting = inverter.invert(model.surround(request), model)
        inversion = yield from through(inverting, plan, scene.region.box)
        if seen is not None:
            inversion = replace(inversion, maps=seen.source_maps())
        workshop.store.put(key, inversion)
    if order.inverts_only and inversion.reconstruction is None and inversion.trajectory is not None:
        inversion = yield from _measured(request, inversion, model, plan)
        workshop.store.put(key, inversion)
    if "trajectory" in order.editor.uses and inversion.trajectory is None and order.edits:
        raise MethodError(
            f"{inverter.title} keeps no trajectory, which {order.editor.title} starts from.",
            advice="Choose another way to invert.",
        )
    assert scene.round_trip is not None
    back = _brought_back(scene, inversion, model)
    report = InversionReport(
        inverter=inverter.name,
        psnr=None if back is None else scene.psnr(back),
        vae_psnr=scene.psnr(scene.round_trip),
        reused=reused,
        steps=inversion.grid.steps,
        error_map=None if back is None else scene.error_map(back),
    )
    return inversion, report


def inverter_request(order: Order, scene: Scene) -> EditRequest[Any]:
    """What the inverter is told: the picture, the prompt the editor asks for, and only what it declares.

    Everything else is neutral, so that a result cannot depend on what its key leaves out.
    """
    request, inverter = scene.request, order.inverter
    assert inverter is not None
    declared = inverter.depends_on
    return replace(
        request,
        source=order.editor.prompt_to_invert(request),
        target="",
        negative=request.negative if "negative" in declared else "",
        guidance=request.guidance if "guidance" in declared else 1.0,
        seed=request.seed if "seed" in declared else 0,
        instruction="",
        concepts=(),
        word_weights={},
        pixel_mask=None,
        latent_mask=None,
        control_images={},
        networks=(),
        start=0.0,
        candidates=1,
        params=order.inverter_params,
    )


def _measured(
    request: EditRequest[Any], inversion: Inversion, model: Model, plan: Plan
) -> Generator[Advance, None, Inversion]:
    """Whoever only inverts wants to know how good it is, also where the inverter did not look."""
    from sfumato.diffusion.sampling import replayed

    back = yield from through(replayed(model, request, inversion), plan)
    return replace(inversion, reconstruction=back)


def _brought_back(scene: Scene, inversion: Inversion, model: Model) -> Floats | None:
    """(H, W, 3): the picture the inversion gives by itself; None if nobody measured it."""
    back = inversion.reconstruction
    if back is None:
        return None
    exact = back.shape == inversion.x0.shape and bool((back == inversion.x0).all())
    return scene.round_trip if exact and scene.round_trip is not None else to_picture(model.decode(back))


def _changed_outside(job: Job, scene: Scene, patches: Sequence[Pixels]) -> int:
    changed = sum(count_outside(job, scene.region, patch) for patch in patches)
    if changed:
        raise AssertionError(f"{changed} pixels outside the mask would change")
    return changed


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
