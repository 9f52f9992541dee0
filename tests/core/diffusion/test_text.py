"""Words, tokens and alignment (methods.md §4)."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from sfumato.diffusion.text import Text, equalizer, refinement, replacement
from sfumato.errors import InputError
from sfumato.prompts import changed_things, compare, words
from tests.tiny import CONTEXT

LONG = "hippopotamus"


@pytest.fixture
def text(tiny_model: Any) -> Any:
    with torch.no_grad():
        yield tiny_model.text


def test_spans_join_the_tokens_of_a_word(text: Any) -> None:
    encoded: Text = text(f"a {LONG}, on grass")
    assert encoded.length == CONTEXT
    assert encoded.tokens_of(LONG) == (2, 3, 4)
    assert encoded.tokens_of("On") == (6,)  # the comma is a token of no word


def test_a_word_that_is_not_there_is_named(text: Any) -> None:
    with pytest.raises(InputError, match="'dog' is not in the prompt"):
        text("a cat").tokens_of("dog")


def test_equal_prompts_give_the_identity(text: Any) -> None:
    same = text("a cat on the grass")
    assert torch.equal(replacement(same, same), torch.eye(CONTEXT))
    align = refinement(same, same)
    assert align.m.tolist() == list(range(CONTEXT))
    assert align.e.all()


@pytest.mark.parametrize(("source", "target"), [("cat", LONG), (LONG, "cat"), (LONG, LONG), ("cat", "dog")])
def test_replacement_keeps_mass_and_the_suffix_aligned(text: Any, source: str, target: str) -> None:
    a, b = text(f"a {source} on grass"), text(f"a {target} on grass")
    M = replacement(a, b)
    torch.testing.assert_close(M.sum(1), torch.ones(CONTEXT))
    for word in ("a", "on", "grass"):
        (i,), (j,) = a.tokens_of(word), b.tokens_of(word)
        assert M[i, j] == 1
        assert M[i].sum() == M[:, j].sum() == 1


def test_a_longer_word_shares_the_attention_evenly(text: Any) -> None:
    M = replacement(text("a cat on grass"), text(f"a {LONG} on grass"))
    assert M[2, 2:5].tolist() == pytest.approx([1 / 3] * 3)


def test_the_official_suffix_goes_by_position(text: Any) -> None:
    a, b = text("a cat on grass"), text("a hippo ##po on grass".replace(" ##", ""))
    ours, official = replacement(a, b), replacement(a, b, official_suffix=True)
    on_source, on_target = a.tokens_of("on")[0], b.tokens_of("on")[0]
    assert ours[on_source, on_target] == 1
    assert official[on_source].sum() == 0  # its own "on" reaches no target token
    assert official[a.tokens_of("grass")[0], on_target] == 1  # and the target's "on" gets "grass"


def test_another_number_of_words_needs_refine(text: Any) -> None:
    with pytest.raises(InputError, match="same number of words"):
        replacement(text("a cat"), text("a red cat"))


def test_refinement_marks_exactly_the_added_words(text: Any) -> None:
    target = text("a big red cat on the grass")
    align = refinement(text("a cat on the grass"), target)
    added = {*target.tokens_of("big"), *target.tokens_of("red")}
    assert {j for j in range(CONTEXT) if align.e[j] == 0} == added
    kept = [int(align.m[j]) for j in range(len(target.ids)) if align.e[j]]
    assert kept == sorted(kept), "the alignment is monotone"


def test_a_substituted_word_keeps_its_own_attention_under_refine(text: Any) -> None:
    target = text("a dog on the grass")
    align = refinement(text("a cat on the grass"), target)
    assert align.e[target.tokens_of("dog")[0]] == 0


def test_equalizer_touches_only_the_words_it_names(text: Any) -> None:
    q = equalizer(text("a cat on the grass"), {"cat": 2.0})
    assert q[2] == 2
    assert q.sum() == CONTEXT + 1


def test_a_prompt_longer_than_the_context_loses_its_tail_only(text: Any) -> None:
    long = text(" ".join(["cat"] * 30))
    assert len(long.spans) == 30
    assert long.spans[0] == (1,)
    assert long.spans[-1] == ()
    assert torch.isfinite(replacement(long, long)).all()


@pytest.mark.parametrize(
    ("source", "target", "expected"),
    [
        (
            "a pink umbrella at night",
            "a blue umbrella at night",
            (("pink", "umbrella"), ("blue", "umbrella")),
        ),
        ("a tree on a black background", "a tree on the beach", (("black", "background"), ("beach",))),
        ("a cat on the grass", "a dog on the grass", (("cat",), ("dog",))),
        ("a cat", "a cat in the snow", ((), ("snow",))),
        ("a cat", "a cat", ((), ())),
    ],
)
def test_what_an_edit_is_about(source: str, target: str, expected: object) -> None:
    assert changed_things(source, target) == expected


def test_words_leave_punctuation_alone() -> None:
    assert [word.text for word in words("A dog's life, well-lived!")] == ["A", "dog's", "life", "well-lived"]
    assert [piece.change for piece in compare("a cat, here", "a dog here now")] == [
        "kept",
        "replaced",
        "kept",
        "added",
    ]
