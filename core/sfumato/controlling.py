"""A job that only makes a control image: no model is loaded for it."""

from __future__ import annotations

import time
from collections.abc import Generator

from sfumato.document.compositor import fingerprint
from sfumato.errors import InputError
from sfumato.events import Outcome
from sfumato.method import Job
from sfumato.order import check_arrays
from sfumato.pace import Advance
from sfumato.plugins import Registry
from sfumato.preprocessor import control_picture


def control_outcome(job: Job, registry: Registry) -> Generator[Advance, None, Outcome]:
    """Make it of a whole picture, as one patch over all of it. Raises `InputError` or `PairingError`."""
    began = time.perf_counter()
    check_arrays(job)
    if job.image is None:
        raise InputError("A control image is made of a picture: open one.")
    recipe = job.recipe
    preprocessor, params = registry.preprocessor(recipe.preprocessor, recipe.preprocessor_values)
    yield Advance(0, 1, "Making the control image")
    patch = control_picture(preprocessor, params, job.image, job.profile)
    return Outcome(
        box=(0, 0, patch.shape[1], patch.shape[0]),
        patches=(patch,),
        inversion=None,
        changed_outside=0,
        rows={},
        provenance={
            "picture": fingerprint(job.image),
            "mask": None,
            "preprocessor": {"name": preprocessor.name, "version": preprocessor.version},
            "patches": [fingerprint(patch)],
        },
        seconds=time.perf_counter() - began,
    )
