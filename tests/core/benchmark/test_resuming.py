"""Each edit is made once and kept, whatever happens; what it depends on makes it another."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from math import isnan
from pathlib import Path
from typing import Any

import pytest

from sfumato.benchmark.plan import Choice
from sfumato.benchmark.results import Result, Results
from sfumato.benchmark.runner import in_place, made_by
from sfumato.benchmark.scoring import Scorer
from sfumato.errors import InputError
from sfumato.events import Cost
from sfumato.many.crew import Crew
from sfumato.method import Recipe
from tests.chores import copied, opened
from tests.core.benchmark.benches import Bench, Fake, Reader, failures, table


def test_a_second_run_makes_nothing(bench: Bench) -> None:
    first = bench.session()
    list(first.run())
    again = bench.session()
    assert len(list(again.run())) == 16
    assert again.made == 0
    before, after = table(first), table(again)
    assert list(after) == list(before)
    for name, line in before.items():
        assert after[name].cases == line.cases
        assert after[name].means == pytest.approx(dict(line.means), nan_ok=True)


def test_a_run_that_was_stopped_goes_on(bench: Bench) -> None:
    first = bench.session()
    steps = first.run()
    while first.made < 3:
        next(steps)
    steps.close()
    again = bench.session()
    done = list(again.run())
    assert len(done) == 16
    assert again.made == 8 - 3
    assert bench.session().results.damaged == 0


def test_an_interrupt_within_an_edit_loses_that_edit_alone(bench: Bench) -> None:
    def interrupted(tasks: Any, workshop: Any) -> Iterator[Any]:
        yield next(in_place(tasks, workshop))
        raise KeyboardInterrupt

    first = bench.session()
    with pytest.raises(KeyboardInterrupt):
        list(first.run(interrupted))
    again = bench.session()
    list(again.run())
    assert (first.made, again.made) == (1, 7)


def test_a_worker_that_is_killed_loses_nothing_and_a_rerun_makes_nothing(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes = tmp_path / "notes"
    notes.mkdir()
    monkeypatch.setenv("NOTES", str(notes))
    monkeypatch.setattr("sfumato.benchmark.runner.work", copied)
    make = made_by(Crew(processes=2, opener=opened))  # type: ignore[arg-type]
    first = bench.session()
    assert not failures(list(first.run(make)))
    begun = [len(path.read_text().split()) for path in notes.glob("*.txt")]
    assert sorted(begun) == [1, 1, 1, 1, 1, 1, 1, 2], "only what the killed one was at is begun again"
    again = bench.session()
    assert len(list(again.run(make))) == 16
    assert (first.made, again.made) == (8, 0)


def test_lines_and_pictures_that_were_cut_short_are_made_again(bench: Bench) -> None:
    list(bench.session().run())
    path = bench.out / "results.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) - 30])
    second = bench.session()
    assert second.results.damaged == 1
    list(second.run())
    assert second.made == 1
    edited = next(result for row in second.rows if row.is_edit for _, result in second.of(row))
    (bench.out / edited.picture).unlink()
    list((third := bench.session()).run())
    assert third.made == 1


@pytest.mark.parametrize("damage", [lambda data: data[:-5], lambda data: b"x" * 50, lambda data: b""])
def test_a_picture_that_is_none_any_more_is_made_again(bench: Bench, damage: Any) -> None:
    list((first := bench.session()).run())
    path = bench.out / next(each.picture for row in first.rows if row.is_edit for _, each in first.of(row))
    before = path.read_bytes()
    path.write_bytes(damage(before))
    list((again := bench.session()).run())
    assert again.made == 1
    assert path.read_bytes() == before


def test_a_damaged_picture_is_noticed_when_it_is_to_be_scored(bench: Bench) -> None:
    session = bench.session()
    list(session.run())
    edited = next(result for row in session.rows if row.is_edit for _, result in session.of(row))
    path = bench.out / edited.picture
    whole = path.read_bytes()
    path.write_bytes(whole[:40] + b"x" * (len(whole) - 60) + whole[-20:])
    again = bench.session(Scorer(reader=Reader()))
    list(again.run())
    assert again.made == 1


def test_other_settings_are_other_edits(bench: Bench) -> None:
    bench.choice = Choice(count=1)
    list(bench.session().run())
    other = bench.session(base=Recipe(steps=3))
    list(other.run())
    assert other.made == 1, "what the autoencoder makes of a picture depends on no step"
    back = bench.session()
    list(back.run())
    assert back.made == 0


def test_another_version_of_a_method_is_run_again(bench: Bench) -> None:
    bench.choice = Choice(count=1)
    list(bench.session().run())

    class Newer(Fake):
        version = 2

    bench.editors = (Newer(),)
    newer = bench.session()
    list(newer.run())
    assert newer.made == 1


def test_a_reader_that_comes_later_scores_what_is_there(bench: Bench) -> None:
    list(bench.session().run())
    reader = Reader()
    scored = bench.session(Scorer(reader=reader))
    assert isnan(table(scored)["fake"].means["gain"]), "figures of other networks are not mixed in"
    list(scored.run())
    assert (scored.made, reader.seen) == (0, 16 + 4), "edits are read finished and as decoded"
    assert table(scored)["fake"].means["attributes_right"] == 1
    again = bench.session(Scorer(reader=reader))
    list(again.run())
    assert reader.seen == 16 + 4, "what was read is kept"


def test_another_annotation_is_scored_again_and_not_edited_again(bench: Bench) -> None:
    from tests.core.benchmark.test_folder import edit_mapping

    list(bench.session(Scorer(reader=Reader())).run())
    edit_mapping(
        bench.folder,
        lambda entries: [entry["expected"][0].update(value="fish") for entry in entries.values()],
    )
    again = bench.session(Scorer(reader=Reader()))
    list(again.run())
    assert again.made == 0
    assert table(again)["fake"].means["attributes_right"] == 0


def test_a_result_comes_back_from_its_line() -> None:
    scores = {"gain": 0.5, "psnr_unedit_part": float("inf"), "mse_truth": float("nan")}
    told = Result("k", "a+b", "1", costs={"edit": Cost(3, 2, 1)}, seconds={"edit": 0.1}, scores=scores)
    more = {"inversion": "i", "processor": "Fast", "depends": {"threads": 1}, "notes": ("It was smaller.",)}
    result = replace(told, decoded="d.png", decoded_scores=scores, **more)
    back = Result.from_json(result.to_json())
    assert '"inf"' in result.to_json()
    assert "NaN" not in result.to_json()
    assert (back.costs, back.seconds) == (result.costs, result.seconds)
    assert replace(back, scores={}, decoded_scores={}) == replace(result, scores={}, decoded_scores={})
    assert dict(back.scores) == pytest.approx(scores, nan_ok=True)
    assert dict(back.decoded_scores) == pytest.approx(scores, nan_ok=True)


def test_results_need_a_folder(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    with pytest.raises(InputError, match="is a file"):
        Results(tmp_path / "out")


def test_odd_names_do_not_leave_the_folder(bench: Bench) -> None:
    from sfumato.benchmark.results import place_of

    places = [place_of(name, "source.png") for name in ("../../a", "..", "a/b", "a_b", "a b", "ä")]
    places += [place_of("x" * 300 + end, "source.png") for end in "ab"]
    assert len(set(places)) == 8
    assert max(len(part) for place in places for part in place.split("/")) < 200
    root = bench.out / "pictures"
    assert all((bench.out / each).resolve().parent.parent == root.resolve() for each in places)
