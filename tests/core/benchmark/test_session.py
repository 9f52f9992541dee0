"""Runs: each edit is made once and kept, whatever happens, and every figure is of what was kept."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field, replace
from math import inf, isnan
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sfumato.benchmark import session as session_module
from sfumato.benchmark.cases import load_pictures
from sfumato.benchmark.estimate import Estimate
from sfumato.benchmark.folder import read_cases
from sfumato.benchmark.judge import Reading
from sfumato.benchmark.pairings import named
from sfumato.benchmark.plan import Choice, Row, baselines, planned
from sfumato.benchmark.results import Result, Results
from sfumato.benchmark.runner import Made, in_place, made_by
from sfumato.benchmark.scoring import COLUMNS, Scorer
from sfumato.benchmark.session import Session, Step
from sfumato.benchmark.table import EXACT, Line, lines
from sfumato.diffusion.inversion import Inversion
from sfumato.errors import InputError, MethodError
from sfumato.events import Cost
from sfumato.many.crew import Crew
from sfumato.method import Edit, Editor, EditRequest, Need, Progress, Recipe
from sfumato.params import Params
from tests.chores import bugged, copied, opened
from tests.core.benchmark.conftest import SIDE

BASE = Recipe(steps=2)
Make = Callable[..., Any]


class Fake(Editor[Params]):
    """Returns the picture as it is; fails for a prompt on request."""

    name = "fake"
    title = "Fake"
    summary = "A test."
    needs = frozenset({Need.IMAGE})
    inversion = "none"
    fails = False
    version = 1

    def edit(
        self, request: EditRequest[Params], inversion: Inversion | None, model: Any
    ) -> Generator[Progress, None, Edit]:
        yield Progress(1, 1, "Faking")
        if self.fails:
            raise MethodError("The fake fell over.")
        assert request.x0 is not None
        return Edit(latents=request.x0)


@dataclass
class Reader:
    """Sees a dog in every picture, and counts them."""

    name: str = "fake reader"
    seen: int = 0

    def read(self, pixels: np.ndarray) -> list[Reading]:
        self.seen += len(pixels)
        return [Reading(("dog", None), (None, None), "green")] * len(pixels)


@dataclass
class Bench:
    """One folder of cases and one of results, and as many sessions as one likes."""

    folder: Path
    out: Path
    make_workshop: Make
    names: tuple[str, ...] = ("fake",)
    choice: Choice = field(default_factory=Choice)
    editors: tuple[Any, ...] = field(default_factory=lambda: (Fake(),))

    def session(self, scorer: Scorer | None = None, base: Recipe = BASE) -> Session:
        workshop = self.make_workshop(*self.editors)
        pairings = [named(name, base, workshop.registry) for name in self.names]
        rows = planned(pairings, read_cases(self.folder).cases, self.choice, workshop)
        every = [*baselines(rows, base), *rows]
        return Session(every, scorer or Scorer(), Results(self.out), workshop)


@pytest.fixture
def bench(folder: Path, tmp_path: Path, make_workshop: Make) -> Bench:
    return Bench(folder, tmp_path / "out", make_workshop)


def table(session: Session) -> dict[str, Line]:
    found = [(row, session.of(row)) for row in session.rows]
    return {line.name: line for line in lines(found, session.results.inversions())}


def failures(steps: list[Step]) -> list[str]:
    return [step.result.failure for step in steps if step.result.failure]


def test_a_run_makes_every_edit_and_its_figures(bench: Bench) -> None:
    bench.names = ("direct+p2p", "direct+reprompt", "blended")
    session = bench.session()
    steps = list(session.run())
    assert not failures(steps)
    # The picture, the VAE's, the truth, one headline pairing and two others, on four cases each.
    assert (len(steps), session.made) == (6 * 4, 4 * 4)
    assert [step.done for step in steps] == list(range(1, 25))
    assert {step.total for step in steps[-20:]} == {24}
    found = table(session)
    assert {name: line.cases for name, line in found.items()} == dict.fromkeys(found, 4)
    assert found["identity"].means["gain"] == 0
    assert found["identity"].means["psnr_unedit_part"] == inf
    assert found["truth"].means["gain"] == 1
    assert found["truth"].means["psnr_truth_inside"] == inf
    assert 0 < found["vae"].means["psnr_unedit_part"] < 100
    assert found["blended"].means["psnr_unedit_part"] == inf, "it got the mask, and all else is exact"
    assert found["direct+p2p"].means["psnr_unedit_part"] < 100
    assert {name: line.means[EXACT] for name, line in found.items()} == {
        "identity": 4, "vae": 0, "truth": 4, "direct+p2p": 0, "direct+reprompt": 0, "blended": 4
    }  # fmt: skip
    assert set(found["direct+p2p"].kinds) == {"1", "2"}
    assert all(isnan(found["vae"].means[name]) for name in COLUMNS if "clip" in name or "struct" in name)


def test_as_decoded_nothing_of_the_picture_is_put_back(bench: Bench) -> None:
    """A method that changes nothing: finished it is the picture, decoded it is the autoencoder's."""
    bench.choice = Choice(count=1)
    plain = bench.session()
    list(plain.run())
    session = bench.session()
    session.rows = [replace(row, pairing=replace(row.pairing, decoded=True)) for row in session.rows]
    list(session.run())
    assert session.made == 0, "which is shown decides nothing that is made"
    assert table(plain)["fake"].means["mse_truth"] == table(plain)["identity"].means["mse_truth"]
    decoded, vae = table(session)["fake"].means, table(session)["vae"].means
    for column in ("psnr_unedit_part", "mse_truth", "gain"):
        assert decoded[column] == pytest.approx(vae[column], abs=1e-6)
    for line, other in zip(table(plain).values(), table(session).values(), strict=True):
        assert line.finished == pytest.approx(dict(other.finished), nan_ok=True)
        assert line.decoded == pytest.approx(dict(other.decoded), nan_ok=True)


def test_what_has_no_decoded_picture_is_its_own(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.choice = Choice(count=1)

    def without(tasks: Any, workshop: Any) -> Iterator[Any]:
        for key, came in in_place(tasks, workshop):
            yield key, replace(came, decoded=None) if isinstance(came, Made) else came

    session = bench.session()
    list(session.run(without))
    for row in session.rows:
        for _, result in session.of(row):
            assert result.picture_as(decoded=True) == result.picture
            assert result.scores_as(decoded=True) == result.scores
    line = table(session)["fake"]
    assert line.decoded == pytest.approx(dict(line.finished), nan_ok=True)


def test_one_picture_in_several_cases_is_made_once_with_figures_for_each(bench: Bench) -> None:
    """Masks, truths and expectations decide figures, not pictures."""
    from tests.core.benchmark.test_folder import edit_mapping

    def alike(entries: dict[str, Any]) -> None:
        first, second, *_ = entries.values()
        other = {**first, "mask": [0, SIDE * SIDE // 2], "truth_path": second["truth_path"]}
        other["expected"] = [{"what": "object", "thing": 0, "value": "fish"}]
        entries.clear()
        entries.update({"one": first, "two": other, "three": other})

    edit_mapping(bench.folder, alike)
    bench.names = ("fake", "blended")
    session = bench.session(Scorer(reader=Reader()))
    assert not failures(list(session.run()))
    assert session.made == 1 + 1 + 2, "the autoencoder's and the fake's once, and blended for each mask"
    found = {row.name: {case.id: result for case, result in session.of(row)} for row in session.rows}
    for name in ("vae", "fake"):
        one, two, three = (found[name][each] for each in ("one", "two", "three"))
        assert one.picture == two.picture == three.picture
        assert (one.scores["attributes_right"], two.scores["attributes_right"]) == (1, 0)
        assert one.decoded_scores != two.decoded_scores or name == "vae"
        assert one.scores["mse_truth"] != two.scores["mse_truth"]
        assert two.scores == three.scores
    assert found["vae"]["one"].scores["psnr_unedit_part"] != found["vae"]["two"].scores["psnr_unedit_part"]
    reader = Reader()
    again = bench.session(Scorer(reader=reader))
    list(again.run())
    assert (again.made, reader.seen) == (0, 0)


def test_what_is_kept_is_what_was_scored(bench: Bench) -> None:
    session = bench.session()
    list(session.run())
    scorer = Scorer()
    for row in session.rows:
        for case, result in session.of(row):
            for decoded in (False, True):
                path = bench.out / result.picture_as(decoded=decoded)
                again = scorer(case, load_pictures(case), np.asarray(Image.open(path).convert("RGB")))
                assert again == pytest.approx(dict(result.scores_as(decoded=decoded)), nan_ok=True)


def test_an_inversion_is_made_once_a_case_and_charged_to_all(bench: Bench) -> None:
    bench.names = ("direct+p2p", "direct+reprompt")
    session = bench.session()
    list(session.run())
    reused = {(row.name, case.id): result.reused for row in session.rows for case, result in session.of(row)}
    for case in session.rows[0].cases:
        assert reused["direct+p2p", case.id] != reused["direct+reprompt", case.id]
    found = table(session)
    for name, edit in (("direct+p2p", 6), ("direct+reprompt", 4)):
        assert found[name].means["inversion_rows"] == BASE.steps
        assert found[name].means["edit_rows"] == edit
        assert found[name].means["inversion_seconds"] > 0
    assert (
        found["direct+p2p"].means["inversion_seconds"] == found["direct+reprompt"].means["inversion_seconds"]
    )


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


def test_a_damaged_picture_is_noticed_when_it_is_to_be_scored(bench: Bench) -> None:
    session = bench.session()
    list(session.run())
    edited = next(result for row in session.rows if row.is_edit for _, result in session.of(row))
    (bench.out / edited.picture).write_bytes(b"no picture")
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
    assert set(told) == {f"Case {case.id}: {case.picture.name} is damaged and cannot be opened as a picture."}
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
    assert f"Case {gone.id}: There is no file" in told[0].failure
    assert table(session)["fake"].cases == 3


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
    assert len(set(places)) == 6
    root = bench.out / "pictures"
    assert all((bench.out / each).resolve().parent.parent == root.resolve() for each in places)


def test_a_row_without_cases_has_no_figures() -> None:
    row = Row(named_row := _refused())
    (line,) = lines([(row, [])], {})
    assert (line.name, line.cases) == (named_row.name, 0)
    assert all(isnan(value) for value in line.means.values())


def _refused() -> Any:
    from sfumato.benchmark.pairings import Pairing

    return Pairing("instruct_pix2pix", BASE)
