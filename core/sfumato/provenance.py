"""What a result came from: enough to run it again and to know whether it can come out the same."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

import numpy as np

from sfumato.document.compositor import fingerprint
from sfumato.method import EditRequest, Inverter, Job, Method, Pixels
from sfumato.params import Params
from sfumato.preprocessor import Preprocessor
from sfumato.sources import LIBRARIES as DECIDING
from sfumato.sources import class_digest, engine_digest

if TYPE_CHECKING:
    from sfumato.diffusion.control import ControlNet
    from sfumato.document.region import Region
    from sfumato.models.model import Model

LIBRARIES = ("sfumato", "torch", "diffusers", "transformers", "numpy", "pillow")
BATCH = "all rows of a step in one batch, unconditional first; pictures decoded one by one"
"""The order of arithmetic; another layout changes the last bits."""


def machine(model: Model) -> dict[str, Any]:
    """What decides the last bits of a result besides the request."""
    import torch

    return {
        "device": model.device.type,
        "precision": str(model.dtype).removeprefix("torch."),
        "threads": torch.get_num_threads(),
        "batch": BATCH,
        "processor": platform.machine(),
        "libraries": {"python": platform.python_version(), **{name: _version(name) for name in LIBRARIES}},
    }


def provenance(
    job: Job,
    model: Model,
    region: Region,
    methods: Mapping[str, tuple[Method[Any], str]],
    patches: Sequence[Pixels],
) -> dict[str, Any]:
    """Hashes, versions and machine of a job and of what came out of it, as JSON values.

    `methods` maps "editor" and "inverter" to (method, origin).
    """
    return {
        "picture": None if job.image is None else fingerprint(job.image),
        "profile": None if job.profile is None else hashlib.sha256(job.profile).hexdigest(),
        "mask": None if job.mask is None else fingerprint(job.mask),
        "model": model.info.name,
        "weights": model.weights_hash,
        "methods": {
            kind: {"name": method.name, "version": method.version, "from": origin}
            for kind, (method, origin) in methods.items()
        },
        "region": {"box": list(region.box), "size": list(region.size)},
        "patches": [fingerprint(patch) for patch in patches],
        **machine(model),
    }


def control_provenance(
    job: Job, networks: Sequence[ControlNet], preprocessor: tuple[Preprocessor[Any], Params] | None
) -> dict[str, Any]:
    """What steered a job: weights of its ControlNets, and the control images given or how one was made."""
    if not networks:
        return {}
    made: dict[str, Any] = {"networks": {net.name: net.weights_hash for net in networks}}
    if preprocessor is None:
        given = {name: fingerprint(pixels) for name, pixels in job.control_images.items()}
        return made | {"control_images": given}
    return made | {"preprocessor": {"name": preprocessor[0].name, "version": preprocessor[0].version}}


def inversion_key(
    inverter: Inverter[Any], request: EditRequest[Any], model: Model, *, vae: str = "mean"
) -> dict[str, Any]:
    """Everything an inversion depends on, as JSON values; `request` is the inverter's own.

    Of guidance, seed and negative prompt only what the inverter declares counts, so that a new target,
    another editor or another seed find the inversion again; one that another program made is none of ours.
    `vae` says how the picture was encoded.
    """
    assert request.image is not None
    here = machine(model)
    return {
        "picture": fingerprint(request.image.cpu().numpy().view(np.uint8)),
        "weights": model.weights_hash,
        "inverter": [inverter.name, inverter.version, class_digest(type(inverter))],
        "values": request.params.model_dump(),
        "prompt": request.source,
        "levels": list(model.grid(request).levels),
        "eta": request.eta,
        "solver": request.solver,
        "vae": vae,
        "machine": {name: here[name] for name in ("device", "precision", "threads", "batch")},
        "program": [engine_digest(), *(here["libraries"][name] for name in DECIDING)],
        **{name: getattr(request, name) for name in sorted(inverter.depends_on)},
    }


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "unknown"


def box_of(made: dict[str, Any]) -> tuple[int, int, int, int] | None:
    """The box a run worked on, by its provenance; None if it does not say, or says nonsense."""
    match made.get("region"):
        case {"box": [int(left), int(top), int(right), int(bottom)]}:
            return left, top, right, bottom
    return None
