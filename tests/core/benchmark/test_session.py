"""Runs: every edit has its figures, of what was kept; a picture that several cases share is made once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from math import inf, isnan
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sfumato.benchmark.cases import load_pictures
from sfumato.benchmark.plan import Choice, Row
from sfumato.benchmark.runner import Made, in_place
from sfumato.benchmark.scoring import COLUMNS, Scorer
from sfumato.benchmark.table import EXACT, lines
from tests.core.benchmark.benches import BASE, Bench, Reader, failures, table
from tests.core.benchmark.conftest import SIDE


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


def test_a_row_without_cases_has_no_figures() -> None:
    row = Row(named_row := _refused())
    (line,) = lines([(row, [])], {})
    assert (line.name, line.cases) == (named_row.name, 0)
    assert all(isnan(value) for value in line.means.values())


def _refused() -> Any:
    from sfumato.benchmark.pairings import Pairing

    return Pairing("instruct_pix2pix", BASE)
