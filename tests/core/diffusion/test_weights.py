"""`(word:1.3)`: weights are taken out before anybody looks at words, and act on the tokens they enclose."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from sfumato.diffusion.encoding import TextEncoder
from sfumato.diffusion.text import refinement, replacement
from sfumato.prompts import compare, weigh, words

PLAIN = "a big red cat on the grass"


@pytest.fixture
def text(tiny_model: Any) -> Any:
    with torch.no_grad():
        yield tiny_model.text


@pytest.mark.parametrize(
    ("prompt", "bare", "heavy"),
    [
        ("a (cat:1.3)", "a cat", {"cat": 1.3}),
        ("a (red cat:0.5) on grass", "a red cat on grass", {"red": 0.5, "cat": 0.5}),
        ("a ((red:2) cat:1.5)", "a red cat", {"red": 3.0, "cat": 1.5}),
        ("(a:.5)(cat:2)", "acat", {"acat": 0.5}),
        ("a (cat: 2 )", "a cat", {"cat": 2.0}),
        ("a (cat) at 4:3, (dog:x), (:2) (", "a (cat) at 4:3, (dog:x),  (", {}),
        ("", "", {}),
    ],
)
def test_weights_are_taken_out(prompt: str, bare: str, heavy: dict[str, float]) -> None:
    weighed = weigh(prompt)
    assert weighed.bare == bare
    assert weigh(bare).bare == bare
    found = {word.text: weighed.weights[word.start] for word in words(bare)}
    assert {word: weight for word, weight in found.items() if weight != 1} == pytest.approx(heavy)
    assert [prompt[place] for place in weighed.places] == list(bare)


def test_words_know_where_they_stand_in_what_was_typed() -> None:
    prompt = "a ((red:2) cat:1.5), big"
    assert [prompt[word.start : word.end] for word in words(prompt)] == ["a", "red", "cat", "big"]


def test_a_weight_is_no_change_of_words() -> None:
    pieces = compare("a (red:1.4) cat", "a red (dog:0.7)")
    assert [(piece.change, piece.source) for piece in pieces] == [("kept", (0, 2)), ("replaced", (2, 3))]


@pytest.mark.parametrize("prompt", ["a big (red:1) cat on the grass", "a (big red cat on the grass:1.0)"])
def test_a_weight_of_one_is_none(text: Any, prompt: str) -> None:
    plain, weighed = text(PLAIN), text(prompt)
    assert torch.equal(weighed.embeddings, plain.embeddings)
    assert (weighed.prompt, weighed.ids, weighed.spans) == (plain.prompt, plain.ids, plain.spans)


def test_a_weight_acts_on_its_own_tokens_and_away_from_the_empty_prompt(text: Any) -> None:
    plain, heavy, empty = text(PLAIN), text("a big (red cat:1.5) on the grass"), text("")
    own = [*plain.tokens_of("red"), *plain.tokens_of("cat")]
    others = [k for k in range(plain.length) if k not in own]
    assert torch.equal(heavy.embeddings[:, others], plain.embeddings[:, others])
    expected = empty.embeddings + 1.5 * (plain.embeddings - empty.embeddings)
    torch.testing.assert_close(heavy.embeddings[:, own], expected[:, own])
    gone = text("a big (red cat:0) on the grass")
    torch.testing.assert_close(gone.embeddings[:, own], empty.embeddings[:, own])


def test_a_weight_reaches_all_tokens_of_a_word(text: Any) -> None:
    plain, heavy = text("a hippopotamus"), text("a (hippopotamus:2)")
    changed = (plain.embeddings != heavy.embeddings).any(-1)[0].nonzero().flatten().tolist()
    assert tuple(changed) == plain.tokens_of("hippopotamus") == (2, 3, 4)


def test_alignments_see_the_bare_words(text: Any) -> None:
    plain = text("a cat on the grass"), text("a dog on the grass")
    weighed = text("a (cat:1.3) on the grass"), text("a dog on the (grass:0.5)")
    assert torch.equal(replacement(*weighed), replacement(*plain))
    assert torch.equal(refinement(*weighed).m, refinement(*plain).m)
    assert weighed[0].tokens_of("cat") == plain[0].tokens_of("cat")


def test_both_encoders_of_a_model_weigh_by_themselves(tiny_model: Any) -> None:
    from sfumato.diffusion.encoding import encode

    one: TextEncoder = tiny_model._encoders[0]
    with torch.no_grad():
        single = encode("a (red:1.5) cat", [one])
        double = encode("a (red:1.5) cat", [one, one])
    assert torch.equal(double.embeddings, torch.cat([single.embeddings] * 2, dim=-1))


def test_a_huge_weight_is_refused_before_anything_runs() -> None:
    from sfumato.errors import InputError
    from sfumato.method import Job, Recipe
    from sfumato.order import _check_prompts

    _check_prompts(Job(recipe=Recipe(target="a (cat:10)")))
    with pytest.raises(InputError, match="larger than 10"):
        _check_prompts(Job(recipe=Recipe(concepts=(("a (cat:11)", 1.0),))))
