"""The tables of what was measured: taken in, merged, written; and what the default pairing owes to them."""

from __future__ import annotations

import csv
import importlib.util
import json
import sys
from math import isnan
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from sfumato import compose
from sfumato.benchmark.folder import read_cases
from sfumato.benchmark.keys import Keys
from sfumato.benchmark.pairings import HEADLINE, named
from sfumato.benchmark.plan import Row
from sfumato.benchmark.results import Result, Results
from sfumato.cli.options import settled
from sfumato.method import Recipe
from sfumato.plugins import load_plugins
from sfumato.starting import starting_inverter

ROOT = Path(__file__).parents[2]


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "packaging" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # by which the other script finds it, as beside it in its folder
    spec.loader.exec_module(module)
    return module


kept, table = script("method_rows"), script("method_table")


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Results of two cases of one type and one of another; one of them was left alone outside its mask."""
    rows = [case("1", 0.0, "20"), case("1", 1.0, "inf"), case("6", 1.0, "30"), case("6", 1.0, "40", "Why.")]
    rows[0]["edit_seconds"] = "100"  # something else ran at the time
    with (tmp_path / "cases.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    made: dict[str, Any] = {"name": "direct+p2p", "model": "starter", "steps": 50, "guidance": 2.5}
    made["editor_values"] = {"self_replace": 0.5, "cross_replace": 0.8}
    (tmp_path / "recipes.json").write_text(json.dumps([made]))
    Results(tmp_path).add(Result("k", "direct+p2p", "1", depends={"threads": 1, "weights": "0123456789"}))
    return tmp_path


def case(kind: str, right: float, background: str, failure: str = "") -> dict[str, str]:
    figures = dict.fromkeys((*kept.FINISHED, *kept.DECODED, *kept.COSTS), "1.0")
    told = {"attributes_right": str(right), "psnr_unedit_part": background, "failure": failure}
    return {"pairing": "direct+p2p", "type": kind, "processor": "X", **figures, **told}


def test_means_are_over_what_was_made_by_type_and_over_all(out: Path):
    rows = {row.kind: row for row in kept.taken(out)}
    assert set(rows) == {kept.ALL, "object", "colour"}
    found = {kind: row.figures for kind, row in rows.items()}
    assert (found[kept.ALL]["cases"], found[kept.ALL]["failed"]) == (3, 1)
    assert found[kept.ALL]["attributes_right"] == pytest.approx(2 / 3)
    assert found[kept.ALL]["psnr_unedit_part"] == 25.0
    assert found[kept.ALL]["exact"] == 1
    assert found[kept.ALL]["edit_seconds"] == 1.0
    assert found["object"]["attributes_right"] == 0.5
    assert found["colour"]["psnr_unedit_part"] == 30.0
    settings = "cross_replace=0.8 self_replace=0.5"
    assert list(rows["object"].made.values()) == ["starter", "01234567", "50", "2.5", settings, "1", "X"]


def measured(pairing: str, cases: int, right: float, kind: str = "all", steps: str = "50") -> Any:
    figures = dict.fromkeys(kept.FIGURES, 1.0) | {"cases": float(cases), "attributes_right": right}
    return kept.Measured(pairing, kind, figures, dict.fromkeys(kept.MADE, "X") | {"steps": steps})


def test_a_run_on_fewer_cases_does_not_replace_one_on_more():
    old = [measured("direct+p2p", 300, 0.7), measured("ddim+p2p", 20, 0.1)]
    new = [measured("direct+p2p", 20, 0.9), measured("ddim+p2p", 60, 0.5), measured("blended", 60, 0.6)]
    right = {row.pairing: row.figures["attributes_right"] for row in kept.merged(old, new)}
    assert right == {"direct+p2p": 0.7, "ddim+p2p": 0.5, "blended": 0.6}


def test_the_table_is_read_as_it_was_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(kept, "TABLE", tmp_path / "table.csv")
    monkeypatch.setattr(kept, "MEASURED", tmp_path)
    rows = [measured("direct+p2p", 300, 0.123456789), measured("vae", 300, float("nan"))]
    kept.write_table(rows)
    again = kept.read_table()
    assert [row.pairing for row in again] == ["direct+p2p", "vae"]
    assert again[0].figures["attributes_right"] == 0.123457
    assert isnan(again[1].figures["attributes_right"])
    assert again[0].made == rows[0].made


def test_only_what_stands_between_the_marks_is_replaced():
    text = f"before {table.BEGIN} old {table.END} after"
    assert table.put(text, "| new |") == f"before {table.BEGIN}\n\n| new |\n\n{table.END} after"
    with pytest.raises(SystemExit, match="lacks"):
        table.put("no marks", "| new |")


def test_the_best_of_a_type_is_bold_among_those_of_as_many_cases():
    rows = [measured("direct+p2p", 300, 0.7), measured("ddim+p2p", 300, 0.5), measured("blended", 20, 0.9)]
    kinds = [measured(row.pairing, 2, row.figures["attributes_right"], "colour") for row in rows]
    shown = table.by_type([*rows, *kinds], table.SHOWN[1])
    assert shown.index("Over 300 cases") < shown.index("**70.0**") < shown.index("20 cases")
    assert "90.0" in shown
    assert "**90.0**" not in shown  # alone among those of twenty cases
    assert "**50.0**" not in shown


def test_inversions_and_editors_are_crossed():
    rights = {"direct+p2p": 0.7, "ddim+p2p": 0.5, "ddim+h_edit": 0.9, "blended": 0.6}
    rows = [measured(pairing, 60, right) for pairing, right in rights.items()]
    lines = table.by_inversion(rows, *table.SHOWN[1:3]).splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert cells[0] == ["inversion", "`h_edit`", "`p2p`"]
    assert cells[2:] == [["`ddim`", "**90.0 · 1.00**", "50.0 · 1.00"], ["`direct`", "", "**70.0 · 1.00**"]]


def test_the_short_table_compares_what_is_over_as_many_cases():
    rows = [measured("direct+h_edit", 60, 0.5), measured("ddim+h_edit", 60, 0.5)]
    few = measured("style+h_edit", 20, 0.5)
    few.figures["gain"], rows[1].figures["gain"] = 3.0, 2.0
    assert table.best_of_each([*rows, few]) == [rows[1]]


def test_a_page_says_of_all_rows_what_they_were_made_with():
    assert "20 and 50 steps" in table.page([measured("a", 9, 0.5), measured("b", 9, 0.5, steps="20")], [])


def test_pages_show_the_table_that_lies_there():
    rows = kept.read_table()
    assert table.PAGE.read_text("utf-8") == table.page(rows, kept.read_table(kept.SETTINGS))
    readme = table.README.read_text("utf-8")
    assert readme == table.put(readme, table.whole_table(table.best_of_each(rows)))


def test_rows_of_the_starter_are_of_the_weights_that_ship(tmp_path: Path):
    workshop = compose.workshop(threads=1, cache_dir=tmp_path)
    case = read_cases(workshop.registry.cases["world"].folder).cases[0]
    recipe = settled(Recipe(steps=50), workshop.registry)
    row = Row(named("ddim+p2p", recipe, workshop.registry), (case,))
    weights = Keys(workshop).depends(row, case)["weights"]
    of_starter = [each for each in kept.read_table() if each.is_whole and each.made["model"] == "starter"]
    plain = [each for each in of_starter if each.editor != "controlnet"]  # whose hash is of two networks
    assert len(plain) >= len(HEADLINE)
    assert {each.made["weights"] for each in plain} == {weights[:8]}


def test_rows_are_of_what_the_program_begins_with(tmp_path: Path):
    registry = compose.workshop(threads=1, cache_dir=tmp_path).registry
    for row in (each for each in kept.read_table() if each.is_whole):
        recipe = settled(named(row.pairing, Recipe(), registry).recipe, registry)
        begun = (recipe.model, str(recipe.steps), str(recipe.guidance), kept.settings(recipe.editor_values))
        made = tuple(row.made[name] for name in ("model", "steps", "guidance", "settings"))
        assert made == begun, row.pairing


def test_the_default_pairing_is_one_the_table_supports():
    """Better than the inversion without correction where nothing should change, and no less right; and no
    other of the headline is better at both."""
    rows = {row.pairing: row.figures for row in kept.read_table() if row.kind == kept.ALL}
    usual = Recipe()
    inverter = starting_inverter(load_plugins().models[usual.model], usual.editor)
    default, plain = rows[f"{inverter}+{usual.editor}"], rows["ddim+p2p"]
    assert default["cases"] == plain["cases"] >= 300
    for prefix in ("", "decoded_"):
        assert default[f"{prefix}psnr_unedit_part"] > plain[f"{prefix}psnr_unedit_part"]
        assert default[f"{prefix}ssim_unedit_part"] > plain[f"{prefix}ssim_unedit_part"]
        assert default[f"{prefix}mse_unedit_part"] < plain[f"{prefix}mse_unedit_part"]
        assert default[f"{prefix}psnr_truth_outside"] > plain[f"{prefix}psnr_truth_outside"]
    assert default["attributes_right"] >= plain["attributes_right"] - 0.01
    for other in (rows[name] for name in HEADLINE if name in rows):
        assert (
            other["attributes_right"] <= default["attributes_right"]
            or other["mse_unedit_part"] > default["mse_unedit_part"]
        )


def test_no_other_setting_of_the_default_pairing_is_better_at_both(tmp_path: Path):
    """More often right, and less of an error where nothing should change; each row changes one setting."""
    registry = compose.workshop(threads=1, cache_dir=tmp_path).registry
    usual = Recipe()
    inverter = starting_inverter(registry.models[usual.model], usual.editor)
    recipe = settled(named(f"{inverter}+{usual.editor}", usual, registry).recipe, registry)
    rows = {row.pairing: row for row in kept.read_table(kept.SETTINGS) if row.is_whole}
    begun = rows.pop("as it begins")
    names = ("steps", "guidance", "settings")
    usually = [str(recipe.steps), str(recipe.guidance), kept.settings(recipe.editor_values)]
    assert [begun.made[name] for name in names] == usually
    assert len(rows) >= 10
    for row in rows.values():
        assert sum(row.made[name] != begun.made[name] for name in names) == 1, row.pairing
        assert all(row.made[name] == begun.made[name] for name in ("model", "weights", "threads"))
        assert (row.count, row.figures["failed"]) == (begun.count, 0) == (60, 0)
        assert (
            row.figures["attributes_right"] <= begun.figures["attributes_right"]
            or row.figures["mse_unedit_part"] > begun.figures["mse_unedit_part"]
        ), row.pairing


def test_no_other_inversion_is_better_at_both_than_the_one_an_editor_begins_with():
    """More often right, and a better background of what is decoded; of rows over as many cases."""
    starter = load_plugins().models[Recipe().model]
    rows = {row.pairing: row for row in kept.read_table() if row.is_whole and row.inverter}
    editors = {row.editor for row in rows.values()}
    assert len(editors) >= 6
    for editor in editors:
        begun = rows[f"{starting_inverter(starter, editor)}+{editor}"].figures
        for other in (row for row in rows.values() if row.editor == editor):
            assert (
                other.count != begun["cases"]
                or other.figures["attributes_right"] <= begun["attributes_right"]
                or other.figures["decoded_psnr_unedit_part"] <= begun["decoded_psnr_unedit_part"]
            ), other.pairing
