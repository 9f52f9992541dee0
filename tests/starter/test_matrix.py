"""Every pairing that is declared possible edits a picture of the shipped model's world, with numbers.

Few steps in the usual run; fifty, and a change of colour besides one of background, by name:
`pytest -m slow tests/starter/test_matrix.py`. `python -m tests.starter.matrix` prints the numbers.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sfumato import compose
from tests.plugins.test_contract import EDITORS, INVERTERS
from tests.starter.matrix import Pairing, pairings, run
from tests.starter.pairs import Pair, Picture, load_pairs

FOLDER = Path(__file__).parents[3] / "shared" / "starter" / "samples"
FLOORS = {
    "reprompt": 12,
    "p2p": 20,
    "h_edit": 10,
    "masactrl": 11,
    "pix2pix_zero": 9,
    "plug_and_play": 11,
    "ledits": 19,
    "ddim_naive": 15,
    "blended": 99,
}
"""PSNR, in dB, of what should not change: a method that scrambles the picture falls below."""
SLOW = [pytest.mark.slow, pytest.mark.timeout(1200)]

pytestmark = pytest.mark.skipif(
    not FOLDER.is_dir(), reason="the pictures with their true edits are not beside the checkout"
)


def declared() -> list[Pairing]:
    """Every editor of a picture with every inverter it takes."""
    editors = [editor for editor in EDITORS if editor.name in FLOORS]
    return [
        Pairing(inverter, editor.name)
        for editor in editors
        for inverter in ([each.name for each in INVERTERS] if editor.inversion == "required" else [""])
    ]


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    patch = pytest.MonkeyPatch()
    patch.setenv("SFUMATO_HOME", str(tmp_path_factory.mktemp("matrix")))
    yield compose.workshop()
    patch.undo()


@pytest.fixture(scope="module")
def reprompted() -> dict[tuple[str, str, int], Picture]:
    """What plain re-prompting makes, by inverter, pair and steps: the picture nobody else may give."""
    return {}


@pytest.mark.parametrize(
    ("pair_id", "steps"),
    [
        pytest.param("02", 6, id="background"),
        pytest.param("02", 50, marks=SLOW, id="background-50"),
        pytest.param("04", 50, marks=SLOW, id="colour-50"),
    ],
)
@pytest.mark.parametrize("pairing", [pytest.param(each, id=str(each)) for each in declared()])
def test_it_edits_as_asked_and_not_as_reprompting_does(
    pairing: Pairing, pair_id: str, steps: int, workshop: Any, reprompted: dict[Any, Picture]
) -> None:
    pair = next(each for each in load_pairs(FOLDER) if each.id == pair_id)
    line, picture = run(pair, pairing, workshop, steps)
    assert line.gain > 0.02, "nearer to the truth than the untouched picture"
    assert line.outside >= FLOORS[pairing.editor]
    if pairing.editor != "reprompt" and pairing.inverter:
        assert not np.array_equal(picture, plain(pair, pairing.inverter, workshop, steps, reprompted))


def plain(pair: Pair, inverter: str, workshop: Any, steps: int, kept: dict[Any, Picture]) -> Picture:
    """Re-prompting from the same inversion."""
    key = inverter, pair.id, steps
    if key not in kept:
        _, kept[key] = run(pair, Pairing(inverter, "reprompt"), workshop, steps)
    return kept[key]


def test_no_pairing_is_left_out(workshop: Any) -> None:
    """What cannot run on the shipped model says by name what it lacks; everything else is in the matrix."""
    pair = load_pairs(FOLDER)[2]
    reasons = dict(pairings(workshop, pair))
    assert {pairing for pairing, reason in reasons.items() if reason is None} == set(declared())
    for pairing, reason in reasons.items():
        if reason is not None:
            assert pairing.editor in {"instruct_pix2pix", "instruct_diffusion", "controlnet"}
            assert " needs " in reason
