"""`spread`: every task once, wherever there is room, and each result as soon as it is there.

The same tasks give the same bits whichever way they are done, at equal threads, precision and device: a
worker is a process with one workshop of its own, and shares nothing with others but the kept inversions.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import closing
from typing import Any, TypeVar

from sfumato.many.cluster import on_cluster
from sfumato.many.crew import Crew
from sfumato.many.processes import on_processes
from sfumato.many.worker import Done, Failed, Work, attempted
from sfumato.signals import held_back
from sfumato.workshop import Workshop

T = TypeVar("T")
R = TypeVar("R")


def spread(
    tasks: Mapping[str, T], work: Work[T, R], crew: Crew, *, here: Workshop | None = None
) -> Generator[Done[R] | Failed, None, None]:
    """Do `work(task, workshop)` of every task; give what became of each, by its key, in the order they end.

    A task is looked up when its turn comes, so `tasks` may make them on demand. `work` is a function of a
    module or a frozen dataclass; where there are workers, it, tasks and results are pickled. `here` is a
    workshop that is open already, for tasks that are done in this process.

    A task that fails, or whose worker dies twice, becomes a `Failed` and stops nothing. An interrupt, and
    closing the iterator, end all workers within a step; what was finished is given before the interrupt is
    raised again, and Ctrl-C waits for whoever is at a result; a second one does not. Raises `SfumatoError` in
    one sentence if there are no workers to be had.
    """
    if not tasks:
        return
    if crew.in_place:
        way = _in_place(tasks, work, crew, here)
    else:
        way = on_cluster(tasks, work, crew) if crew.ray else on_processes(tasks, work, crew)
    with closing(way):
        yield from way


def _in_place(
    tasks: Mapping[str, T], work: Work[T, R], crew: Crew, here: Workshop | None
) -> Generator[Done[R] | Failed, None, None]:
    opened = [] if here is None else [here]

    def do(key: str) -> Any:
        task = tasks[key]
        if not opened:
            opened.append(crew.opener(**crew.machine))
        return work(task, opened[0])

    with held_back() as stop:
        for key in tasks:
            with stop.heard():
                came = attempted(key, lambda key=key: do(key))
            yield came
