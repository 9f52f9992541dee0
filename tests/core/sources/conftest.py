"""Folders with models in them: the starter's files in a person's folder or in a hub's cache."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import pytest

from sfumato.settings import Settings
from tests.checkpoints import copy_model

STARTER = Path(str(files("sfumato_resources"))) / "starter"
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(
        data_dir=tmp_path / "data", cache_dir=tmp_path / "cache", state_dir=tmp_path / "state", threads=1
    )


@pytest.fixture
def model_folder(tmp_path: Path) -> Callable[[str], Path]:
    """Make a usable model folder of that name; its large files are links."""

    return lambda name: copy_model(STARTER, tmp_path / name)


@pytest.fixture
def hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Put a repository into a hub cache as the hub's programs do: snapshots are links into `blobs`."""
    cache = tmp_path / "hub"
    monkeypatch.setenv("HF_HUB_CACHE", str(cache))

    def put(repo: str, commit: str = COMMIT, *, without: str = "") -> Path:
        root = cache / f"models--{repo.replace('/', '--')}"
        for path in (path for path in STARTER.rglob("*") if path.is_file()):
            name = path.relative_to(STARTER)
            if without and name.as_posix().startswith(without):
                continue
            blob = root / "blobs" / str(name).replace("/", "-")
            blob.parent.mkdir(parents=True, exist_ok=True)
            if not blob.exists():
                shutil.copyfile(path, blob)
            link = root / "snapshots" / commit / name
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(blob)
        (root / "refs").mkdir(exist_ok=True)
        (root / "refs" / "main").write_text(commit)
        return root / "snapshots" / commit

    return put
