"""What decides a picture decides its key, and nothing else does; what a run cannot use is told."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from sfumato import sources
from sfumato.benchmark import keys as keys_module
from sfumato.benchmark.cases import png
from sfumato.benchmark.folder import read_cases
from sfumato.benchmark.keys import Keys
from sfumato.benchmark.pairings import VAE, Pairing
from sfumato.benchmark.plan import Row
from sfumato.benchmark.results import Result, Results
from sfumato.benchmark.unused import unused
from sfumato.many.alike import methods_digest
from sfumato.method import Recipe
from sfumato.params import Params
from tests.core.benchmark.benches import Fake

Make = Callable[..., Any]
RECIPE = Recipe(editor="fake", steps=2)


class NetworkParams(Params):
    network: str = ""
    """A ControlNet's folder."""


class WithNetwork(Fake):
    """Uses the ControlNet it is told of."""

    params = NetworkParams

    def networks(self, params: Any) -> tuple[str, ...]:
        return (params.network,) if params.network else ()


@pytest.fixture
def key_of(folder: Path, make_workshop: Make) -> Callable[..., str]:
    """The key of a recipe's edit of the first case."""
    case = read_cases(folder).cases[0]

    def of(recipe: Recipe = RECIPE, name: str = "fake", editor: Any = None) -> str:
        return Keys(make_workshop(editor or WithNetwork())).of(Row(Pairing(name, recipe)), case)

    return of


def test_settings_decide_and_where_the_model_lies_does_not(
    key_of: Callable[..., str], tmp_path: Path
) -> None:
    key = key_of()
    assert key == key_of()
    # The workshop of the test has one model under all names.
    assert key_of(RECIPE.model_copy(update={"model": str(tmp_path / "moved")})) == key
    assert key_of(RECIPE.model_copy(update={"seed": 1})) != key
    steps = RECIPE.model_copy(update={"steps": 3})
    assert key_of(steps) != key
    assert key_of(steps, VAE) == key_of(RECIPE, VAE), "the autoencoder takes no steps"


def test_a_controlnet_goes_by_its_weights(
    key_of: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        keys_module, "inspect_network", lambda folder: SimpleNamespace(files=(folder / "w.safetensors",))
    )
    for name, weights in (("a", b"1"), ("b", b"1"), ("c", b"2")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "w.safetensors").write_bytes(weights)
    a, b, c = (
        key_of(RECIPE.model_copy(update={"editor_values": {"network": str(tmp_path / name)}}))
        for name in ("a", "b", "c")
    )
    assert a == b != c
    assert key_of() not in (a, c)


@pytest.mark.parametrize("name", ["engine_digest", "methods_of"])
def test_another_program_is_another_key(
    key_of: Callable[..., str], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    key = key_of()
    monkeypatch.setattr(keys_module, name, lambda *_: ["changed"])
    assert key_of() != key
    if name == "methods_of":
        assert key_of(RECIPE, VAE) == key_of(RECIPE, VAE, Fake()), "no method has a part in that"


def test_what_decides_is_kept_part_by_part(folder: Path, make_workshop: Make) -> None:
    depends = Keys(make_workshop(Fake())).depends(Row(Pairing("fake", RECIPE)), read_cases(folder).cases[0])
    assert json.loads(json.dumps(depends)) == depends
    assert {"picture", "settings", "weights", "program", "device", "precision", "threads", "torch"} < set(
        depends
    )


def test_a_method_is_its_module_and_what_that_imports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "stranger"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "helper.py").write_text("FACTOR = 2\n")
    (package / "other.py").write_text("")
    (package / "method.py").write_text("from .helper import FACTOR\nclass Mine:\n    factor = FACTOR\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    kind = importlib.import_module("stranger.method").Mine

    def digest() -> str:
        sources.class_digest.cache_clear()
        return sources.class_digest(kind)

    try:
        first = digest()
        (package / "other.py").write_text("CHANGED = True\n")
        (package / "method.py").write_bytes((package / "method.py").read_bytes().replace(b"\n", b"\r\n"))
        assert digest() == first, "a module it does not use, and line ends"
        (package / "helper.py").write_text("FACTOR = 3\n")
        assert digest() != first
    finally:
        for name in [name for name in sys.modules if name.startswith("stranger")]:
            del sys.modules[name]


def test_the_engine_is_all_that_every_method_shares() -> None:
    root = Path(sources.__file__).parent
    assert all((root / name).is_file() for name in (*sources.MODULES, *sources._OTHER))
    assert all((root / name / "__init__.py").is_file() for name in sources.PACKAGES)
    assert len(sources.engine_digest()) == 64


@pytest.mark.parametrize(
    ("was", "told"),
    [
        (
            {"threads": 9},
            "2 edits made with 9 threads are not used; this run has 1 thread. Say --threads 9 to use them.",
        ),
        (
            {"threads": 9, "precision": "bfloat16"},
            "2 edits made with precision bfloat16 and 9 threads are not used; this run has precision float32 "
            "and 1 thread. Say --precision bf16 --threads 9 to use them.",
        ),
        ({"torch": "1.0"}, "2 edits made with torch 1.0 are not used; this run has torch "),
        ({"program": "x"}, "2 edits made with another version of the program are not used."),
        (
            {"settings": "x", "weights": "x"},
            "2 edits made with other settings and other weights are not used.",
        ),
        (None, ""),
    ],
)
def test_what_was_made_otherwise_is_told_with_the_reason(
    folder: Path, tmp_path: Path, make_workshop: Make, was: dict[str, Any] | None, told: str
) -> None:
    cases = read_cases(folder).cases
    row, keys, results = (
        Row(Pairing("fake", RECIPE), cases),
        Keys(make_workshop(Fake())),
        Results(tmp_path / "o"),
    )
    for case in cases[:2]:
        depends = dict(keys.depends(row, case)) | (was or {})
        key = "other" if was else keys.of(row, case)
        picture = f"pictures/{case.id}.png"
        results.add(
            Result(key, "fake", case.id, picture=picture, depends=depends),
            {picture: png(np.zeros((1, 1, 3), np.uint8))},
        )
        results.add(Result("much else", "fake", case.id, depends={}))
    assert unused([row], keys, results).startswith(told)
    assert bool(unused([row], keys, results)) is bool(told)
    assert unused([replace(row, pairing=replace(row.pairing, name="another"))], keys, results) == ""


def test_another_source_of_a_method_is_another_digest(
    make_workshop: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = make_workshop(Fake()).registry
    digest = methods_digest(RECIPE, registry)
    assert digest == methods_digest(RECIPE.model_copy(update={"target": "a dog"}), registry)
    monkeypatch.setattr("sfumato.many.alike.class_digest", lambda _: "changed")
    assert digest != methods_digest(RECIPE, registry)
