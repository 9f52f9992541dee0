"""Small cases, a folder of them, and a workshop with the tiny model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sfumato.benchmark.cases import Case
from sfumato.benchmark.folder import Drawn, write_cases
from sfumato.benchmark.judge import Expected
from sfumato.benchmark.masks import encode_runs
from sfumato.plugins import Registry, load_plugins
from sfumato.settings import Settings
from tests.core.benchmark.benches import Bench
from tests.workshops import OneModel

SIDE = 32


def drawn(number: int, kind: str = "1", **changes: Any) -> Drawn:
    """A case of soft colours whose truth is red in a square."""
    coarse = np.random.default_rng(number).integers(40, 216, (4, 4, 3), np.uint8)
    source = coarse.repeat(SIDE // 4, 0).repeat(SIDE // 4, 1)
    area = np.zeros((SIDE, SIDE), np.bool_)
    area[8:24, 8:24] = True
    truth = np.where(area[..., None], np.array([220, 30, 30], np.uint8), source)
    case = Case(
        id=f"{number:012d}",
        picture=Path(),
        size=(SIDE, SIDE),
        source="a cat on the grass",
        target="a dog on the grass",
        instruction="turn the cat into a dog",
        kind=kind,
        blended=("cat", "dog"),
        mask=encode_runs(area),
        expected=(Expected("object", "dog"), Expected("absent", "cat")),
    )
    return Drawn(replace(case, **changes), source, truth)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four cases of two types."""
    write_cases(tmp_path / "cases", [drawn(k, str(1 + k % 2)) for k in range(4)])
    return tmp_path / "cases"


@pytest.fixture(scope="session")
def builtin() -> Registry:
    return load_plugins()


@pytest.fixture
def make_workshop(tmp_path: Path, builtin: Registry, tiny_model: Any) -> Callable[..., OneModel]:
    """Make a workshop with the tiny model, and editors of one's own."""

    def make(*editors: Any) -> OneModel:
        from sfumato.plugins import describe_method

        registry = Registry(dict(builtin.inverters), dict(builtin.editors), infos=dict(builtin.infos))
        for editor in editors:
            registry.editors[editor.name] = editor
            registry.infos["editor", editor.name] = describe_method(editor, "test 1")
        places = {f"{name}_dir": tmp_path / name for name in ("data", "cache", "state")}
        return OneModel(Settings(**places, threads=1), registry, tiny_model)

    return make


@pytest.fixture
def bench(folder: Path, tmp_path: Path, make_workshop: Callable[..., OneModel]) -> Bench:
    return Bench(folder, tmp_path / "out", make_workshop)
