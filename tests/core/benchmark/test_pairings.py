"""What pairings are asked for a case, and which cases they are run on."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sfumato.benchmark import pairings
from sfumato.benchmark.cases import Case
from sfumato.benchmark.folder import read_cases
from sfumato.benchmark.pairings import HEADLINE, Pairing, asked, every, from_file, named
from sfumato.benchmark.plan import Choice, baselines, planned
from sfumato.benchmark.publish import recipes_json
from sfumato.benchmark.selection import per_type, spread_over_types
from sfumato.errors import InputError
from sfumato.method import Recipe
from sfumato.pairing import PairingError
from sfumato.plugins import Registry
from tests.core.benchmark.conftest import drawn

BASE = Recipe(steps=2)


def cases(count: int, kinds: int = 10) -> list[Case]:
    return [replace(drawn(0).case, id=f"{k}", kind=str(k % kinds)) for k in range(count)]


def test_every_type_gives_as_many_and_fewer_are_among_them() -> None:
    many = cases(300)
    sixty, twenty = per_type(many, 6), per_type(many, 2)
    assert (len(sixty), len(twenty)) == (60, 20)
    assert set(twenty) < set(sixty)
    assert all(sum(case.kind == str(k) for case in sixty) == 6 for k in range(10))
    assert len(per_type(cases(7, kinds=3), 6)) == 7, "a type that has fewer gives all of them"


def test_the_choice_is_the_cases_own_and_not_their_order() -> None:
    many = cases(100)
    assert per_type(many[::-1], 6) == per_type(many, 6)
    chosen = set(per_type(many, 2))
    without = [case for case in many if case in chosen or int(case.id) % 3]
    assert set(per_type(without, 2)) == chosen, "others come and go around them"


def test_a_number_of_cases_is_spread_over_the_types() -> None:
    chosen = spread_over_types(cases(50), 12)
    assert len(chosen) == 12
    assert {case.kind for case in chosen[:10]} == {str(k) for k in range(10)}
    assert len(spread_over_types(cases(5), 12)) == 5


@pytest.mark.parametrize("kinds", [1, 3])
def test_both_choices_can_be_made(kinds: int) -> None:
    assert len(Choice(count=2, per_type=5).of(cases(30, kinds))) == 2
    assert len(Choice(count=99, per_type=5).of(cases(30, kinds))) == 5 * kinds
    assert len(Choice().of(cases(30, kinds))) == 30


def test_half_a_run_is_over_all_types(
    make_workshop: Callable[..., Any], folder: Path, builtin: Registry
) -> None:
    files = read_cases(folder).cases
    many = [replace(files[0], id=f"{k}", kind=str(k // 10)) for k in range(100)]
    p2p, reprompt = planned(
        [named(name, BASE, builtin) for name in ("direct+p2p", "direct+reprompt")],
        many,
        Choice(),
        make_workshop(),
    )
    assert (len(p2p.cases), len(reprompt.cases), len(reprompt.few or ())) == (100, 60, 20)
    for row in (p2p, reprompt):
        assert {case.kind for case in row.cases[:10]} == {str(k) for k in range(10)}
    assert p2p.cases[:60] == reprompt.cases, "all pairings begin with the same"
    assert reprompt.few == reprompt.cases[:20]


def test_the_headline_pairings_exist(builtin: Registry) -> None:
    names = list(every(builtin))
    assert names[:6] == list(HEADLINE)
    assert len(set(names)) == len(names) > 40
    assert "blended" in names
    assert "generate" not in names
    found = [named(name, BASE, builtin) for name in names]
    assert [each.name for each in found if each.headline] == list(HEADLINE)


def test_the_reconstruction_is_not_measured_where_it_costs(builtin: Registry) -> None:
    assert named("ddim+p2p", BASE, builtin).recipe.inverter_values == {"measure": False}


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("p2p", "starts from an inversion: say which, such as direct"),
        ("direct+blended", "uses no inversion: leave 'direct.' out"),
        ("direct+nothing", "no editor 'nothing'"),
        ("nothing+p2p", "no inverter 'nothing'"),
        ("", "no editor ''"),
    ],
)
def test_what_is_no_pairing_is_refused(builtin: Registry, name: str, why: str) -> None:
    with pytest.raises((InputError, PairingError), match=why):
        named(name, BASE, builtin)


def test_blended_gets_the_mask_and_others_if_asked(builtin: Registry, folder: Path) -> None:
    case = read_cases(folder).cases[0]
    assert case.area is not None
    _, mask = asked(named("blended", BASE, builtin), case, builtin)
    assert mask is not None
    assert np.array_equal(mask, np.where(case.area, 255, 0))
    assert asked(named("direct+p2p", BASE, builtin), case, builtin)[1] is None
    masked = replace(named("direct+p2p", BASE, builtin), use_mask=True)
    assert asked(masked, case, builtin)[1] is not None


BLENDS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {"local": "chosen words", "local_source": "cat", "local_target": "dog"}),
    ({"blended": ()}, {}),
    ({"blended": None}, {}),
    ({"blended": ("cat", "elephant")}, {}),
]


@pytest.mark.parametrize(("change", "values"), BLENDS)
def test_the_blend_words_are_where_p2p_may_change(
    builtin: Registry, change: dict[str, Any], values: dict[str, Any]
) -> None:
    case = replace(drawn(0).case, **change)
    recipe, _ = asked(named("direct+p2p", BASE, builtin), case, builtin)
    assert recipe.editor_values == values
    assert (recipe.source, recipe.target) == (case.source, case.target)
    whole = replace(named("direct+p2p", BASE, builtin), whole=True)
    expected = values if case.blended else {"local": "off"}
    assert asked(whole, case, builtin)[0].editor_values == expected


def test_a_recipe_that_says_where_is_left_alone(builtin: Registry) -> None:
    recipe = Recipe(editor_values={"local": "changed words"})
    got, _ = asked(Pairing("mine", recipe), drawn(0).case, builtin)
    assert got.editor_values == {"local": "changed words"}
    assert asked(named("ddim+reprompt", BASE, builtin), drawn(0).case, builtin)[0].editor_values == {}


def test_concepts_instruction_and_weights(builtin: Registry) -> None:
    case = drawn(0).case
    ledits, _ = asked(named("direct+ledits", BASE, builtin), case, builtin)
    assert ledits.concepts == (("dog", 1.0), ("cat", -1.0))
    instructed, _ = asked(named("instruct_pix2pix", BASE, builtin), case, builtin)
    assert instructed.instruction == case.instruction
    heavier, _ = asked(Pairing("mine", Recipe(), reweight=2), case, builtin)
    assert heavier.word_weights == {"dog": 2}
    added = replace(case, source="a cat", target="a cat and a dog")
    assert asked(named("direct+ledits", BASE, builtin), added, builtin)[0].concepts == (("and a dog", 1.0),)


def test_pairings_come_from_a_file_and_go_back_into_one(
    tmp_path: Path, builtin: Registry, make_workshop: Callable[..., Any], folder: Path
) -> None:
    path = tmp_path / "pairings.json"
    entries = [
        {"name": "published", "editor": "p2p", "editor_values": {"cross_steps": 0.4}, "reweight": 2},
        {"name": "masked", "editor": "blended", "steps": 5, "headline": True, "whole": True},
    ]
    path.write_text(json.dumps(entries))
    found = from_file(path, Recipe(guidance=7.5))
    assert [each.recipe.guidance for each in found] == [7.5, 7.5]
    assert (found[0].reweight, found[1].headline, found[1].recipe.steps) == (2, True, 5)
    rows = planned(found, read_cases(folder).cases, Choice(), make_workshop())
    path.write_text(recipes_json(rows))
    again = from_file(path, Recipe())
    assert [replace(a, recipe=b.recipe) for a, b in zip(again, found, strict=True)] == found
    assert [each.recipe.model_dump() for each in again] == [each.recipe.model_dump() for each in found]


def test_the_published_pairing_of_the_manual_is_one(tmp_path: Path, builtin: Registry) -> None:
    manual = Path(pairings.__file__).with_name("README.md").read_text("utf-8")
    (tmp_path / "p.json").write_text(manual.partition("```json\n")[2].partition("```")[0])
    (published,) = from_file(tmp_path / "p.json", Recipe())
    assert (published.whole, published.decoded, published.reweight) == (True, True, 2)
    recipe, _ = asked(published, drawn(0).case, builtin)
    assert builtin.parsed("editor", recipe.editor, recipe.editor_values)
    assert (recipe.editor_values["local_source"], recipe.word_weights) == ("cat", {"dog": 2})


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "is no JSON"),
        ("[]", "no list of recipes"),
        ("[{}]", "Pairing 1 of p.json has no name"),
        ('[{"name": "a"}, {"name": "b", "stepz": 3}]', "Pairing 2 of p.json"),
        ('[{"name": "a", "steps": -1}]', "Pairing 1 of p.json"),
        ('[{"name": "a", "reweight": "much"}]', "reweight is a number"),
        ('[{"name": "vae"}]', "row of its own"),
    ],
)
def test_a_bad_file_of_pairings_is_refused(tmp_path: Path, text: str, why: str) -> None:
    (tmp_path / "p.json").write_text(text)
    with pytest.raises(InputError, match=why):
        from_file(tmp_path / "p.json", Recipe())


def test_there_must_be_a_file_of_pairings(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        from_file(tmp_path / "p.json", Recipe())


def test_a_plan_says_what_cannot_be_run(
    make_workshop: Callable[..., Any], builtin: Registry, folder: Path
) -> None:
    found = list(read_cases(folder).cases)
    found[0] = replace(found[0], mask=None)
    names = ("direct+p2p", "direct+masactrl", "blended", "instruct_pix2pix", "controlnet")
    workshop = make_workshop()
    rows = planned([named(name, BASE, builtin) for name in names], found, Choice(), workshop)
    p2p, masactrl, blended, instruct, control = rows
    assert (len(p2p.cases), p2p.few) == (4, None)
    assert (len(masactrl.cases), len(masactrl.few or ())) == (4, 4)
    assert len(blended.cases) == 3
    assert blended.lacking.startswith("1 case")
    assert "mask" in blended.lacking
    assert "trained to follow instructions" in instruct.refusal
    assert "ControlNet" in control.refusal
    assert not instruct.cases
    assert not control.cases
    named_rows = baselines(rows, BASE)
    assert [row.name for row in named_rows] == ["identity", "vae", "truth"]
    assert all(len(row.cases) == 4 for row in named_rows)
    unknown = [replace(case, truth=None) for case in found]
    rows = planned([named("direct+p2p", BASE, builtin)], unknown, Choice(per_type=1), workshop)
    assert len(rows[0].cases) == 2
    assert [row.name for row in baselines(rows, BASE)] == ["identity", "vae"]
