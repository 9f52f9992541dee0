"""The loaded model is reused as long as what is on it is the same, and never mistaken for the bare one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sfumato.diffusion.store import InversionStore
from sfumato.errors import ModelError
from sfumato.models.catalogue import Additions, Checkpoint
from sfumato.plugins import Registry
from sfumato.settings import Settings
from sfumato.workshop import Workshop
from tests.core.sources.conftest import STARTER
from tests.core.sources.files import kohya, matrices, state_hash, written
from tests.tiny import drain


@pytest.fixture
def workshop(settings: Settings) -> Workshop:
    registry = Registry(checkpoints={"starter": Checkpoint("starter", "Starter", STARTER)})
    return Workshop(settings, registry, InversionStore(settings.cache_dir / "inversions", 0))


def lora_for(model: Any, path: Path, seed: int = 0) -> str:
    return written(path, kohya(matrices(model, seed)))


def test_additions_come_and_go_on_one_loaded_model(workshop: Workshop, tmp_path: Path) -> None:
    bare = drain(workshop.load("starter"))
    before = state_hash(bare)
    first = Additions(loras=((lora_for(bare, tmp_path / "a.safetensors"), 1.0),))
    second = Additions(loras=((lora_for(bare, tmp_path / "b.safetensors", 1), 0.5),))
    assert drain(workshop.load("starter", first)) is bare
    with_first = bare.weights_hash, state_hash(bare)
    drain(workshop.load("starter", second))
    assert bare.weights_hash != with_first[0]
    drain(workshop.load("starter", first))
    assert bare.weights_hash == with_first[0]
    drain(workshop.load("starter"))
    assert state_hash(bare) == before


def test_the_same_additions_are_not_put_on_twice(
    workshop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = drain(workshop.load("starter"))
    path = tmp_path / "a.safetensors"
    additions = Additions(loras=((lora_for(model, path), 1.0),))
    drain(workshop.load("starter", additions))
    kept = model.weights_hash
    with monkeypatch.context() as patched:
        patched.setattr("sfumato.models.additions.put_on", None)
        drain(workshop.load("starter", additions))
    lora_for(model_without(workshop), path, seed=9)
    drain(workshop.load("starter", additions))
    assert model.weights_hash != kept, "a file that changed in place was taken for the old one"


def model_without(workshop: Workshop) -> Any:
    return drain(workshop.load("starter"))


def test_a_bad_file_leaves_the_bare_model_in_memory(workshop: Workshop, tmp_path: Path) -> None:
    bare = drain(workshop.load("starter"))
    before = state_hash(bare)
    drain(workshop.load("starter", Additions(loras=((lora_for(bare, tmp_path / "a.safetensors"), 1.0),))))
    (tmp_path / "bad.safetensors").write_bytes(b"not a model")
    with pytest.raises(ModelError, match="cannot be read"):
        drain(workshop.load("starter", Additions(loras=((str(tmp_path / "bad.safetensors"), 1.0),))))
    assert state_hash(bare) == before
    assert drain(workshop.load("starter")) is bare
