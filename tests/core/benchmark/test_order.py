"""In which order edits are made, on how many cases, and how long the rest takes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from sfumato.benchmark import session as session_module
from sfumato.benchmark.estimate import Estimate
from sfumato.benchmark.plan import Choice
from sfumato.benchmark.results import Result
from sfumato.benchmark.runner import Made, in_place
from tests.core.benchmark.benches import Bench, table


def slow_after(monkeypatch: pytest.MonkeyPatch, limit: float) -> None:
    monkeypatch.setattr(session_module, "SLOW", limit)


@pytest.mark.parametrize(("limit", "count"), [(1e9, 4), (-1.0, 2)])
def test_a_slow_pairing_is_run_on_fewer_cases(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, limit: float, count: int
) -> None:
    monkeypatch.setattr("sfumato.benchmark.plan.FEW_PER_TYPE", 1)
    slow_after(monkeypatch, limit)
    session = bench.session()
    steps = list(session.run())
    found = table(session)
    assert found["fake"].cases == count
    assert len(steps) == 3 * 4 + count
    again = bench.session()
    list(again.run())
    assert again.made == 0
    assert table(again)["fake"].cases == count


def test_a_number_that_was_asked_for_is_kept_however_slow(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.choice = Choice(per_type=2)
    slow_after(monkeypatch, -1.0)
    session = bench.session()
    list(session.run())
    assert table(session)["fake"].cases == 4


def test_an_inversion_that_was_found_counts_in_full_against_a_slow_pairing(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sfumato.benchmark.plan.FEW_PER_TYPE", 1)

    def slow(tasks: Any, workshop: Any) -> Iterator[Any]:
        for key, came in in_place(tasks, workshop):
            assert isinstance(came, Made)
            inverting = 40.0 if came.inversion and not came.reused else 0.0
            yield key, replace(came, seconds={"inversion": inverting, "edit": 0.1})

    bench.names = ("direct+p2p",)
    list(bench.session().run(slow))
    bench.names = ("direct+reprompt",)
    session = bench.session()
    list(session.run(slow))
    found = session.of(next(row for row in session.rows if row.is_edit))
    assert [result.reused for _, result in found] == [True, True], "40 s were spent on it, if by others"


def test_an_inversion_whose_maker_was_stopped_is_as_slow_as_it_was(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sfumato.benchmark.plan.FEW_PER_TYPE", 1)

    def found(tasks: Any, workshop: Any) -> Iterator[Any]:
        for key, came in in_place(tasks, workshop):
            assert isinstance(came, Made)
            assert bool(came.inversion_seconds) == bool(came.inversion)
            yield key, replace(came, reused=True, inversion_seconds=40.0, seconds={"inversion": 0.0})

    bench.names = ("direct+reprompt",)
    session = bench.session()
    list(session.run(found))
    assert len(session.of(next(row for row in session.rows if row.is_edit))) == 2


def test_a_model_is_done_with_before_the_next_is_loaded(bench: Bench) -> None:
    asked = list[tuple[str, str]]()

    def noting(tasks: Any, workshop: Any) -> Iterator[Any]:
        asked.extend((tasks[key].recipe.model, tasks[key].recipe.target) for key in tasks)
        yield from in_place(tasks, workshop)

    session = bench.session()
    row = session.rows[-1]
    other = replace(row.pairing, name="other", recipe=row.pairing.recipe.model_copy(update={"model": "two"}))
    other = replace(other, recipe=other.recipe.model_copy(update={"seed": 1}))
    session.rows.append(replace(row, pairing=other))
    session.rows = [replace(each, few=None) for each in session.rows]
    list(session.run(noting))
    assert [model for model, _ in asked] == ["starter"] * 8 + ["two"] * 4


def test_rows_that_share_an_inversion_are_no_neighbours(bench: Bench) -> None:
    """Two workers would make it twice."""
    bench.names = ("ddim+p2p", "ddim+reprompt", "fake", "direct+p2p", "direct+reprompt")
    asked = list[tuple[str, str]]()

    def noting(tasks: Any, workshop: Any) -> Iterator[Any]:
        asked.extend((tasks[key].recipe.inverter, tasks[key].recipe.editor) for key in tasks)
        yield from ()

    session = bench.session()
    session.rows = [replace(row, few=None, cases=row.cases[:1]) for row in session.rows if row.is_edit]
    list(session.run(noting))
    inverters = [inverter for inverter, editor in asked if editor != "fake"]
    assert sorted(inverters) == ["ddim", "ddim", "direct", "direct"]
    assert inverters[0] != inverters[1]


def test_results_may_come_in_any_order(bench: Bench) -> None:
    def backwards(tasks: Any, workshop: Any) -> Iterator[Any]:
        yield from reversed(list(in_place(tasks, workshop)))

    steps = list(bench.session().run(backwards))
    assert len(steps) == 16
    assert {step.total for step in steps} == {16}
    assert steps[-1].seconds_left == 0


def test_an_estimate_takes_each_pairing_for_what_it_is_and_knows_of_other_workers() -> None:
    now = 0.0
    estimate = Estimate({"identity"}, clock=lambda: now)
    estimate.expect(["fast"] * 3 + ["slow"] * 2 + ["identity"] * 9)
    assert (estimate.total, estimate.seconds_left) == (14, None)
    estimate.note("identity", Result("k", "identity", "1"), fresh=False)
    estimate.note("fast", Result("k", "fast", "1", seconds={"edit": 1.0}), fresh=False)
    assert estimate.seconds_left is None, "found is not made: nothing is known of this machine"
    now = 5.0
    estimate.note("slow", Result("k", "slow", "1", seconds={"edit": 10.0}), fresh=True)
    # Two workers: 10 s of work in 5 s of the clock. To come: 2 x 1 s + 1 x 10 s.
    assert estimate.seconds_left == 6
    estimate.note("slow", Result("k", "slow", "2", failure="It fell over."), fresh=True)
    assert (estimate.done, estimate.total, estimate.seconds_left) == (4, 14, 1)
