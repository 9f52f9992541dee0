"""Every pairing that is declared possible edits a picture of the shipped model's world, with numbers.

Few steps in the usual run; fifty, and a change of colour besides one of background, by name:
`pytest -m slow tests/starter/test_matrix.py`.
"""

from __future__ import annotations

import numpy as np
import pytest

from sfumato.benchmark.pairings import every
from tests.plugins.test_contract import EDITORS, INVERTERS
from tests.starter.editing import World

BACKGROUND, COLOUR = "800000000007", "600000000004"
"""A panda before green, then blue; a yellow clock, then a blue one."""
FLOORS = {
    "reprompt": 12,
    "p2p": 20,
    "h_edit": 24,
    "masactrl": 11,
    "pix2pix_zero": 9,
    "plug_and_play": 11,
    "ledits": 19,
    "ddim_naive": 15,
    "blended": 99,
    "controlnet": 24,
    "instruct_pix2pix": 28,
    "instruct_diffusion": 28,
}
"""PSNR, in dB, of what should not change: a method that scrambles the picture falls below."""
SLOW = [pytest.mark.slow, pytest.mark.timeout(1200)]


def declared() -> list[str]:
    """Every editor of a picture with every inverter it takes, and alone where it needs none."""
    found = []
    for editor in (each for each in EDITORS if each.name in FLOORS):
        if editor.inversion != "required":
            found.append(editor.name)
        if editor.inversion != "none":
            found += [f"{inverter.name}+{editor.name}" for inverter in INVERTERS]
    return found


@pytest.mark.parametrize(
    ("case_id", "steps"),
    [
        pytest.param(BACKGROUND, 6, id="background"),
        pytest.param(BACKGROUND, 50, marks=SLOW, id="background-50"),
        pytest.param(COLOUR, 50, marks=SLOW, id="colour-50"),
    ],
)
@pytest.mark.parametrize("pairing", declared())
def test_it_edits_as_asked_and_not_as_reprompting_does(
    pairing: str, case_id: str, steps: int, world: World
) -> None:
    case = world.cases[case_id]
    result = world.edited(pairing, case, steps)
    inverter, _, editor = pairing.rpartition("+")
    assert result.scores["gain"] > 0.02, "nearer to the truth than the untouched picture"
    assert result.scores["psnr_unedit_part"] >= FLOORS[editor]
    if editor != "reprompt" and inverter:
        plain = world.edited(f"{inverter}+reprompt", case, steps)
        assert not np.array_equal(world.picture(result), world.picture(plain))


def test_no_pairing_is_left_out(world: World) -> None:
    """With the starter and its siblings everything runs, and everything is in the matrix."""
    case = world.cases[BACKGROUND]
    reasons = {name: world.row(name, case, 50).refusal for name in every(world.workshop.registry)}
    assert set(reasons) == set(declared())
    assert set(reasons.values()) == {""}
