"""Stop 6 of an edit: look the inversion up by content, else make it, and say how good it is."""

from __future__ import annotations

import time
from collections.abc import Generator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sfumato.errors import MethodError
from sfumato.events import InversionReport
from sfumato.method import EditRequest
from sfumato.order import Order
from sfumato.pace import Advance
from sfumato.provenance import inversion_key
from sfumato.scene import Floats, Scene, to_picture
from sfumato.walking import Phases, through
from sfumato.workshop import Workshop

if TYPE_CHECKING:
    from sfumato.diffusion.inversion import Inversion
    from sfumato.diffusion.recorder import Recorder
    from sfumato.models.model import Model


def invert(
    order: Order, scene: Scene, model: Model, workshop: Workshop, beside: tuple[Recorder | None, Phases]
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
    request = model.surround(request)
    inversion = workshop.store.get(key, device=model.device)
    if inversion is not None and seen is not None and not inversion.maps:
        inversion = None
    reused = inversion is not None
    if inversion is None:
        began = time.perf_counter()
        inverting = inverter.invert(request, model)
        inversion = yield from through(inverting, plan, scene.region.box)
        inversion = replace(inversion, seconds=time.perf_counter() - began)
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
        key=key,
        seconds=inversion.seconds,
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
        guidance=order.editor.guidance_to_invert(request) if "guidance" in declared else 1.0,
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
    request: EditRequest[Any], inversion: Inversion, model: Model, plan: Phases
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
