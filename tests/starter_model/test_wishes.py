"""What the shipped models begin edits with is what the recipe would write beside them."""

from __future__ import annotations

import json

import pytest
from starter_model import evaluate_stage, siblings_stage
from starter_model.config import Settings, read_settings
from starter_model.diffusion_stage import shipped

from sfumato.models.wishes import FILE


@pytest.fixture(scope="module")
def settings() -> Settings:
    return read_settings()


def test_the_starter_begins_as_its_recipe_says(settings: Settings) -> None:
    assert json.loads((shipped() / FILE).read_text()) == evaluate_stage.wishes(settings)


@pytest.mark.parametrize("name", ["instruct", "turbo"])
def test_a_sibling_begins_as_its_recipe_says_and_is_measured(name: str, settings: Settings) -> None:
    begun = json.loads((shipped().with_name(f"starter_{name}") / FILE).read_text())
    said = siblings_stage.wishes(name, settings)
    assert {key: begun[key] for key in said} == said
    measured = {"editors"} if name == "instruct" else set()
    assert set(begun) == set(said) | measured
