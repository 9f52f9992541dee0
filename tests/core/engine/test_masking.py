"""Masks a plugin makes: as exact as painted ones, in the outcome, and refused in one sentence."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from sfumato.document.compositor import flatten
from sfumato.document.layers import Document, Layer
from sfumato.errors import InputError, MethodError
from sfumato.events import Outcome
from sfumato.method import Job, Masker, Pixels, Progress
from sfumato.pairing import PairingError
from sfumato.perform import perform
from sfumato.walking import stepped
from tests.tiny import drain

Make = Callable[..., Any]


def do(job: Job, workshop: Any) -> Outcome:
    return drain(stepped(perform(job, workshop)))


class Corner(Masker[Any]):
    name = "corner"
    title = "Corner"
    summary = "Marks a corner."

    def __init__(self, found: Callable[[Any], torch.Tensor]) -> None:
        self.found = found

    def find(self, request: Any, model: Any) -> Generator[Progress, None, torch.Tensor]:
        yield Progress(1, 1, "Looking")
        return self.found(request)


def a_corner(request: Any) -> torch.Tensor:
    area = torch.zeros(1, 1, *request.latent_shape[-2:])
    area[..., :5, :6] = 1
    return area


def test_an_edit_with_a_made_mask_is_the_edit_with_that_mask_painted(
    make_workshop: Make, make_job: Make, picture: Pixels
) -> None:
    workshop = make_workshop(Corner(a_corner))
    made = do(make_job(masker="corner"), workshop)
    assert made.mask is not None
    assert made.mask.shape == picture.shape[:2]
    assert made.changed_outside == 0
    painted = do(make_job(mask=made.mask), workshop)
    assert made.box == painted.box
    assert np.array_equal(made.patches[0], painted.patches[0])
    assert made.provenance["mask"] == painted.provenance["mask"]
    left, top = made.box[:2]
    after = flatten(Document(48, 40, [Layer("a", picture), Layer("b", made.patches[0], left, top)]))
    assert np.array_equal(after[made.mask == 0], picture[made.mask == 0])
    assert (after != picture).any()


def test_a_painted_mask_goes_before_a_masker(make_workshop: Make, make_job: Make) -> None:
    painted = np.zeros((40, 48), np.uint8)
    painted[30:, 30:] = 255
    outcome = do(make_job(mask=painted, masker="corner"), make_workshop(Corner(a_corner)))
    assert outcome.mask is None
    assert "masker" not in outcome.provenance["methods"]


def test_a_job_may_ask_for_the_mask_alone(make_workshop: Make, make_job: Make) -> None:
    outcome = do(
        make_job(task="mask", masker="diffedit", masker_values={"threshold": 0.3}, inverter=""),
        make_workshop(),
    )
    assert outcome.mask is not None
    assert (outcome.patches, outcome.inversion) == ((), None)
    assert outcome.rows == {"mask": 20, "inversion": 0, "edit": 0}
    assert outcome.costs["mask"].forward == 20


def test_a_made_mask_satisfies_a_method_that_needs_one(make_workshop: Make, make_job: Make) -> None:
    outcome = do(make_job(editor="blended", masker="corner"), make_workshop(Corner(a_corner)))
    assert len(outcome.patches) == 1


@pytest.mark.parametrize("task", ["edit", "mask"])
def test_an_empty_mask_is_a_sentence(make_workshop: Make, make_job: Make, task: str) -> None:
    same = make_job(target="a cat on the grass", masker="diffedit")
    with pytest.raises(MethodError, match="found nothing to mark") as told:
        do(replace(same, task=task), make_workshop())
    assert "unchanged" in told.value.kept


@pytest.mark.parametrize(
    "found",
    [
        lambda request: torch.zeros(1, 2, 4, 4),
        lambda request: torch.full((1, 1, 4, 4), 2.0),
        lambda request: torch.full((1, 1, 4, 4), float("nan")),
    ],
)
def test_what_is_no_mask_is_said_by_name(make_workshop: Make, make_job: Make, found: Any) -> None:
    with pytest.raises(MethodError, match="Corner gave values"):
        do(make_job(masker="corner"), make_workshop(Corner(found)))


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        ({"task": "mask"}, PairingError, "needs the name of a way"),
        ({"masker": "nope"}, MethodError, "no masker 'nope'; |There is no masker 'nope'"),
        ({"masker": "diffedit", "target": ""}, PairingError, "DiffEdit.* needs a target prompt"),
        ({"masker": "word_mask", "image": None, "editor": "generate"}, PairingError, "needs a picture"),
        ({"masker": "word_mask", "masker_values": {"nope": 1}}, InputError, "no parameter 'nope'"),
    ],
)
def test_what_cannot_be_masked_is_refused_before_it_runs(
    make_workshop: Make, make_job: Make, tiny_model: Any, change: dict, error: type, said: str
) -> None:
    before = tiny_model.counters.forward
    with pytest.raises(error, match=said):
        do(make_job(**change), make_workshop())
    assert tiny_model.counters.forward == before
