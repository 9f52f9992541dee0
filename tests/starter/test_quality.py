"""What the shipped model must do to pictures of its world; by name: `pytest -m slow tests/starter`."""

from __future__ import annotations

import pytest

from tests.starter.editing import World

COLOURS = ("600000000001", "600000000004", "600000000005", "600000000011", "600000000012")
BACKGROUNDS = ("800000000002", "800000000007", "800000000010", "800000000012", "800000000022")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


def test_direct_and_p2p_change_what_was_asked_and_spare_the_rest(world: World) -> None:
    good = []
    for case in (world.cases[each] for each in (*COLOURS, *BACKGROUNDS)):
        edited, plain = (world.edited(name, case, 50).scores for name in ("direct+p2p", "ddim+reprompt"))
        spared = edited["psnr_unedit_part"]
        if edited["gain"] > 0.3 and spared >= 25 and spared >= plain["psnr_unedit_part"] + 3:
            good.append(case.id)
    assert len(good) >= 6, good


@pytest.mark.parametrize(("case", "told"), [("500000000016", True), ("600000000004", False)])
def test_an_edit_that_moved_nothing_says_so(world: World, case: str, told: bool) -> None:
    """Prompt-to-Prompt keeps a thing in its place, and says what does not."""
    notes = world.edited("direct+p2p", world.cases[case], 50).notes
    assert any("Hardly anything changed" in note and "Re-prompt" in note for note in notes) is told
