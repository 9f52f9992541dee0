"""From whatever was raised to what a person is told. The one place where a bug becomes a sentence."""

from __future__ import annotations

import logging
import traceback

from sfumato.errors import MemoryShortage, SfumatoError
from sfumato.method import Job

log = logging.getLogger(__name__)

KEPT = "Your picture is unchanged."
CLOSE_OTHERS = (
    "Close other programs, choose a smaller model, or set the precision to bf16, which halves its size."
)
_NO_MEMORY = ("can't allocate memory", "not enough memory", "out of memory", "cannot allocate memory")


def explain(error: BaseException, job: Job | str) -> SfumatoError:
    """Return the error for people: itself, a memory shortage with a next step, or the confession of a bug.

    `job` may also be the name of what was done. The traceback is logged; of a bug it is also in `.details`,
    and the cause is chained. What the frames of the traceback hold is let go, for it may be most of the
    memory there is.
    """
    name = job if isinstance(job, str) else job.id
    details = "".join(traceback.format_exception(error))
    traceback.clear_frames(error.__traceback__)
    if isinstance(error, SfumatoError):
        log.info("Job %s ended: %s", name, error)
        return error
    if ran_out_of_memory(error):
        log.warning("Job %s ran out of memory: %s", name, error)
        told: SfumatoError = MemoryShortage(
            "There is not enough memory for this edit.", kept=KEPT, advice=CLOSE_OTHERS
        )
    else:
        log.error("Job %s met a bug\n%s", name, details)
        told = SfumatoError(
            f"Something went wrong inside Sfumato or a plug-in; this is a bug ({_named(error)}).",
            kept=KEPT,
            advice="Please report it with the details.",
        )
        told.details = details
    told.__cause__ = error
    return told


def ran_out_of_memory(error: BaseException) -> bool:
    """Say whether memory was short; torch on a CPU raises a plain `RuntimeError`."""
    if isinstance(error, MemoryError):
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and any(sign in text for sign in _NO_MEMORY)


def _named(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:200]}" if text else type(error).__name__
