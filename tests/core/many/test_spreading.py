"""Every task once, here or on several processes; who fails or dies takes nothing else along."""

from __future__ import annotations

import fcntl
import os
import pickle
import signal
import sys
import termios
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

import psutil
import pytest

from sfumato.errors import InputError, SfumatoError
from sfumato.many.crew import Crew, processors
from sfumato.many.processes import READY
from sfumato.many.spreading import spread
from sfumato.many.worker import Done, Failed, Parcel
from tests.chores import Bench, chore, doubled, noted, opened


def crew(processes: int = 0, **choices: Any) -> Crew:
    return Crew(processes=processes, choices=choices, opener=opened)  # type: ignore[arg-type]


def outcomes(tasks: Mapping[str, str], processes: int) -> dict[str, Any]:
    came = list(spread(tasks, chore, crew(processes)))
    assert len(came) == len(tasks), "each task is told of once"
    return {each.key: each for each in came}


def wait_for(condition: Any) -> None:
    while not condition():
        time.sleep(0.02)


def test_in_place_there_is_one_workshop_and_the_order_is_kept() -> None:
    came = list(spread({"b": 1, "a": 2}, doubled, crew(1, threads=3, device=None)))
    me = os.getpid()
    assert came == [Done("b", (2, me, me, 3)), Done("a", (4, me, me, 3))]


def test_in_place_an_open_workshop_is_used() -> None:
    here: Any = Bench(7, {})
    assert list(spread({"a": 1}, doubled, crew(), here=here)) == [Done("a", (2, os.getpid(), 7, None))]


def test_another_program_does_not_do_a_task() -> None:
    own = Parcel.of("a", doubled, 1, (opened, {}))
    assert isinstance(pickle.loads(own.done()), Done)
    came = pickle.loads(replace(own, program="0.0.1").done())
    assert isinstance(came, Failed)
    assert came.sentence.startswith("The worker that had it runs another version of Sfumato")
    assert not came.details


def test_what_cannot_be_sent_at_all_is_not_waited_for() -> None:
    (came,) = spread({"a": lambda: "cannot be sent"}, chore, crew(2))
    assert isinstance(came, Failed)


def test_nothing_to_do_opens_nothing() -> None:
    def never(**_: Any) -> Any:
        raise AssertionError

    assert list(spread({}, chore, Crew(processes=2, opener=never))) == []


def test_processes_open_one_workshop_each_and_share_the_processors(capfd: pytest.CaptureFixture[str]) -> None:
    came = list(spread({str(n): n for n in range(6)}, doubled, crew(2)))
    assert capfd.readouterr().err == "", "they end without a word"
    assert {each.key: each.result[0] for each in came if isinstance(each, Done)} == {
        str(n): 2 * n for n in range(6)
    }
    workers = {each.result[1] for each in came if isinstance(each, Done)}
    assert len(workers) <= 2
    assert os.getpid() not in workers
    for each in came:
        assert isinstance(each, Done)
        assert each.result[1] == each.result[2], "a worker keeps its workshop"
        assert each.result[3] == max(processors() // 2, 1)


def test_in_place_a_failure_is_its_sentence_and_a_bug_has_details(caplog: Any) -> None:
    came = outcomes({"one": "fail", "two": "bug", "three": "fine"}, 1)
    assert came["one"] == Failed("one", "It cannot be done. Ask for less.")
    assert came["two"].sentence.startswith("Something went wrong inside Sfumato")
    assert "ZeroDivisionError: a bug" in came["two"].details
    assert came["three"] == Done("three", "fine")


def test_on_processes_nobody_takes_others_along(caplog: Any) -> None:
    tasks: dict[str, Any] = {"a": "fine", "b": "die", "c": "fail", "d": "bug", "e": "unpicklable"}
    came = outcomes(tasks | {"f": lambda: "cannot be sent either", "g": "fine"}, 2)
    assert {key: each.result for key, each in came.items() if isinstance(each, Done)} == {
        "a": "fine",
        "g": "fine",
    }
    assert "ended unexpectedly, twice" in came["b"].sentence
    assert came["c"] == Failed("c", "It cannot be done. Ask for less.")
    assert "ZeroDivisionError: a bug" in came["d"].details
    assert "lambda" in came["e"].details
    assert "lambda" in came["f"].details


def test_a_worker_that_dies_costs_one_task_and_that_is_tried_again(tmp_path: Path) -> None:
    names = ["first", "mortal", "second", "third"]
    came = list(spread({name: (name, str(tmp_path)) for name in names}, noted, crew(2)))
    assert sorted(each.key for each in came if isinstance(each, Done)) == sorted(names)
    begun = {name: len((tmp_path / name).read_text().split()) for name in names}
    assert begun == {"first": 1, "mortal": 2, "second": 1, "third": 1}, "nothing else is done twice"


def test_a_task_is_looked_up_when_its_turn_comes() -> None:
    asked: list[str] = []

    class Tasks(Mapping[str, str]):
        def __getitem__(self, key: str) -> str:
            asked.append(key)
            if key == "gone":
                raise InputError("The file is gone.")
            return key

        def __iter__(self) -> Iterator[str]:
            return iter(("a", "gone", "b"))

        def __len__(self) -> int:
            return 3

    with closing(spread(Tasks(), chore, crew())) as came:
        assert next(came) == Done("a", "a")
        assert asked == ["a"]
        assert list(came) == [Failed("gone", "The file is gone."), Done("b", "b")]


def test_a_worker_that_cannot_start_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sfumato.many.processes.serve", "nothing to call")
    with pytest.raises(SfumatoError, match="could not be started"):
        list(spread({"a": "fine"}, chore, crew(2)))


def begun(folder: Path) -> list[int]:
    return [int(path.name) for path in folder.iterdir() if path.name.isdecimal()]


def test_an_interrupt_ends_the_workers_and_gives_what_was_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    came: list[Any] = []

    def interrupted(pipes: list[Any], timeout: float | None = None) -> list[Any]:
        """Ctrl-C at the moment when the result of "second" has come and is not yet read."""
        ready = wait(pipes, timeout)
        if timeout is None and came and pipes[0] in ready:
            wait_for(lambda: begun(tmp_path))
            raise KeyboardInterrupt
        return ready

    monkeypatch.setattr("sfumato.many.processes.wait", interrupted)
    results = spread({"first": "a", "slow": f"begin {tmp_path}", "second": "b"}, chore, crew(2))
    with pytest.raises(KeyboardInterrupt):
        came.extend(results)
    assert came == [Done("first", "a"), Done("second", "b")]
    assert (tmp_path / "unwound").exists(), "its `finally` ran"
    assert not any(Path(f"/proc/{process}").exists() for process in begun(tmp_path))


@pytest.fixture
def hearing() -> Iterator[None]:
    """Ctrl-C is heard, also where whoever runs the tests had it ignored, as shells do in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler, "it is as it was before"
    signal.signal(signal.SIGINT, before)


def told(pipe: Any) -> bool:
    """Whether more waits in a pipe than the first word of a worker and its length: a result."""
    waiting = fcntl.ioctl(pipe.fileno(), termios.FIONREAD, bytes(4))
    return int.from_bytes(waiting, sys.byteorder) > 4 + len(READY)


class Receiver:
    """Is at a result for a while when Ctrl-C is pressed; keeps which it came to an end with."""

    def __init__(self, results: Iterator[Any], *, meanwhile: Any = None, presses: int = 1) -> None:
        self._results, self._meanwhile, self._presses = results, meanwhile, presses
        self.received: list[str] = []

    def receive(self) -> None:
        for each in self._results:
            if not self.received:
                wait_for(self._meanwhile or (lambda: True))
                for _ in range(self._presses):
                    os.kill(os.getpid(), signal.SIGINT)
            self.received.append(each.key)


@pytest.mark.usefixtures("hearing")
def test_an_interrupt_lets_whoever_is_at_a_result_come_to_an_end_with_it() -> None:
    receiver = Receiver(spread({"a": "fine", "b": "fine"}, chore, crew()))
    with pytest.raises(KeyboardInterrupt):
        receiver.receive()
    assert receiver.received == ["a"]


@pytest.mark.usefixtures("hearing")
def test_an_interrupt_gives_what_came_while_the_receiver_was_at_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second result waits in its pipe: "b" is done when "c" has begun, and that when "a" has come."""
    tasks = {"a": f"mark {tmp_path / 'a'}", "b": f"wait {tmp_path} 2", "c": f"begin {tmp_path}"}
    busy: set[Any] = set()

    def known(pipes: list[Any], timeout: float | None = None) -> list[Any]:
        busy.update(pipes)
        return wait(pipes, timeout)

    monkeypatch.setattr("sfumato.many.processes.wait", known)

    receiver = Receiver(spread(tasks, chore, crew(2)), meanwhile=lambda: any(map(told, busy)))
    with pytest.raises(KeyboardInterrupt):
        receiver.receive()
    assert sorted(receiver.received) == ["a", "b"]


@pytest.mark.usefixtures("hearing")
def test_a_second_interrupt_waits_for_nobody() -> None:
    receiver = Receiver(spread({"a": "fine", "b": "fine"}, chore, crew()), presses=2)
    with pytest.raises(KeyboardInterrupt):
        receiver.receive()
    assert not receiver.received


@pytest.mark.usefixtures("hearing")
def test_an_interrupt_at_the_last_result_is_not_forgotten() -> None:
    receiver = Receiver(spread({"a": "fine"}, chore, crew()))
    with pytest.raises(KeyboardInterrupt):
        receiver.receive()
    assert receiver.received == ["a"]


def test_closing_ends_the_workers(tmp_path: Path) -> None:
    with closing(spread({"slow": f"begin {tmp_path}", "quick": "fine"}, chore, crew(2))) as results:
        assert next(results) == Done("quick", "fine")
        wait_for(lambda: begun(tmp_path))
    assert (tmp_path / "unwound").exists()


def test_whoever_asks_again_while_workers_end_does_not_wait_for_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(worker: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("sfumato.many.processes._Worker.bury", interrupted)
    results = spread({"stays": f"stay {tmp_path}", "quick": "fine"}, chore, crew(2))
    assert next(results) == Done("quick", "fine")
    wait_for(lambda: begun(tmp_path))
    with pytest.raises(KeyboardInterrupt):
        results.close()
    (worker,) = (psutil.Process(process) for process in begun(tmp_path))
    worker.wait(10)


def test_a_slow_task_holds_up_no_other(tmp_path: Path) -> None:
    """It ends when all others have: whoever shared the tasks out beforehand would wait for ever."""
    quick = {str(number): f"mark {tmp_path / str(number)}" for number in range(4)}
    came = list(spread({"slow": f"wait {tmp_path} 4"} | quick, chore, crew(2)))
    assert [each.key for each in came] == ["0", "1", "2", "3", "slow"]


def test_what_is_not_said_is_the_same_for_all_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sfumato.many.crew.processors", lambda: 8)
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    assert crew(0, threads=None).machine == {}
    assert crew(3, precision="bf16").machine == {"threads": 2, "precision": "bf16"}
    assert crew(3, threads=7).machine == {"threads": 7}
    assert crew(16).machine == {"threads": 1}
    assert Crew(ray="auto", processes=4).machine == {"threads": 5, "device": "cpu"}
    assert Crew(ray="local", processes=4).machine == {"threads": 2, "device": "cpu"}
    assert Crew(ray="auto", choices={"device": "cuda"}).machine == {"threads": 5, "device": "cuda"}


@pytest.mark.parametrize("processes", [-1, 1000])
def test_a_silly_number_is_a_sentence(processes: int) -> None:
    with pytest.raises(InputError, match=f"There cannot be {processes} processes"):
        Crew(processes=processes)
