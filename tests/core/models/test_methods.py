"""Every method on every family: it runs, or says before Run which kind of model it needs.

SDXL that paints in has two encoders and nine channels and stands for all; the rest by name, with `-m slow`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from sfumato.events import ModelInfo
from sfumato.method import Ability, Editor, Inverter, Job, Need, Recipe
from sfumato.pairing import Facts, PairingError, inversion_refusal, refusal
from sfumato.perform import perform
from sfumato.plugins import load_plugins
from sfumato.settings import Settings
from sfumato.walking import stepped
from sfumato.workshop import Workshop
from tests import checkpoints
from tests.core.models.test_families import assembled
from tests.tiny import drain
from tests.workshops import OneModel

REGISTRY = load_plugins()
FAMILIES: dict[str, Callable[[], checkpoints.Tiny]] = {
    "sd1 inpainting": lambda: checkpoints.sd1(9),
    "sd2 768-v": checkpoints.sd2,
    "sdxl": checkpoints.sdxl,
    "sdxl inpainting": lambda: checkpoints.sdxl(9),
    "lcm": checkpoints.lcm,
    "turbo": checkpoints.turbo,
}
FULL = Facts(
    has_image=True,
    has_mask=True,
    controls=frozenset({"canny"}),
    source="a cat",
    target="a dog",
    instruction="make it red",
    concepts=True,
)

ALWAYS = "sdxl inpainting"
CHOSEN = [name if name == ALWAYS else pytest.param(name, marks=pytest.mark.slow) for name in FAMILIES]


@pytest.fixture(scope="module", params=CHOSEN)
def workshop(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    home = tmp_path_factory.mktemp("home")
    settings = Settings(data_dir=home, cache_dir=home, state_dir=home, threads=1)
    model = assembled(FAMILIES[request.param]())
    model.info = replace(model.info, size=64)
    return OneModel(settings, REGISTRY, model)


def job(editor: Editor[Any], mask: bool) -> Job:
    picture = np.random.default_rng(0).integers(0, 256, (64, 64, 4), np.uint8)
    picture[..., 3] = 255
    area = np.zeros((64, 64), np.uint8)
    area[16:48, 16:40] = 255
    recipe = Recipe(
        source="a cat on the grass",
        target="a (dog:1.2) on the grass",
        concepts=(("red", 1.0),),
        inverter="direct",
        editor=editor.name,
        steps=2,
        guidance=3.0,
    )
    return Job(recipe=recipe, image=picture, mask=area if mask else None)


@pytest.mark.parametrize("masked", [pytest.param(False, marks=pytest.mark.slow), True])
@pytest.mark.parametrize("editor", REGISTRY.editors.values(), ids=REGISTRY.editors)
def test_a_method_runs_on_a_family_or_names_what_it_needs(
    editor: Editor[Any], workshop: Workshop, masked: bool
) -> None:
    if Need.MASK in editor.needs and not masked:
        pytest.skip("needs a mask")
    if {Need.CONTROL_IMAGE, Need.INSTRUCTION} & editor.needs:
        pytest.skip("needs a network or channels of its own")
    info = workshop.describe("")
    lacking = editor.abilities - info.abilities
    if editor.inversion == "required":
        lacking |= {Ability.INVERSION} - info.abilities
    if lacking:
        with pytest.raises(PairingError, match=f"needs a model .*{info.title} is not one"):
            drain(stepped(perform(job(editor, masked), workshop)))
        return
    outcome = drain(stepped(perform(job(editor, masked), workshop)))
    assert len(outcome.patches) == 1
    assert outcome.changed_outside == 0


@pytest.fixture(scope="module", params=["instructions", "lcm", "sd1"])
def described(request: pytest.FixtureRequest) -> ModelInfo:
    makes = {"instructions": lambda: checkpoints.sd1(8), "lcm": checkpoints.lcm, "sd1": checkpoints.sd1}
    return assembled(makes[request.param]()).info


METHODS = [*REGISTRY.editors.values(), *REGISTRY.inverters.values()]


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_what_a_method_cannot_do_is_said_by_name(method: Any, described: ModelInfo) -> None:
    model = described
    if isinstance(method, Inverter):
        said = inversion_refusal(REGISTRY.infos["inverter", method.name], model, facts=FULL)
    else:
        inverter = REGISTRY.infos["inverter", "direct"] if Ability.INVERSION in model.abilities else None
        info = REGISTRY.infos["editor", method.name]
        said = refusal(info, inverter, model, facts=FULL)
    if missing := method.abilities - model.abilities:
        assert said is not None
        assert method.title in said
        assert any(ability.value in said for ability in missing) or "starts from an inversion" in said
