"""Who does many tasks: this process, several, or the workers of a Ray cluster."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sfumato import compose
from sfumato.errors import InputError
from sfumato.many.worker import Opener

LOCAL = "local"
"""The address of a cluster that is started on this machine, and ends with the run."""
MOST_PROCESSES = 256
"""Each holds a model in memory; more of them is a slip of the finger."""


@dataclass(frozen=True)
class Crew:
    """Who does the work. Raises `InputError` if there cannot be so many."""

    processes: int = 0
    """How many tasks at once; 0 is one on this machine, and as many as a cluster has room for."""
    ray: str = ""
    """A Ray cluster's address ("auto", "HOST:PORT", "ray://HOST:10001"), or "local" to start one here."""
    choices: Mapping[str, Any] = field(default_factory=dict)
    """What each worker opens its workshop with: device, precision, threads and any other of `Settings`."""
    opener: Opener = compose.workshop
    """Opens what a worker works with; a function of a module, so that other processes find it."""

    def __post_init__(self) -> None:
        if not 0 <= self.processes <= MOST_PROCESSES:
            raise InputError(
                f"There cannot be {self.processes} processes.",
                advice=f"Say a number from 1 to {MOST_PROCESSES}.",
            )

    @property
    def in_place(self) -> bool:
        """Whether tasks are done in this very process."""
        return self.processes <= 1 and not self.ray

    @property
    def here(self) -> bool:
        """Whether all workers are on this machine."""
        return self.ray in ("", LOCAL)

    @property
    def machine(self) -> dict[str, Any]:
        """What every worker opens its workshop with: the choices, and what makes all workers alike.

        Unless threads are said, processes share the processors, and machines of a cluster all take as many as
        this one would. On a cluster a graphics card is used where one is asked for by name: "auto" must mean
        the same on each of its machines.
        """
        said = {name: value for name, value in self.choices.items() if value is not None}
        if self.processes > 1 and self.here:
            said = {"threads": max(processors() // self.processes, 1)} | said
        if self.ray:
            said = {"threads": compose.chosen().threads, "device": "auto"} | said
            said["device"] = "cpu" if said["device"] == "auto" else said["device"]
        return said


def processors() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
