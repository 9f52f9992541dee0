"""Tasks on the machines of a Ray cluster (https://docs.ray.io), which an optional extra brings.

Ray decides where a task runs and tries it again when its worker or its machine is lost. Tasks and results
travel as bytes, so the machines need no file system in common; Sfumato and any model that is asked for must
be on each of them.
"""

from __future__ import annotations

import logging
import os
import pickle
import socket
import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

from sfumato.errors import InputError, SfumatoError
from sfumato.failure import explain
from sfumato.many.crew import LOCAL, Crew, processors
from sfumato.many.handing import handed_out
from sfumato.many.worker import Done, Failed, Parcel, Work
from sfumato.signals import sigterm

T = TypeVar("T")
R = TypeVar("R")

RETRIES = 1
BEAT = 1.0
"""Seconds between two looks at the cluster."""
ANSWER = 10.0
"""Seconds a cluster has to answer at all."""
GRACE = 10.0
"""Seconds a worker has to end the step it is in before it is killed."""
_TOKENS = ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")
_TOKEN = Path("~/.ray/auth_token")
PATIENCE = 60.0
"""Seconds a cluster may be without any worker before the run ends."""
LOST = (
    "The worker on the cluster that had it was lost, twice. All other results are kept. "
    "Try it again; if its machine runs out of memory, with more --threads, so that fewer tasks share one."
)
GONE = "Ray could not do it ({why}). All other results are kept; try it again when the cluster is well."
ABSENT = (
    "Sfumato cannot be imported on the machine of the cluster that had it. Install the same version on every "
    "machine of the cluster, for the Python that runs Ray there."
)


def on_cluster(
    tasks: Mapping[str, T], work: Work[T, R], crew: Crew
) -> Generator[Done[R] | Failed, None, None]:
    """`spread` on a Ray cluster; see there."""
    with _connected(crew.ray) as ray:
        door = crew.ray if "://" in crew.ray else ray.get_runtime_context().gcs_address
        yield from handed_out(tasks, work, _Cluster(ray, crew, door))


def _over(what: str, until: str) -> SfumatoError:
    """What ends a run, and when it is worth another try."""
    return SfumatoError(
        what,
        kept="What was finished is kept.",
        advice=f"Run the same command again when {until}; only what is missing is done.",
    )


def _cut_off(error: Exception) -> SfumatoError:
    return _over(f"The connection to the Ray cluster was lost ({_short(error)}).", "the cluster is back")


@contextmanager
def _connected_still() -> Iterator[None]:
    """Around what asks the cluster something: Ray raises nearly everything when it does not answer."""
    try:
        yield
    except Exception as error:
        raise _cut_off(error) from error


def _short(error: Exception) -> str:
    """What an exception says, on one line that is not too long."""
    return (" ".join(str(error).split()) or type(error).__name__)[:200].rstrip(".")


class _Cluster:
    """What is under way on a cluster, and how much of it there is room for."""

    def __init__(self, ray: Any, crew: Crew, door: str = "") -> None:
        """`door` is the HOST:PORT where the cluster listens; without one it is not knocked at."""
        self._ray, self._crew, self._door = ray, crew, door
        choices = crew.machine
        self.workshop = crew.opener, choices
        self._cards = 1 if str(choices["device"]).startswith("cuda") else 0
        self._threads: int = choices["threads"]
        self._at: dict[Any, str] = {}
        self._seen = time.monotonic()
        if not self._slots():
            wanted = f"{self._threads} processors" + (" and a graphics card" if self._cards else "")
            raise InputError(
                f"No machine of the Ray cluster has {wanted} for a task.", advice="Say fewer --threads."
            )
        needs = {"num_cpus": self._threads, "num_gpus": self._cards, "max_retries": RETRIES}
        self._do = ray.remote(**needs)(done)

    @_connected_still()
    def _slots(self) -> int:
        """How many tasks run at once."""
        _knock(self._door)  # Ray asks a head that is gone for a minute, deaf to Ctrl-C, and ends the program
        slots = 0
        for node in self._ray.nodes():
            room = int(node["Resources"].get("CPU", 0)) // self._threads if node["Alive"] else 0
            slots += min(room, int(node["Resources"].get("GPU", 0))) if self._cards else room
        return slots

    @property
    def busy(self) -> bool:
        return bool(self._at)

    @property
    def has_room(self) -> bool:
        """One more than run at once, so that no worker waits for the next."""
        return len(self._at) < (self._crew.processes or self._slots() + 1)

    def give(self, parcel: Parcel) -> None:
        try:
            self._at[self._do.remote(parcel)] = parcel.key
        except Exception as error:  # no connection, no room in its store, and whatever else Ray raises
            what = f"The Ray cluster could not take a task ({_short(error)})."
            raise _over(what, "the cluster is well") from error

    def wait(self) -> None:
        if self._at:
            self._ready(1, BEAT)

    def news(self) -> Iterator[Done[Any] | Failed]:
        if not self._at:
            return
        ready = self._ready(len(self._at), 0)
        for reference in ready:
            yield self._result(reference, self._at.pop(reference))
        self._look_after(bool(ready))

    @_connected_still()
    def _ready(self, number: int, timeout: float) -> list[Any]:
        """Tasks that have ended."""
        return self._ray.wait(list(self._at), num_returns=number, timeout=timeout)[0]

    def _result(self, reference: Any, key: str) -> Done[Any] | Failed:
        lost = self._ray.exceptions
        try:
            return pickle.loads(self._ray.get(reference))
        except (lost.WorkerCrashedError, lost.OutOfMemoryError, lost.NodeDiedError, lost.ObjectLostError):
            return Failed(key, LOST)
        except ConnectionError as error:  # none of the task's own, which its worker tells in a sentence
            raise _cut_off(error) from error
        except Exception as error:
            if "failed to import" in str(error):  # which is all that Ray says of it
                return Failed(key, ABSENT)
            if isinstance(error, lost.RayError) and not isinstance(error, lost.RayTaskError):
                return Failed(key, GONE.format(why=_short(error)))
            told = explain(error, key)
            return Failed(key, str(told), told.details)

    def _look_after(self, news: bool) -> None:
        """Wait for machines that come back, but not for ever."""
        now = time.monotonic()
        if news or self._slots():
            self._seen = now
        elif now - self._seen > PATIENCE:
            raise _over("The Ray cluster has lost all its workers.", "they are back")

    def dismiss(self) -> None:
        # At the next line of Python, else with the worker that is at it.
        with suppress(Exception):  # some have ended meanwhile, or the cluster is gone
            for reference in self._at:
                self._ray.cancel(reference)
            at = list(self._at)
            _, left = self._ray.wait(at, num_returns=len(at), timeout=GRACE) if at else ([], [])
            for reference in left:
                self._ray.cancel(reference, force=True)
        self._at.clear()


def done(parcel: Parcel) -> bytes:
    """What a worker of the cluster runs."""
    return parcel.done()


@contextmanager
def _connected(address: str) -> Iterator[Any]:
    """The `ray` module, connected. Raises `SfumatoError` if it is missing or the cluster does not answer."""
    for name, value in _environment(address).items():
        os.environ.setdefault(name, value)
    try:
        ray = import_module("ray")  # not `import`: type checkers run without the extra too
    except ImportError as error:
        raise SfumatoError("Ray is not installed.", advice="Run: pip install 'sfumato[ray]'.") from error
    own = not ray.is_initialized()
    if own:
        _connect(ray, address)
    try:
        yield ray
    finally:
        if own:
            with suppress(Exception):  # nothing is left to say to a cluster that is gone
                ray.shutdown()


def _environment(address: str) -> dict[str, str]:
    """What Ray reads when it is imported, unless a person said otherwise."""
    told = {
        "RAY_USAGE_STATS_ENABLED": "0",  # nothing is told to anybody
        "RAY_task_oom_retries": str(RETRIES),
        "RAY_ENABLE_AUTO_CONNECT": "0",  # whoever loses a cluster does not want another one started
    }
    if address == LOCAL:  # so that Ray listens to this machine alone, as it does elsewhere than on Linux
        return told | {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
    # Ray begins clusters with a token where it finds one, but does not show it on its own.
    token = any(name in os.environ for name in _TOKENS) or _TOKEN.expanduser().is_file()
    return told | ({"RAY_AUTH_MODE": "token"} if token else {})


def _connect(ray: Any, address: str) -> None:
    quiet = {"log_to_driver": False, "logging_level": logging.CRITICAL}
    alone = {"num_cpus": processors(), "include_dashboard": False, "_node_ip_address": "127.0.0.1"}
    try:
        _knock(address)
        with sigterm():  # Ray would have it end the program at once, whatever this program does on it
            ray.init(address=address, **quiet, **(alone if address == LOCAL else {}))
    except Exception as error:  # Ray raises nearly everything for an address that leads nowhere
        raise SfumatoError(
            f"The Ray cluster at '{address}' cannot be reached ({_short(error)}).",
            advice="Check the address, with `ray status` there whether it runs, and whether it wants a token "
            "(RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH).",
        ) from error


def _knock(address: str) -> None:
    """Raise `OSError` if nobody listens there; Ray itself would go on trying for minutes."""
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host.strip("[]"), int(port)), timeout=ANSWER).close()
