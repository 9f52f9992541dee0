"""What goes wrong costs the edit it is about, is told in a sentence, and is tried again."""

from __future__ import annotations

import io
import re
from collections.abc import Generator, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sfumato.benchmark.folder import read_cases
from sfumato.benchmark.judge import Reading
from sfumato.benchmark.plan import Choice
from sfumato.benchmark.runner import Made, in_place, made_by
from sfumato.benchmark.scoring import Scorer
from sfumato.errors import InputError
from sfumato.many.crew import Crew
from sfumato.method import Edit, Progress
from tests.chores import bugged, opened
from tests.core.benchmark.benches import Bench, Fake, Reader, failures, table


class Broken(Reader):
    def read(self, pixels: np.ndarray) -> list[Reading]:
        raise ZeroDivisionError("a bug")


class Hungry(Fake):
    """Short of memory at the first try of each edit."""

    short, tried = True, 0

    def edit(self, *given: Any) -> Generator[Progress, None, Edit]:
        self.tried += 1
        if self.short and self.tried % 2:
            raise MemoryError
        return (yield from super().edit(*given))


def test_failures_are_told_kept_and_tried_again(bench: Bench) -> None:
    bench.names, bench.editors = ("fake", "direct+p2p"), (broken := Fake(),)
    broken.fails = True
    first = bench.session()
    told = failures(list(first.run()))
    assert told == ["The fake fell over."] * 4
    found = table(first)
    assert (found["fake"].cases, found["fake"].failed) == (0, 4)
    assert found["direct+p2p"].cases == 4
    broken.fails = False
    again = bench.session()
    assert not failures(list(again.run()))
    assert again.made == 4
    assert table(again)["fake"].failed == 0


def test_what_other_weights_made_is_not_kept(bench: Bench) -> None:
    def elsewhere(tasks: Any, workshop: Any) -> Iterator[Any]:
        for key, came in in_place(tasks, workshop):
            assert isinstance(came, Made)
            yield key, replace(came, weights="other")

    told = failures(list((session := bench.session()).run(elsewhere)))
    assert len(told) == 8, "the way through the autoencoder, too"
    assert all(each.startswith("The worker that had it calls other weights") for each in told)
    assert session.made == 0
    assert not failures(list(bench.session().run()))


def test_another_method_of_that_name_makes_nothing(bench: Bench) -> None:
    def elsewhere(tasks: Any, workshop: Any) -> Iterator[Any]:
        others = {key: replace(tasks[key], methods=tasks[key].methods and "other") for key in tasks}
        yield from in_place(others, workshop)

    told = failures(list(bench.session().run(elsewhere)))
    assert len(told) == 4
    assert all(each.startswith("The worker that had it lacks the method 'fake'") for each in told)


def test_what_cannot_be_measured_is_kept_told_and_measured_another_time(bench: Bench) -> None:
    class Clumsy(Reader):
        def read(self, pixels: np.ndarray) -> list[Reading]:
            found = super().read(pixels)
            if self.seen == 20:
                raise ZeroDivisionError("a bug")
            return found

    first = bench.session(Scorer(reader=Clumsy()))
    (told,) = failures(steps := list(first.run()))
    assert len(steps) == 16, "the others go on"
    assert told.startswith("It was made and kept, but not measured. Something went wrong inside Sfumato")
    assert "failures.log" in told
    assert first.made == 8
    again = bench.session(Scorer(reader=Reader()))
    assert not failures(list(again.run()))
    assert again.made == 0


def test_what_is_no_edit_was_not_made_either(bench: Bench) -> None:
    told = failures(list(bench.session(Scorer(reader=Broken())).run()))
    free = [each for each in told if each.startswith("Something went wrong inside Sfumato")]
    assert len(free) == 8, "the pictures as they are, and their true edits"
    assert all(
        each.startswith("It was made and kept, but not measured. ") for each in told if each not in free
    )


def test_what_was_made_smaller_and_cannot_be_measured_failed(bench: Bench) -> None:
    bench.names, bench.editors, bench.choice = ("fake",), (Hungry(),), Choice(count=2)
    session = bench.session(Scorer(reader=Broken()))
    failures(list(session.run()))
    assert (table(session)["fake"].cases, table(session)["fake"].failed) == (0, 2)


def test_what_was_made_smaller_for_want_of_memory_is_shown_and_tried_again(bench: Bench) -> None:
    bench.editors, bench.choice = (hungry := Hungry(),), Choice(count=2)
    first = bench.session()
    assert not failures(list(first.run()))
    assert (table(first)["fake"].cases, table(first)["fake"].noted) == (2, 2)
    hungry.short, hungry.fails = False, True
    failing = bench.session()
    assert len(failures(list(failing.run()))) == 2
    assert (table(failing)["fake"].cases, table(failing)["fake"].failed) == (2, 0), "what there is stays"
    hungry.fails = False
    again = bench.session()
    assert table(again)["fake"].cases == 2
    list(again.run())
    assert (again.made, table(again)["fake"].noted) == (2, 0)
    third = bench.session()
    list(third.run())
    assert third.made == 0


def test_a_bug_in_a_method_is_a_failure_with_a_sentence(bench: Bench) -> None:
    class Buggy(Fake):
        def edit(self, *given: Any) -> Generator[Progress, None, Edit]:
            yield Progress(1, 1, "Faking")
            raise ZeroDivisionError("oh")

    bench.editors, bench.choice = (Buggy(),), Choice(count=1)
    (told,) = failures(list(bench.session().run()))
    assert "ZeroDivisionError: oh" in told
    assert told.endswith(f"Please report it with the details. They are in {bench.out / 'failures.log'}.")
    log = (bench.out / "failures.log").read_text()
    assert re.search(r" fake, case \d+: Something went wrong", log)
    assert 'raise ZeroDivisionError("oh")' in log


def test_a_bug_in_another_process_keeps_its_traceback(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.choice = Choice(count=2)
    monkeypatch.setattr("sfumato.benchmark.runner.work", bugged)
    make = made_by(Crew(processes=2, opener=opened))  # type: ignore[arg-type]
    told = failures(list(bench.session().run(make)))
    assert len(told) == 4, "two edits, and the autoencoder's twice"
    assert all("ZeroDivisionError: a bug" in each and "failures.log" in each for each in told)
    assert (bench.out / "failures.log").read_text().count("in bugged") == 4


def test_a_picture_that_is_damaged_within_costs_its_case_alone(bench: Bench) -> None:
    case = read_cases(bench.folder).cases[2]
    data, jpeg = case.picture.read_bytes(), io.BytesIO()
    Image.open(case.picture).save(jpeg, "JPEG")  # whose header alone is read in advance
    case.picture.write_bytes(jpeg.getvalue()[:-40])
    session = bench.session()
    told = failures(list(session.run()))
    assert set(told) == {f"{case.picture.name} is damaged and cannot be opened as a picture."}
    assert {line.cases for line in table(session).values()} == {3}
    case.picture.write_bytes(data)
    again = bench.session()
    assert not failures(list(again.run()))


def test_a_folder_of_cases_that_goes_away_is_one_sentence(bench: Bench) -> None:
    session = bench.session()
    for case in read_cases(bench.folder).cases:
        case.picture.unlink()
    with pytest.raises(InputError, match=r"cannot be read any more\. What was made so far is kept"):
        list(session.run())


def test_a_picture_that_goes_away_in_between_costs_its_case_alone(bench: Bench) -> None:
    session = bench.session()
    gone = read_cases(bench.folder).cases[1]
    steps = session.run()
    told = [next(steps)]
    gone.picture.unlink()
    told = [step.result for step in (*told, *steps) if step.result.failure]
    assert {result.case for result in told} == {gone.id}
    assert told[0].failure.startswith(f"There is no file {gone.picture}")
    assert table(session)["fake"].cases == 3
