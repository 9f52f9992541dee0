"""Maskers: the contract of methods, and what holds for these two on any weights (methods.md §19)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from sfumato.diffusion.areas import between_extremes, on_picture
from sfumato.diffusion.branches import fresh_noise
from sfumato.errors import InputError
from sfumato.method import EditRequest
from sfumato.params import controls
from sfumato_plugins.diffedit import DiffEdit, DiffEditParams
from sfumato_plugins.word_mask import WordMask, WordMaskParams
from tests.tiny import drain

Make = Callable[..., EditRequest[Any]]
MASKERS = [DiffEdit(), WordMask()]
PAGES = Path(__file__).parents[2] / "plugins"


def found(masker: Any, request: EditRequest[Any], model: Any) -> torch.Tensor:
    return drain(masker.find(request, model))


@pytest.mark.parametrize("masker", MASKERS, ids=lambda each: each.name)
def test_a_mask_is_of_the_pictures_size_between_0_and_1_and_the_same_each_time(
    masker: Any, tiny_model: Any, tiny_request: Make
) -> None:
    request = tiny_request(params=masker.params(threshold=0.3))
    first, again = found(masker, request, tiny_model), found(masker, request, tiny_model)
    assert first.shape == (1, 1, 32, 32)
    assert 0 <= float(first.min()) < float(first.max()) <= 1
    assert torch.equal(first, again)


@pytest.mark.parametrize("masker", MASKERS, ids=lambda each: each.name)
def test_it_describes_itself(masker: Any) -> None:
    assert masker.summary.endswith(".")
    for control in controls(masker.params):
        assert control.help.endswith(".")
        assert len(control.label) < 30
    assert f"`{masker.name}`" in (PAGES / "README.md").read_text("utf-8")
    assert (PAGES / "methods" / f"{masker.name}.md").exists()


@pytest.mark.parametrize("masker", MASKERS, ids=lambda each: each.name)
def test_closing_it_leaves_nothing_behind(masker: Any, tiny_model: Any, tiny_request: Make) -> None:
    steps = masker.find(tiny_request(params=masker.params()), tiny_model)
    with torch.no_grad():
        next(steps)
    steps.close()
    assert tiny_model.denoiser.observers == []


def test_equal_prompts_disagree_about_nothing(tiny_model: Any, tiny_request: Make) -> None:
    same = tiny_request(target="a cat on the grass", params=DiffEditParams(threshold=0))
    assert not found(DiffEdit(), same, tiny_model).any()


def test_diffedit_is_its_formula(tiny_model: Any, tiny_request: Make) -> None:
    """Written out for two noises: mean |Δε|, clamped at 3 means, cut at half of that."""
    request = tiny_request(params=DiffEditParams(looks=2, edges=False))
    level = tiny_model.grid(request).levels[4]
    noise, texts = fresh_noise(request.seed, request.x0.shape), (request.source, request.target)
    total = torch.zeros(1, 4, 16, 16)
    with torch.no_grad():
        for _ in range(2):
            x = tiny_model.schedule.noised(request.x0, noise(), level)
            context = torch.cat([tiny_model.text(text).embeddings for text in texts])
            eps = tiny_model.unet(x.expand(2, -1, -1, -1), level, encoder_hidden_states=context).sample
            total += (eps[1:] - eps[:1]).abs() / 2
    each = total.mean(1)[0]
    expected = each.clamp(max=3 * each.mean()) / (3 * each.mean()) > 0.5
    mask = found(DiffEdit(), request, tiny_model)[0, 0]
    margin = (each / (3 * each.mean()) - 0.5).abs() > 1e-4
    cells = torch.nn.functional.adaptive_avg_pool2d(mask[None], (16, 16))[0] > 0.5
    assert torch.equal(cells[margin], expected[margin])
    assert expected.any()


def test_diffedit_costs_two_rows_a_look(tiny_model: Any, tiny_request: Make) -> None:
    before = tiny_model.counters.forward
    found(DiffEdit(), tiny_request(params=DiffEditParams()), tiny_model)
    assert tiny_model.counters.forward - before == 20


@pytest.mark.parametrize(
    ("source", "maps_from", "rows"), [("", "noised picture", 3), ("a cat", "inversion", 8)]
)
def test_a_word_is_looked_for(
    tiny_model: Any, tiny_request: Make, source: str, maps_from: str, rows: int
) -> None:
    before = tiny_model.counters.forward
    params = WordMaskParams(word="cat", looks=3, maps_from=maps_from)  # pyright: ignore
    assert found(WordMask(), tiny_request(source=source, params=params), tiny_model).any()
    assert tiny_model.counters.forward - before == rows


def test_a_lower_threshold_marks_more(tiny_model: Any, tiny_request: Make) -> None:
    areas = [
        found(WordMask(), tiny_request(params=WordMaskParams(threshold=t, edges=False)), tiny_model).sum()
        for t in (0.2, 0.5, 0.8)
    ]
    assert areas[0] > areas[1] > areas[2] > 0


@pytest.mark.parametrize(("word", "said"), [("zebra", "'zebra' is not in the prompt"), ("", "Which word")])
def test_a_word_that_is_not_there_is_a_sentence(
    tiny_model: Any, tiny_request: Make, word: str, said: str
) -> None:
    same = tiny_request(target="a cat on the grass", params=WordMaskParams(word=word))
    with pytest.raises(InputError, match=said):
        found(WordMask(), same, tiny_model)


def test_flat_values_are_no_area() -> None:
    assert not between_extremes(torch.full((1, 1, 4, 4), 0.7)).any()
    assert between_extremes(torch.tensor([2.0, 3.0, 6.0])).tolist() == [0, 0.25, 1]


def test_an_area_takes_the_edges_of_its_picture() -> None:
    """A bright square that begins between two cells is found to the pixel."""
    image = -torch.ones(1, 3, 32, 32)
    image[..., 10:22, 10:22] = 1
    area = torch.zeros(1, 1, 8, 8)
    area[..., 2:6, 2:6] = 1
    snapped, coarse = on_picture(area, image), on_picture(area, image, snapped=False)
    truth = image[:, :1] > 0
    assert int(((snapped > 0.5) != truth).sum()) < int(((coarse > 0.5) != truth).sum())
    wider = on_picture(area, image, widen=1, snapped=False)
    assert wider.sum() > coarse.sum()
