"""Inversions kept on disk by content, so that a picture is inverted once.

One safetensors file each: the tensors, and in its header as JSON everything else and a digest of the tensors.
A second file could be lost or stale; one cannot. What is damaged is dropped, never believed.

Several processes may share a folder: files appear whole, are read through one handle, and may be gone at any
time. Two that write at once can together pass the limit until the later of them has made room again.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from sfumato.diffusion.inversion import Inversion
from sfumato.errors import StorageError
from sfumato.files.atomic import write_atomically

log = logging.getLogger(__name__)

_FORMAT = 2
_LONGEST_HEADER = 100_000_000
"""Bytes; the library's own limit."""
_DAMAGE = (OSError, SafetensorError, ValueError, KeyError, TypeError, RecursionError)


@dataclass(frozen=True)
class Entry:
    """A kept inversion, for people: what it is of, how large, when it was last used (seconds since 1970)."""

    key: str
    size: int
    used: float
    prompt: str


class InversionStore:
    """A folder of inversions that never grows over `limit_bytes`: the least recently used go first."""

    def __init__(self, folder: Path, limit_bytes: int) -> None:
        self.folder = folder
        self.limit_bytes = limit_bytes

    @staticmethod
    def key(parts: Mapping[str, Any]) -> str:
        """Hash everything a result depends on; `parts` are JSON values, order does not matter."""
        return hashlib.sha256(json.dumps(parts, sort_keys=True, allow_nan=False).encode()).hexdigest()

    def get(self, key: str, *, device: torch.device | str = "cpu") -> Inversion | None:
        """Return the inversion kept under `key`, bit for bit, or None; a damaged one is dropped."""
        path = self._path(key)
        try:
            data = path.read_bytes()  # safetensors opens a file twice by its name; it may go in between
            about, tensors = _about(io.BytesIO(data)), load(data)
            if about["digest"] != _digest(tensors):
                raise ValueError("the digest differs")
            moved = {name: tensor.to(device) for name, tensor in tensors.items()}
            inversion = Inversion.from_tensors(moved, about["values"])
        except FileNotFoundError:
            return None
        except _DAMAGE as error:
            log.warning("A kept inversion was damaged and is dropped: %s (%s)", path.name, error)
            self._drop(path)
            return None
        with suppress(OSError):
            os.utime(path)
        return inversion

    def put(self, key: str, inversion: Inversion) -> None:
        """Keep an inversion. A full or read-only disk costs the copy, never the edit."""
        tensors, values = inversion.to_tensors()
        # Copies: two names may stand for one tensor (a reconstruction may be x0), which safetensors refuses.
        tensors = {name: tensor.detach().cpu().clone() for name, tensor in tensors.items()}
        about = {"format": _FORMAT, "digest": _digest(tensors), "values": values}
        data = save(tensors, metadata={"sfumato": json.dumps(about)})
        if len(data) > self.limit_bytes:
            return
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._make_room(len(data), self._path(key))
            with write_atomically(self._path(key)) as file:
                file.write(data)
            self._make_room(0)
        except (OSError, StorageError) as error:
            log.warning("An inversion is not kept: %s", error)

    def entries(self) -> tuple[Entry, ...]:
        """List what is kept, the most recently used first."""
        found = []
        for path in self.folder.glob("*.safetensors"):
            try:
                stat = path.stat()
                with path.open("rb") as file:
                    prompt = str(_about(file)["values"]["prompt"])
                found.append(Entry(path.stem, stat.st_size, stat.st_mtime, prompt))
            except _DAMAGE:
                self._drop(path)
        return tuple(sorted(found, key=lambda entry: -entry.used))

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return sum(size for _, size, _ in self._files())

    def clear(self) -> None:
        """Forget everything."""
        for path, _, _ in self._files():
            self._drop(path)

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}.safetensors"

    def _files(self) -> list[tuple[Path, int, float]]:
        """(path, bytes, last used) of every kept file, the oldest first."""
        files = []
        for path in self.folder.glob("*.safetensors"):
            with suppress(OSError):
                stat = path.stat()
                files.append((path, stat.st_size, stat.st_mtime))
        return sorted(files, key=lambda file: file[2])

    def _make_room(self, wanted: int, replaced: Path | None = None) -> None:
        """Drop the oldest until `wanted` bytes more find room; what is `replaced` makes room by itself."""
        files = [file for file in self._files() if file[0] != replaced]
        total = sum(size for _, size, _ in files) + wanted
        for path, size, _ in files:
            if total <= self.limit_bytes:
                return
            self._drop(path)
            total -= size

    @staticmethod
    def _drop(path: Path) -> None:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            log.warning("%s cannot be removed: %s", path.name, error)


def _about(file: BinaryIO) -> dict[str, Any]:
    """What the header says: its length in 8 bytes, little-endian, then JSON (the safetensors format)."""
    length = int.from_bytes(file.read(8), "little")
    if length > _LONGEST_HEADER:
        raise ValueError("the header has no end")
    about = json.loads(json.loads(file.read(length))["__metadata__"]["sfumato"])
    if about["format"] != _FORMAT:
        raise ValueError(f"format {about['format']}")
    return about


def _digest(tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()
