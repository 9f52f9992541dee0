"""The same on Ray: two workers, one of which is killed on the way."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from sfumato.errors import SfumatoError
from sfumato.many import cluster
from sfumato.many.crew import LOCAL, Crew
from sfumato.many.handing import handed_out
from sfumato.many.spreading import spread
from sfumato.many.worker import Done, Failed
from tests.chores import chore

ROOT = Path(__file__).parents[3]


def test_without_the_extra_it_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(SfumatoError, match=r"Ray is not installed\. Run: pip install 'sfumato\[ray\]'"):
        list(spread({"a": "fine"}, chore, Crew(ray="local")))


def test_a_stop_stays_the_programs_own() -> None:
    """Ray takes SIGTERM when it connects."""
    before = signal.getsignal(signal.SIGTERM)
    ray = SimpleNamespace(init=lambda **_: signal.signal(signal.SIGTERM, lambda *_: None))
    cluster._connect(ray, LOCAL)
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_token_that_is_there_is_shown_to_a_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "_TOKEN", tmp_path / "token")
    for name in cluster._TOKENS:
        monkeypatch.delenv(name, raising=False)
    assert "RAY_AUTH_MODE" not in cluster._environment("auto")
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(tmp_path / "elsewhere"))
    assert cluster._environment("auto")["RAY_AUTH_MODE"] == "token"
    monkeypatch.delenv("RAY_AUTH_TOKEN_PATH")
    (tmp_path / "token").write_text("token")
    assert cluster._environment("auto")["RAY_AUTH_MODE"] == "token"
    assert "RAY_AUTH_MODE" not in cluster._environment(LOCAL), "Ray does that itself"


class Unlucky:
    """A cluster without machines, whose one worker cannot import anything."""

    exceptions = SimpleNamespace(
        WorkerCrashedError=KeyError,
        OutOfMemoryError=KeyError,
        NodeDiedError=KeyError,
        ObjectLostError=KeyError,
        RayError=LookupError,
        RayTaskError=IndexError,
    )

    def __init__(self) -> None:
        self.machines = [{"Alive": True, "Resources": {"CPU": 2.0}}]

    def nodes(self) -> list[dict[str, object]]:
        return self.machines

    def remote(self, **_: object) -> object:
        return lambda _: SimpleNamespace(remote=lambda parcel: parcel.key)

    def wait(self, at: list[str], **_: object) -> tuple[list[str], list[str]]:
        return (at, []) if self.machines else ([], at)

    def get(self, reference: str) -> bytes:
        raise RuntimeError(
            "The remote function failed to import on the worker. This may be because needed ..."
        )

    def cancel(self, *_: object, **__: object) -> None:
        pass


def test_a_machine_without_the_program_is_a_sentence() -> None:
    hands = cluster._Cluster(Unlucky(), Crew(ray="local", choices={"threads": 1}))
    (came,) = handed_out({"a": "fine"}, chore, hands)
    assert isinstance(came, Failed)
    assert "Sfumato cannot be imported on the machine" in came.sentence
    assert not came.details, "it is no bug of ours"


def test_a_cluster_that_stays_empty_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    ray = Unlucky()
    hands = cluster._Cluster(ray, Crew(ray="local", choices={"threads": 1}))
    ray.machines = []
    monkeypatch.setattr(cluster, "PATIENCE", -1.0)
    with pytest.raises(SfumatoError, match="has lost all its workers"):
        list(handed_out({"a": "fine"}, chore, hands))
    assert not hands.busy


def test_a_connection_that_is_lost_is_a_sentence_and_what_came_before_is_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def get(reference: str) -> bytes:
        if reference == "b":
            raise ConnectionError("the channel is\nclosed")
        return pickle.dumps(Done(reference, reference))

    ray = Unlucky()
    monkeypatch.setattr(ray, "get", get)
    came: list[object] = []
    hands = cluster._Cluster(ray, Crew(ray="local", choices={"threads": 1}))
    with pytest.raises(SfumatoError, match=r"connection .* was lost \(the channel is closed\)") as lost:
        came.extend(handed_out({"a": "fine", "b": "fine"}, chore, hands))
    assert came == [Done("a", "a")]
    assert lost.value.kept
    assert "Run the same command again" in lost.value.advice


def test_a_node_that_died_is_no_bug_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    def get(reference: str) -> bytes:
        raise LookupError("The task's local raylet died.")

    ray = Unlucky()
    monkeypatch.setattr(ray, "get", get)
    hands = cluster._Cluster(ray, Crew(ray="local", choices={"threads": 1}))
    (came,) = handed_out({"a": "fine"}, chore, hands)
    assert isinstance(came, Failed)
    assert came.sentence.startswith("Ray could not do it (The task's local raylet died). All other")
    assert not came.details


@pytest.mark.parametrize("call", ["wait", "nodes"])
def test_a_cluster_that_answers_nothing_any_more_is_a_sentence(
    call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_: object, **__: object) -> None:
        raise RuntimeError

    ray = Unlucky()
    hands = cluster._Cluster(ray, Crew(ray="local", choices={"threads": 1}))
    monkeypatch.setattr(ray, call, gone)
    with pytest.raises(SfumatoError, match=r"connection .* was lost \(RuntimeError\)"):
        list(handed_out({"a": "fine"}, chore, hands))


def test_a_head_that_is_gone_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray would ask it for a minute and then end the program."""
    answers = iter([None])

    def knock(door: str) -> None:
        assert door == "head:6379"
        if next(answers, door):
            raise ConnectionRefusedError(111, "Connection refused")

    monkeypatch.setattr(cluster, "_knock", knock)
    hands = cluster._Cluster(Unlucky(), Crew(ray="auto", choices={"threads": 1}), "head:6379")
    with pytest.raises(SfumatoError, match=r"connection .* was lost \(.* Connection refused\)"):
        list(handed_out({"a": "fine"}, chore, hands))


def test_a_cluster_that_takes_no_task_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: object) -> None:
        raise OSError(28, "No space left on device", "/dev/shm")

    ray = Unlucky()
    monkeypatch.setattr(ray, "remote", lambda **_: lambda _: SimpleNamespace(remote=full))
    hands = cluster._Cluster(ray, Crew(ray="local", choices={"threads": 1}))
    with pytest.raises(SfumatoError, match=r"could not take a task \(.*No space left on device.*\)") as told:
        list(handed_out({"a": "fine"}, chore, hands))
    assert told.value.kept


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, str], Path]:
    """What the runs on Ray said, by the first word of each line, and the folder of the notes."""
    pytest.importorskip("ray")
    folder = tmp_path_factory.mktemp("notes")
    here = os.environ | {"PYTHONPATH": str(ROOT), "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
    words = [sys.executable, "-m", "tests.core.many.on_ray", str(folder)]
    ran = subprocess.run(words, env=here, cwd=ROOT, capture_output=True, text=True, timeout=400)
    assert ran.returncode == 0, ran.stderr
    lines = [line.partition(" ") for line in ran.stdout.splitlines()]
    return {word: rest for word, _, rest in lines}, folder


@pytest.mark.parametrize("address", ["nonsense", "127.0.0.1:1", "ray://127.0.0.1:1", "auto"])
def test_a_cluster_that_is_not_there_is_a_sentence(told: tuple[dict[str, str], Path], address: str) -> None:
    assert told[0][address].startswith(f"The Ray cluster at '{address}' cannot be reached (")
    assert told[0][address].endswith("whether it wants a token (RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH).")


def test_a_killed_worker_costs_nothing_but_its_task_which_is_done_again(
    told: tuple[dict[str, str], Path],
) -> None:
    names = ("first", "mortal", "second", "third")
    assert {name: told[0][name] for name in names} == {name: name for name in names}
    begun = {name: len((told[1] / name).read_text().split()) for name in names}
    assert begun == {"first": 1, "mortal": 2, "second": 1, "third": 1}, "nothing else is done twice"


def test_failures_are_told_as_elsewhere(told: tuple[dict[str, str], Path]) -> None:
    assert told[0]["a"] == "fine"
    assert "was lost, twice" in told[0]["b"]
    assert told[0]["c"] == "It cannot be done. Ask for less."
    assert "this is a bug (ZeroDivisionError: a bug)" in told[0]["d"]
    assert told[0]["d-details"] == "ZeroDivisionError: a bug"
    assert "lambda" in told[0]["e"]
    assert "lambda" in told[0]["f"]


def test_no_machine_with_so_many_processors_is_a_sentence(told: tuple[dict[str, str], Path]) -> None:
    assert told[0]["crowd"].startswith("No machine of the Ray cluster has 3 processors")
