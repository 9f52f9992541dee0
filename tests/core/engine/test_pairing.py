"""What cannot work is refused by name; what can is not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sfumato.events import ModelInfo
from sfumato.method import Ability, MethodInfo, Need
from sfumato.pairing import Facts, inversion_refusal, refusal

EDITOR = MethodInfo("editor", "p2p", "Prompt-to-Prompt", "", "", frozenset(), frozenset(), (), "required")
INVERTER = MethodInfo("inverter", "direct", "Direct inversion", "", "", frozenset(), frozenset(), ())
MODEL = ModelInfo("tiny", "Tiny", 32, 4, frozenset(Ability))
ALL = Facts(
    True,
    True,
    frozenset({"canny"}),
    concepts=True,
    source="a cat",
    target="a dog",
    instruction="make it a dog",
)
WITHOUT = {
    Need.IMAGE: {"has_image": False},
    Need.SOURCE_PROMPT: {"source": " "},
    Need.TARGET_PROMPT: {"target": ""},
    Need.INSTRUCTION: {"instruction": ""},
    Need.MASK: {"has_mask": False},
    Need.CONTROL_IMAGE: {"controls": frozenset(), "has_image": False},
    Need.CONCEPTS: {"concepts": False},
}


@pytest.mark.parametrize("need", Need)
def test_each_need_is_named_when_it_lacks(need: Need) -> None:
    editor = replace(EDITOR, needs=frozenset({need}), inversion="none")
    assert refusal(editor, None, MODEL, facts=ALL) is None
    said = refusal(editor, None, MODEL, facts=replace(ALL, **WITHOUT[need]))
    assert said is not None
    assert said.startswith(f"Prompt-to-Prompt needs {need.value}: ")


def test_the_sentence_says_what_to_do() -> None:
    editor = replace(EDITOR, needs=frozenset({Need.SOURCE_PROMPT}))
    said = refusal(editor, INVERTER, MODEL, facts=replace(ALL, source=""))
    assert said == "Prompt-to-Prompt needs a source prompt: say what the picture shows."


@pytest.mark.parametrize("ability", Ability)
def test_a_model_that_cannot_do_it_is_named(ability: Ability) -> None:
    editor = replace(EDITOR, abilities=frozenset({ability}))
    weak = replace(MODEL, abilities=frozenset(Ability) - {ability})
    assert refusal(editor, INVERTER, MODEL, facts=ALL) is None
    said = refusal(editor, INVERTER, weak, facts=ALL)
    assert said == f"Prompt-to-Prompt needs a model {ability.value}; Tiny is not one."


def test_what_only_another_model_can_change_is_said_first() -> None:
    editor = replace(EDITOR, abilities=frozenset({Ability.INSTRUCTIONS}), needs=frozenset({Need.INSTRUCTION}))
    weak = replace(MODEL, abilities=frozenset(Ability) - {Ability.INSTRUCTIONS})
    said = refusal(editor, INVERTER, weak, facts=replace(ALL, instruction=""))
    assert said == f"Prompt-to-Prompt needs a model {Ability.INSTRUCTIONS.value}; Tiny is not one."


def test_an_inversion_is_missed_only_where_it_is_required() -> None:
    assert "starts from an inversion" in (refusal(EDITOR, None, MODEL, facts=ALL) or "")
    for other in ("optional", "none"):
        assert refusal(replace(EDITOR, inversion=other), None, MODEL, facts=ALL) is None


def test_an_inverter_that_is_not_used_is_not_asked() -> None:
    picky = replace(INVERTER, needs=frozenset({Need.INSTRUCTION}))
    facts = replace(ALL, instruction="")
    assert refusal(replace(EDITOR, inversion="none"), picky, MODEL, facts=facts) is None
    assert "Direct inversion needs an instruction" in (refusal(EDITOR, picky, MODEL, facts=facts) or "")


def test_kinds_are_not_mixed_up() -> None:
    assert "not an editing method" in (refusal(INVERTER, None, MODEL, facts=ALL) or "")
    assert "does not invert" in (refusal(EDITOR, EDITOR, MODEL, facts=ALL) or "")


def test_a_mask_that_lets_nothing_change_is_refused() -> None:
    said = refusal(EDITOR, INVERTER, MODEL, facts=replace(ALL, mask_empty=True))
    assert said is not None
    assert "lets nothing change" in said


def test_inverting_needs_a_picture_and_what_the_inverter_says() -> None:
    assert inversion_refusal(INVERTER, MODEL, facts=ALL) is None
    assert "needs a picture" in (
        inversion_refusal(INVERTER, MODEL, facts=replace(ALL, has_image=False)) or ""
    )


def test_equal_prompts_ask_for_nothing_unless_a_weight_differs() -> None:
    equal = replace(ALL, target="a  cat ")
    assert equal.asks_for_nothing
    assert not replace(equal, weights_differ=True).asks_for_nothing
    assert not ALL.asks_for_nothing
