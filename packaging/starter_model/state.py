"""Files that are whole or absent: training state and everything else the stages write."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from sfumato.errors import InputError, StorageError


def why(error: OSError | SafetensorError) -> str:
    """In words why something could not be read or written."""
    number = error.errno if isinstance(error, OSError) else None
    if number == errno.ENOSPC or os.strerror(errno.ENOSPC) in str(error):
        return "the disk is full"
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def trouble(error: OSError | SafetensorError) -> StorageError:
    """What to say when a library could not read or write something."""
    where = f"{error.filename}: " if isinstance(error, OSError) and error.filename else ""
    return StorageError(
        f"A file could not be read or written: {where}{why(error)}.",
        kept="What was trained and measured before is kept.",
        advice="Mend that and run the same command again; it goes on from there.",
    )


def shortage(path: Path, error: OSError) -> StorageError:
    """What to say when a file cannot be written."""
    return StorageError(
        f"{path.name} could not be written to {path.parent}: {why(error)}.",
        kept="What was saved there before is untouched.",
        advice="Free some space and run the same command again; it goes on from there.",
    )


def write_whole(path: Path, content: bytes | memoryview) -> None:
    """Write beside `path`, then rename over it; StorageError where the disk is full or read-only."""
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise shortage(path, error) from error


def write_json(path: Path, content: object) -> None:
    """Write JSON as `write_whole` writes bytes."""
    write_whole(path, (json.dumps(content, indent=1) + "\n").encode())


def append_line(path: Path, line: str) -> None:
    """Add a line to a log; StorageError as `write_whole`."""
    try:
        with path.open("a") as file:
            file.write(line + "\n")
    except OSError as error:
        raise shortage(path, error) from error


def write_tensors(path: Path, tensors: Mapping[str, Tensor], meta: Mapping[str, str] | None = None) -> None:
    """Write tensors and a few strings as one safetensors file, whole or not at all."""
    write_whole(path, save({name: tensor.contiguous() for name, tensor in tensors.items()}, dict(meta or {})))


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors of a safetensors file and its strings; InputError where the file is damaged."""
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, dict(file.metadata() or {})  # noqa: SIM118
    except SafetensorError as error:
        raise InputError(
            f"{path} is damaged ({error}).",
            advice="Delete it: the stage then starts from the committed weights, or from nothing.",
        ) from error
