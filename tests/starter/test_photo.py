"""The shipped model on a photograph far larger than itself: only what was masked changes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sfumato import compose
from sfumato.document.compositor import count_different, flatten
from sfumato.document.layers import Document, Layer
from sfumato.method import Job, Recipe
from sfumato.perform import perform
from sfumato.walking import stepped
from tests.tiny import drain

WIDTH, HEIGHT = 3000, 2000


@pytest.fixture
def workshop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("SFUMATO_HOME", str(tmp_path))
    return compose.workshop()


def photograph() -> np.ndarray:
    """Noise over a gradient: nothing a model could give back by accident."""
    noise = np.random.default_rng(0).integers(0, 40, (HEIGHT, WIDTH, 4))
    noise[..., 0] += np.linspace(0, 200, WIDTH).astype(int)
    noise[..., 2] += np.linspace(200, 0, HEIGHT).astype(int)[:, None]
    noise[..., 3] = 255
    return noise.astype(np.uint8)


def ellipse(x: int, y: int) -> np.ndarray:
    rows, columns = np.ogrid[:HEIGHT, :WIDTH]
    return np.where(((columns - x) / 210) ** 2 + ((rows - y) / 140) ** 2 < 1, np.uint8(255), np.uint8(0))


@pytest.mark.parametrize("editor", ["p2p", "blended"])
def test_a_masked_edit_changes_nothing_outside_it(editor: str, workshop: Any) -> None:
    photo, mask = photograph(), ellipse(1900, 700)
    recipe = Recipe(source="the sky", target="a red balloon in the sky", editor=editor, steps=5)
    outcome = drain(stepped(perform(Job(recipe=recipe, image=photo, mask=mask), workshop)))
    left, top, right, _ = outcome.box
    assert right - left < WIDTH / 2, (
        "the model works on the region around the mask, not on the whole photograph"
    )
    layers = [Layer("photo", photo), Layer("edit", outcome.patches[0], left, top)]
    after = flatten(Document(WIDTH, HEIGHT, layers))
    assert np.array_equal(after[mask == 0], photo[mask == 0])
    assert outcome.changed_outside == 0
    assert count_different(after, photo) > mask.astype(bool).sum() / 2, "inside it did change"


def test_the_second_edit_of_a_photograph_inverts_nothing(workshop: Any) -> None:
    photo, recipe = photograph(), Recipe(source="the sky", target="a red balloon", steps=4)
    first = drain(stepped(perform(Job(recipe=recipe, image=photo, mask=ellipse(1900, 700)), workshop)))
    again = compose.workshop()
    other = recipe.model_copy(update={"target": "a blue heart", "editor": "reprompt", "seed": 7})
    moved = Job(recipe=other, image=photo, mask=ellipse(1912, 706), near=first.box)
    second = drain(stepped(perform(moved, again)))
    assert first.rows["inversion"] == 4
    assert second.rows["inversion"] == 0
    assert second.inversion is not None
    assert second.inversion.reused
