"""A model by its name on the hub, only when asked for: its size said first, and whole or not there at all.

The network is used by a child process (`fetching`) alone; this one stays offline. Files arrive in a folder
with a dot before its name, which no list shows and from which a later attempt goes on; when all of them have
the checksums the hub gave, the folder takes its place in one step.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath
from typing import Any, NoReturn

from sfumato.errors import InputError, ModelError, SfumatoError, StorageError
from sfumato.method import Progress
from sfumato.models.folder import CODE, PICKLES
from sfumato.models.places import RECORD, own_folder
from sfumato.settings import Settings

_SUFFIXES = frozenset({".safetensors", ".json", ".txt"})
_TEXTS = ("LICENSE", "LICENSE.md", "LICENCE", "README.md")
_PARTS = ("unet", "vae", "text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2", "scheduler")
_ONLINE = {
    "HF_HUB_OFFLINE": "0",
    "TRANSFORMERS_OFFLINE": "0",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_DISABLE_XET": "1",  # its transfers cannot be gone on with after a break
}
_CHUNK = 4 * 1024**2


@dataclass(frozen=True)
class RemoteFile:
    """A file of a repository."""

    name: str
    bytes: int
    sha256: str
    """Empty for small files, which the hub knows by `blob` alone."""
    blob: str
    """Git's own hash."""


@dataclass(frozen=True)
class Offer:
    """What a download would bring."""

    repo: str
    commit: str
    files: tuple[RemoteFile, ...]

    @property
    def bytes(self) -> int:
        return sum(file.bytes for file in self.files)


def ask(repo: str, *, revision: str = "main", files: Sequence[str] = ()) -> Offer:
    """Ask the hub what there is; of it only what a diffusers folder needs, or what `files` (patterns) name.

    Raises `InputError` for a name the hub does not have, `ModelError` if nothing safe is there, and
    `SfumatoError` without a network.
    """
    with _child("plan", repo, revision) as lines:
        told = next(lines, {})
    if "plan" not in told:
        _fail(told, repo, revision)
    there = tuple(RemoteFile(**file) for file in told["plan"]["files"])
    chosen = tuple(file for file in _chosen(there, files) if _is_plain(file.name))
    _refuse_useless(repo, there, chosen, named=bool(files))
    return Offer(repo, told["plan"]["commit"], tuple(sorted(chosen, key=lambda file: file.bytes)))


def download(offer: Offer, settings: Settings) -> Generator[Progress, None, Path]:
    """Bring what was offered; return its folder. Progress is in bytes.

    Raises `SfumatoError` for a broken line and `StorageError` for a full disk, both with what has come kept
    to go on from, and `ModelError` for a file that is not what the hub said, which is thrown away.
    """
    place = own_folder(settings) / offer.repo.replace("/", "--")
    part = place.with_name(f".{place.name}-{offer.commit[:12]}.part")
    part.mkdir(parents=True, exist_ok=True)
    _refuse_if_full(offer, part)
    told: dict[str, Any] = {}
    asked = {"repo": offer.repo, "commit": offer.commit, "files": [asdict(file) for file in offer.files]}
    with _child("fetch", str(part), asked=asked) as lines:
        for told in lines:
            if "bytes" in told:
                yield Progress(min(told["bytes"], offer.bytes), offer.bytes, f"Downloading {offer.repo}")
    if "done" not in told:
        _fail(told, offer.repo, offer.commit)
    for file in offer.files:
        yield Progress(offer.bytes, offer.bytes, f"Checking {file.name}")
        _check(file, part / file.name)
    record = {"repo": offer.repo, "commit": offer.commit, "sha256": {f.name: f.sha256 for f in offer.files}}
    (part / RECORD).write_text(json.dumps(record, indent=1), encoding="utf-8")
    _arrive(part, place)
    return place


def _chosen(there: Sequence[RemoteFile], patterns: Sequence[str]) -> Iterator[RemoteFile]:
    names = {file.name for file in there}
    for file in there:
        path = PurePosixPath(file.name)
        if path.suffix not in _SUFFIXES and file.name not in _TEXTS:
            continue
        if patterns:
            wanted = any(fnmatch(file.name, pattern) for pattern in patterns)
        elif file.name in ("model_index.json", *_TEXTS):
            wanted = True
        else:
            wanted = len(path.parts) == 2 and path.parts[0] in _PARTS and _is_wanted(path, names)
        if wanted:
            yield file


def _is_wanted(path: PurePosixPath, names: set[str]) -> bool:
    """Whether weights are the plain ones, or half-precision ones where no plain ones are; other files are."""
    if path.suffix != ".safetensors":
        return True
    stem = path.name.removesuffix(".safetensors")
    base, _, variant = stem.partition(".")
    if not variant:
        return "-of-" not in base or f"{path.parent}/{base.partition('-0')[0]}.safetensors" not in names
    return variant == "fp16" and f"{path.parent}/{base}.safetensors" not in names


def _is_plain(name: str) -> bool:
    """Whether a name stays inside its folder, on every system."""
    path = PurePosixPath(name)
    odd = any(part in ("", ".", "..") or part.startswith(".") for part in path.parts)
    return not (path.is_absolute() or odd or "\\" in name or ":" in name or "\0" in name)


def _refuse_useless(
    repo: str, there: Sequence[RemoteFile], chosen: Sequence[RemoteFile], *, named: bool
) -> None:
    if any(file.name.endswith(".safetensors") for file in chosen) and (
        named or any(file.name == "model_index.json" for file in chosen)
    ):
        return
    if any(PurePosixPath(file.name).suffix in PICKLES | CODE for file in there):
        raise ModelError(
            f"{repo} has pickled weights or code only, which can run programs; nothing was downloaded.",
            advice="Look for a copy in .safetensors form.",
        )
    raise ModelError(
        f"{repo} has no model in diffusers form; nothing was downloaded.",
        advice="Name single .safetensors files with --files.",
    )


@contextmanager
def _child(*words: str, asked: Any = None) -> Iterator[Iterator[dict[str, Any]]]:
    """Run the fetching program and read what it says; it ends with the block."""
    command = [sys.executable, "-m", "sfumato.models.fetching", *words]
    with subprocess.Popen(
        command,
        env={**os.environ, **_ONLINE},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        try:
            child.stdin.write(json.dumps(asked))
            child.stdin.close()
            yield map(json.loads, child.stdout)
        finally:
            child.kill()


def _fail(told: dict[str, Any], repo: str, revision: str) -> NoReturn:
    again = "ask for it again: it goes on where it broke off."
    match told.get("error"):
        case "unknown":
            raise InputError(f"The hub has no model '{repo}', or keeps it private.")
        case "gated":
            raise InputError(f"The hub gives '{repo}' only to those who agreed to its terms there.")
        case "revision":
            raise InputError(f"The model '{repo}' has no revision '{revision}'.")
        case "full":
            raise StorageError(
                "The disk is full.", kept="What has come is kept.", advice=f"Make room. {again}"
            )
        case "network" | "broken" | "hub":
            raise SfumatoError(
                f"The hub cannot be reached, or the line broke ({told['detail'][:120]}).",
                kept="No model was added or changed.",
                advice=again.capitalize(),
            )
    raise SfumatoError(
        f"The download of '{repo}' ended ({told.get('detail', 'no reason')[:120]}).", advice=again
    )


def _refuse_if_full(offer: Offer, part: Path) -> None:
    have = sum(path.stat().st_size for path in part.rglob("*") if path.is_file())
    free = shutil.disk_usage(part).free
    if offer.bytes - have > free:
        raise StorageError(
            f"The disk has {free / 1e9:.1f} GB free, and {(offer.bytes - have) / 1e9:.1f} GB are to come.",
            kept="Nothing was downloaded.",
            advice="Make room and ask again.",
        )


def _check(file: RemoteFile, path: Path) -> None:
    digest = hashlib.sha256() if file.sha256 else hashlib.sha1(f"blob {file.bytes}\0".encode())
    with path.open("rb") as opened:
        while chunk := opened.read(_CHUNK):
            digest.update(chunk)
    wanted = file.sha256 or file.blob
    if path.stat().st_size != file.bytes or (wanted and digest.hexdigest() != wanted):
        path.unlink()
        raise ModelError(
            f"{file.name} is not what the hub said it would be: its checksum differs.",
            kept="The file was thrown away, the others are kept.",
            advice="Ask for the model again.",
        )


def _arrive(part: Path, place: Path) -> None:
    """Put the folder in its place; an older one there gives way."""
    old = place.with_name(f".{place.name}.old.part")
    shutil.rmtree(old, ignore_errors=True)
    if place.exists():
        place.rename(old)
    part.rename(place)
    shutil.rmtree(old, ignore_errors=True)
