"""What the shipped model must do to pictures of its world; by name: `pytest -m slow tests/starter`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.starter.pairs import METHODS, Score, load_pairs, measured

FOLDER = Path(__file__).parents[3] / "shared" / "starter" / "samples"
CHOSEN = ("ddim + reprompt", "direct + p2p", "naive + p2p", "ddim + p2p")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(
        not FOLDER.is_dir(), reason="the pictures with their true edits are not beside the checkout"
    ),
]


@pytest.fixture(scope="module")
def results() -> tuple[dict[tuple[str, str], Score], dict[tuple[str, str], np.ndarray]]:
    scores, pictures = {}, {}
    for line, picture in measured(load_pairs(FOLDER), {name: METHODS[name] for name in CHOSEN}):
        scores[line.pair, line.method], pictures[line.pair, line.method] = line, picture
    return scores, pictures


def test_direct_and_p2p_change_what_was_asked_and_spare_the_rest(results) -> None:
    scores, _ = results
    good = [
        line.pair
        for (pair, method), line in scores.items()
        if method == "direct + p2p" and line.kind in ("colour", "background")
        and line.gain > 0.3
        and line.to_vae >= 25
        and line.to_vae >= scores[pair, "ddim + reprompt"].to_vae + 3
    ]  # fmt: skip
    assert len(good) >= 6, good


def test_every_attention_method_differs_from_reprompting(results) -> None:
    _, pictures = results
    for (pair, method), picture in pictures.items():
        if method.endswith("p2p"):
            assert not np.array_equal(picture, pictures[pair, "ddim + reprompt"])
