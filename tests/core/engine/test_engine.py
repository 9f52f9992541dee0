"""The engine's thread: events in order, stops at once, and nothing a job does ends it."""

from __future__ import annotations

import queue
import sys
import threading
from collections.abc import Callable, Generator, Iterator
from typing import Any

import pytest

from sfumato.engine import Engine
from sfumato.errors import MemoryShortage, MethodError
from sfumato.events import Advanced, Cancelled, Event, Failed, Finished, Ready, Started
from sfumato.method import Edit, Editor, Need, Progress
from sfumato.settings import Settings

Make = Callable[..., Any]
PATIENCE = 60.0


class Listener:
    """Collects events and lets a test wait for one."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.threads: set[str] = set()
        self._queue: queue.Queue[Event] = queue.Queue()

    def __call__(self, event: Event) -> None:
        self.events.append(event)
        self.threads.add(threading.current_thread().name)
        self._queue.put(event)

    def until(self, *kinds: type) -> Any:
        while not isinstance(event := self._queue.get(timeout=PATIENCE), kinds):
            pass
        return event


class Scripted(Editor[Any]):
    """Does in its second step what a test wants."""

    name = "scripted"
    title = "Scripted"
    summary = "Follows a script."
    needs = frozenset({Need.IMAGE})
    inversion = "none"

    def __init__(self, act: Callable[[Any], None] = lambda model: None) -> None:
        self.act = act
        self.closed = threading.Event()

    def edit(self, request: Any, inversion: Any, model: Any) -> Generator[Progress, None, Edit]:
        try:
            yield Progress(1, 3, "Acting", request.x0)
            self.act(model)
            yield Progress(2, 3, "Acting", request.x0)
            yield Progress(3, 3, "Acting", request.x0)
            return Edit(latents=request.x0)
        finally:
            self.closed.set()


@pytest.fixture
def listener() -> Listener:
    return Listener()


@pytest.fixture
def run(settings: Settings, make_workshop: Make, listener: Listener) -> Iterator[Callable[..., Engine]]:
    """Start an engine with some methods beside the real ones."""
    started: list[Engine] = []

    def start(*methods: Any) -> Engine:
        workshop = make_workshop(*methods)
        engine = Engine(listener, settings=settings, open_workshop=lambda _: workshop)
        started.append(engine)
        engine.start()
        return engine

    yield start
    for engine in started:
        assert engine.close(PATIENCE)


def test_a_job_is_told_from_start_to_finish_on_one_thread(
    run: Make, listener: Listener, make_job: Make
) -> None:
    job = make_job()
    run().submit(job)
    finished = listener.until(Finished, Failed)
    kinds = [type(event) for event in listener.events]
    assert kinds[:2] == [Ready, Started]
    assert kinds[2:] == [Advanced] * (len(kinds) - 3) + [Finished]
    assert finished.job == job.id
    assert listener.threads == {"sfumato-engine"}
    stages = [event.stage for event in listener.events if isinstance(event, Advanced)]
    assert list(dict.fromkeys(stages)) == [
        "Loading the model", "Reading the picture", "Inverting", "Editing", "Finishing",
    ]  # fmt: skip


def test_jobs_are_done_in_order(run: Make, listener: Listener, make_job: Make) -> None:
    engine, jobs = run(), [make_job(), make_job(), make_job()]
    for job in jobs:
        engine.submit(job)
    for _ in jobs:
        listener.until(Finished)
    assert [event.job for event in listener.events if isinstance(event, Finished)] == [job.id for job in jobs]


def test_previews_are_made_only_while_somebody_looks(run: Make, listener: Listener, make_job: Make) -> None:
    engine = run(Scripted())
    engine.submit(make_job(editor="scripted"))
    listener.until(Finished)
    assert all(event.preview is None for event in listener.events if isinstance(event, Advanced))
    listener.events.clear()
    engine.watch(True)
    engine.submit(make_job(editor="scripted"))
    listener.until(Finished)
    seen = [event for event in listener.events if isinstance(event, Advanced) and event.preview is not None]
    assert len(seen) == 3
    assert seen[0].preview.dtype.name == "uint8"
    assert seen[0].preview.shape[2] == 3
    assert seen[0].box == (0, 0, 48, 40)


def test_a_stop_inside_the_network_ends_the_job_and_leaves_nothing(
    run: Make, listener: Listener, make_job: Make, tiny_model: Any
) -> None:
    processors = dict(tiny_model.unet.attn_processors)
    engine = run()
    blocks = 0

    def stop_in_the_second_block(*_: Any) -> None:
        nonlocal blocks
        blocks += 1
        if blocks == 1:
            engine.cancel()

    down, up = tiny_model.unet.down_blocks[0], tiny_model.unet.up_blocks[-1]
    reached: list[int] = []
    handles = [
        down.register_forward_pre_hook(stop_in_the_second_block),
        up.register_forward_hook(lambda *_: reached.append(1)),
    ]
    try:
        job = make_job()
        engine.submit(job)
        assert listener.until(Cancelled, Finished, Failed) == Cancelled(job.id)
    finally:
        for handle in handles:
            handle.remove()
    assert reached == [], "the network ran on to its end"
    assert tiny_model.unet.attn_processors == processors
    engine.submit(make_job())
    assert isinstance(listener.until(Cancelled, Finished, Failed), Finished)


def test_a_stop_between_steps_closes_the_method(run: Make, listener: Listener, make_job: Make) -> None:
    method = Scripted(lambda _: engine.cancel())
    engine = run(method)
    job = make_job(editor="scripted")
    engine.submit(job)
    assert listener.until(Cancelled, Finished, Failed) == Cancelled(job.id)
    assert method.closed.is_set()


def test_a_waiting_job_is_taken_out(run: Make, listener: Listener, make_job: Make) -> None:
    second, third = make_job(), make_job()

    def act(_: Any) -> None:
        engine.submit(second)
        engine.submit(third)
        engine.cancel(second.id)

    engine = run(Scripted(act))
    first = make_job(editor="scripted")
    engine.submit(first)
    finished = [listener.until(Finished).job, listener.until(Finished).job]
    assert finished == [first.id, third.id]
    assert Cancelled(second.id) in listener.events
    assert Started(second.id) not in listener.events


def test_closing_stops_everything(run: Make, listener: Listener, make_job: Make) -> None:
    here, go = threading.Event(), threading.Event()

    def act(_: Any) -> None:
        here.set()
        assert go.wait(PATIENCE)

    engine = run(Scripted(act))
    jobs = [make_job(editor="scripted"), make_job()]
    for job in jobs:
        engine.submit(job)
    assert here.wait(PATIENCE)
    assert not engine.close(0.01), "the method is still waiting"
    go.set()
    assert engine.close(PATIENCE)
    assert {event.job for event in listener.events if isinstance(event, Cancelled)} == {
        job.id for job in jobs
    }


def raising(error: BaseException) -> Callable[[Any], None]:
    def act(_: Any) -> None:
        raise error

    return act


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory"),
        RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 4 bytes."),
        RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    ],
)
def test_memory_that_runs_out_is_a_sentence_with_a_next_step(
    run: Make, listener: Listener, make_job: Make, error: Exception
) -> None:
    engine = run(Scripted(raising(error)))
    engine.submit(make_job(editor="scripted", candidates=4))
    failed = listener.until(Finished, Failed)
    assert isinstance(failed.error, MemoryShortage)
    assert "tried with 1 candidate, too" in failed.error.what
    assert "unchanged" in failed.error.kept
    engine.submit(make_job())
    assert isinstance(listener.until(Finished, Failed), Finished)


@pytest.mark.parametrize("error", [ZeroDivisionError("oops"), KeyError("x"), SystemExit(3), RuntimeError()])
def test_a_bug_is_admitted_with_its_traceback_and_the_engine_lives(
    run: Make, listener: Listener, make_job: Make, error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    engine = run(Scripted(raising(error)))
    engine.submit(make_job(editor="scripted"))
    failed = listener.until(Finished, Failed)
    assert "this is a bug" in failed.error.what
    assert failed.error.__cause__ is error
    assert type(error).__name__ in failed.error.details
    assert "Traceback" in failed.error.details
    assert type(error).__name__ in caplog.text
    engine.submit(make_job())
    assert isinstance(listener.until(Finished, Failed), Finished)


def test_an_error_for_people_is_passed_on_as_it_is(run: Make, listener: Listener, make_job: Make) -> None:
    told = MethodError("It rained.", advice="Wait.")
    run(Scripted(raising(told))).submit(make_job(editor="scripted"))
    assert listener.until(Finished, Failed).error is told


def test_a_refusal_is_a_failure_in_one_sentence(run: Make, listener: Listener, make_job: Make) -> None:
    run().submit(make_job(editor="p2p", source=""))
    error = listener.until(Finished, Failed).error
    assert str(error) == "Prompt-to-Prompt needs a source prompt: say what the picture shows."


def test_a_listener_that_fails_does_not_end_the_engine(
    settings: Settings, make_workshop: Make, make_job: Make, caplog: pytest.LogCaptureFixture
) -> None:
    listener = Listener()

    def clumsy(event: Event) -> None:
        listener(event)
        raise ValueError("clumsy")

    engine = Engine(clumsy, settings=settings, open_workshop=lambda _: make_workshop())
    engine.start()
    engine.submit(make_job())
    assert isinstance(listener.until(Finished, Failed), Finished)
    assert engine.close(PATIENCE)
    assert "clumsy" in caplog.text


def test_an_engine_that_cannot_open_says_so_and_fails_jobs(
    settings: Settings, listener: Listener, make_job: Make
) -> None:
    def open_workshop(_: Settings) -> Any:
        raise ImportError("no torch here")

    engine = Engine(listener, settings=settings, open_workshop=open_workshop)
    engine.start()
    assert "no torch here" in listener.until(Ready).broken[0].error
    engine.submit(make_job())
    assert "could not start" in listener.until(Failed).error.what
    assert engine.close(PATIENCE)


def test_other_threads_get_their_turn_while_the_engine_opens(settings: Settings, make_workshop: Make) -> None:
    turns: list[float] = []
    before, listener = sys.getswitchinterval(), Listener()

    def open_workshop(_: Settings) -> Any:
        turns.append(sys.getswitchinterval())
        return make_workshop()

    engine = Engine(listener, settings=settings, open_workshop=open_workshop)
    engine.start()
    listener.until(Ready)
    assert engine.close(PATIENCE)
    assert turns == [pytest.approx(0.0005)]
    assert sys.getswitchinterval() == pytest.approx(before)


def test_closing_an_engine_that_never_started_is_fine(settings: Settings, listener: Listener) -> None:
    assert Engine(listener, settings=settings).close()
