"""A workshop around `tiny_model`, methods that misbehave on request, and plugins that come from nowhere."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sfumato.method import Job, Pixels, Recipe
from sfumato.plugins import Registry, load_plugins
from sfumato.settings import Settings
from tests.workshops import OneModel


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(
        data_dir=tmp_path / "data", cache_dir=tmp_path / "cache", state_dir=tmp_path / "state", threads=1
    )


@pytest.fixture(scope="session")
def builtin() -> Registry:
    """The methods that come with the program."""
    return load_plugins()


@pytest.fixture
def make_workshop(settings: Settings, builtin: Registry, tiny_model: Any) -> Callable[..., OneModel]:
    """Make a workshop; two made in one test share the folder of kept inversions, as two starts do."""

    def make(*methods: Any) -> OneModel:
        registry = Registry(
            dict(builtin.inverters),
            dict(builtin.editors),
            infos=dict(builtin.infos),
            preprocessors=dict(builtin.preprocessors),
            maskers=dict(builtin.maskers),
        )
        for method in methods:
            from sfumato.plugins import describe_method

            info = describe_method(method, "test 1")
            kinds: dict[str, dict[str, Any]] = {
                "inverter": registry.inverters,
                "editor": registry.editors,
                "masker": registry.maskers,
            }
            kinds[info.kind][info.name] = method
            registry.infos[info.kind, info.name] = info
        return OneModel(settings, registry, tiny_model)

    return make


@pytest.fixture
def picture() -> Pixels:
    """48 x 40 opaque pixels: larger than what `tiny_model` sees, so that masks choose a region."""
    pixels = np.random.default_rng(0).integers(0, 256, (40, 48, 4), np.uint8)
    pixels[..., 3] = 255
    return pixels


@pytest.fixture
def make_job(picture: Pixels) -> Callable[..., Job]:
    """Make a job on `picture`; keywords change its recipe, `mask` and `task` the job."""

    def make(*, mask: Any = None, task: Any = "edit", image: Any = picture, **recipe: Any) -> Job:
        values = {
            "source": "a cat on the grass",
            "target": "a dog on the grass",
            "steps": 3,
            "editor": "reprompt",
            "inverter": "direct",
        }
        return Job(recipe=Recipe(**values | recipe), task=task, image=image, mask=mask)

    return make


@pytest.fixture
def plugin(monkeypatch: pytest.MonkeyPatch) -> Callable[..., EntryPoint]:
    """Make an entry point of a module that holds what is given."""

    def make(name: str, **contents: Any) -> EntryPoint:
        module = types.ModuleType(f"plugin_{name}")
        vars(module).update(contents)
        monkeypatch.setitem(sys.modules, module.__name__, module)
        return EntryPoint(name, module.__name__, "sfumato")

    return make
