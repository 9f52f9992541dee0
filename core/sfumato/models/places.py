"""Where checkpoints are found besides in plugins: folders a person named, Sfumato's own, the hub's cache."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sfumato.errors import ModelError
from sfumato.models.catalogue import Checkpoint, from_path
from sfumato.models.inspection import describe
from sfumato.settings import Settings

log = logging.getLogger(__name__)

RECORD = ".sfumato-download.json"
"""In a downloaded folder: where it came from and the SHA-256 of each file."""


def pointed_at(settings: Settings) -> tuple[Checkpoint, ...]:
    """The folders and files in the settings, usable or not."""
    return tuple(from_path(place) for place in settings.models)


def own_folder(settings: Settings) -> Path:
    """Where downloads and converted checkpoints are kept."""
    return settings.data_dir / "models"


def kept(settings: Settings) -> tuple[Checkpoint, ...]:
    """What was downloaded or converted; what is still on its way has a name with a dot and is left out."""
    folder = own_folder(settings)
    if not folder.is_dir():
        return ()
    places = sorted(place for place in folder.iterdir() if not place.name.startswith("."))
    return tuple(_kept(place) for place in places if place.is_dir() or place.suffix == ".safetensors")


def _kept(place: Path) -> Checkpoint:
    record = record_of(place)
    if not record:
        return from_path(place)
    name = str(record["repo"])
    files = sorted(place.glob("*.safetensors"))
    if len(files) == 1 and not (place / "model_index.json").exists():
        return Checkpoint(name=name, title=files[0].stem, folder=files[0], kind="file")
    return Checkpoint(name=name, title=name.rpartition("/")[2], folder=place)


def record_of(place: Path) -> dict[str, Any]:
    """What is written in a downloaded folder about where it came from; empty if it is none."""
    try:
        record = json.loads((place / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) and isinstance(record.get("repo"), str) else {}


def hub_cache() -> Path:
    """Where the hub's own programs keep downloads, by the variables they follow."""
    if folder := os.environ.get("HF_HUB_CACHE"):
        return Path(folder).expanduser()
    caches = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(os.environ.get("HF_HOME") or Path(caches) / "huggingface").expanduser() / "hub"


def cached(folder: Path | None = None) -> tuple[Checkpoint, ...]:
    """The usable snapshots in the hub's cache, each used where it is; nothing is fetched.

    The newest revision of a repository goes by the repository's name, older ones add "@" and their commit.
    """
    return tuple(checkpoint for checkpoint in _snapshots(folder or hub_cache()) if _usable(checkpoint))


def _snapshots(folder: Path) -> Iterator[Checkpoint]:
    if not folder.is_dir():
        return
    from huggingface_hub import scan_cache_dir

    repos = [repo for repo in scan_cache_dir(folder).repos if repo.repo_type == "model"]
    for repo in sorted(repos, key=lambda repo: repo.repo_id):
        newest_first = sorted(repo.revisions, key=lambda one: (-one.last_modified, one.commit_hash))
        for index, revision in enumerate(newest_first):
            if not (revision.snapshot_path / "model_index.json").is_file():
                continue
            name = repo.repo_id if index == 0 else f"{repo.repo_id}@{revision.commit_hash[:8]}"
            yield Checkpoint(name=name, title=name.rpartition("/")[2], folder=revision.snapshot_path)


def _usable(checkpoint: Checkpoint) -> bool:
    try:
        describe(checkpoint)
    except ModelError as error:
        log.info("In the hub's cache, not used: %s", error)
        return False
    return True


def all_found(settings: Settings) -> tuple[Checkpoint, ...]:
    """Everything outside plugins, the person's own first; of two with one name the first counts."""
    found: dict[str, Checkpoint] = {}
    for checkpoint in (*pointed_at(settings), *kept(settings), *cached()):
        found.setdefault(checkpoint.name, checkpoint)
    return tuple(found.values())
