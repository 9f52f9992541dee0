"""One task, wherever it is done: what came of it, or the sentence why nothing did."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.metadata import version
from typing import Any, Generic, TypeVar

from sfumato.errors import SfumatoError
from sfumato.failure import explain
from sfumato.sources import LIBRARIES, engine_digest
from sfumato.workshop import Workshop

T = TypeVar("T")
R = TypeVar("R")
Work = Callable[[T, Workshop], R]
Opener = Callable[..., Workshop]
OTHER = "The worker that had it runs another version of Sfumato or its libraries than the run itself."
ALIKE = "Install the same on every machine; if the program was changed meanwhile, start again."


@dataclass(frozen=True)
class Done(Generic[R]):
    """A task that came to its end."""

    key: str
    result: R


@dataclass(frozen=True)
class Failed:
    """A task that did not."""

    key: str
    sentence: str
    """What a person is told."""
    details: str = ""
    """The traceback, if it was a bug."""


@dataclass(frozen=True)
class Parcel:
    """A task on its way to a worker. It is packed twice, so that one that cannot be unpacked says its key."""

    key: str
    data: bytes
    """(work, task, opener, choices), pickled."""
    program: str
    """`program` of whoever packed it: what another one makes may have other bits."""

    @classmethod
    def of(cls, key: str, work: Work[T, R], task: T, workshop: tuple[Opener, dict[str, Any]]) -> Parcel:
        """Pack a task. Raises whatever pickle raises of what cannot be packed."""
        opener, choices = workshop
        return cls(key, pickle.dumps((work, task, opener, tuple(sorted(choices.items())))), program())

    def done(self) -> bytes:
        """Do the task in this process, with the workshop of its last task; a `Done` or `Failed`, pickled."""

        def run() -> bytes:
            if self.program != program():
                raise SfumatoError(OTHER, kept="All other results are kept.", advice=ALIKE)
            work, task, opener, choices = pickle.loads(self.data)
            return pickle.dumps(Done(self.key, work(task, _workshop(opener, choices))))

        came = attempted(self.key, run)
        return pickle.dumps(came) if isinstance(came, Failed) else came.result


@cache
def program() -> str:
    """What decides results here beside methods and weights: the engine and the releases of its libraries.

    Not their builds: a machine with a graphics card has another one of the same PyTorch.
    """
    return " ".join([engine_digest(), *(version(name).partition("+")[0] for name in LIBRARIES)])


@lru_cache(maxsize=1)
def _workshop(opener: Opener, choices: tuple[tuple[str, Any], ...]) -> Workshop:
    """What this worker works with; it lives as long as the worker, which is a process of its own."""
    return opener(**dict(choices))


def attempted(key: str, run: Callable[[], R]) -> Done[R] | Failed:
    """Call `run`; whatever goes wrong is told in a sentence."""
    try:
        return Done(key, run())
    except Exception as error:
        told = explain(error, key)
        return Failed(key, str(told), told.details)
