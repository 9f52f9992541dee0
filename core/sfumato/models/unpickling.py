"""The one program that may open a pickle: a process of its own, small, without a network, that can only read.

    python -m sfumato.models.unpickling < pairs.json

For each pair of paths it reads the tensors of the first with torch's restricted unpickler, which knows
tensors and plain containers only, and writes them to the second as safetensors. `weights_only` has had holes,
so the process is confined besides: memory, file size and time are limited, programs, sockets, forks refused.
"""

from __future__ import annotations

import ctypes
import json
import os
import pickle
import resource
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

GIGABYTE = 1024**3
_NEW_USER, _NEW_NETWORK = 0x10000000, 0x40000000  # linux/sched.h
_SECONDS = 900
_REFUSED = (
    "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "os.forkpty", "os.startfile",
    "subprocess.", "socket.", "ctypes.", "pty.", "shutil.", "webbrowser.", "urllib.", "ftplib.", "smtplib.",
)  # fmt: skip
_CONTAINERS = ("state_dict", "module", "model")


class _Ignored:
    """Stands for an object of a training program that old checkpoints carry; nothing is done with it."""


_TRAINERS_OWN = "pytorch_lightning.callbacks.model_checkpoint.ModelCheckpoint"


def confine(largest: int) -> None:
    """Give up what reading needs not; `largest` is the size in bytes of the largest file to be read."""
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        if libc.unshare(_NEW_NETWORK) != 0:
            libc.unshare(_NEW_USER | _NEW_NETWORK)  # where users may; else the hook below has to do
    limits = {
        resource.RLIMIT_AS: _address_space() + 3 * largest + GIGABYTE,
        resource.RLIMIT_FSIZE: 2 * largest + GIGABYTE // 16,
        resource.RLIMIT_CPU: _SECONDS,
        resource.RLIMIT_CORE: 0,
    }
    for what, limit in limits.items():
        with suppress(ValueError, OSError):  # a lower limit holds already
            resource.setrlimit(what, (limit, limit))
    sys.addaudithook(_refuse)


def _address_space() -> int:
    """Bytes this process has mapped by now, most of them by torch."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except OSError:
        return 16 * GIGABYTE
    return pages * os.sysconf("SC_PAGESIZE")


def _refuse(event: str, _: tuple[Any, ...]) -> None:
    if event.startswith(_REFUSED):
        raise PermissionError(f"{event} was refused")


def tensors_of(path: Path) -> dict[str, Tensor]:
    """The tensors of a pickled checkpoint. Raises `pickle.UnpicklingError` if it holds anything else."""
    with torch.serialization.safe_globals([(_Ignored, _TRAINERS_OWN)]):
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    for name in _CONTAINERS:
        if isinstance(loaded, Mapping) and isinstance(loaded.get(name), Mapping):
            loaded = loaded[name]
    if isinstance(loaded, Mapping) and isinstance(words := loaded.get("string_to_param"), Mapping):
        loaded = {"emb_params": next(iter(words.values()), None)}
    if not isinstance(loaded, Mapping):
        return {}
    found = {
        key: value for key, value in loaded.items() if isinstance(value, Tensor) and isinstance(key, str)
    }
    return {key: value.detach().clone().contiguous() for key, value in found.items()}


def write(source: Path, target: Path) -> None:
    """Write one file's tensors as safetensors. Raises `ValueError` if it has none."""
    tensors = tensors_of(source)
    if not tensors:
        raise ValueError("it holds no weights")
    save_file(tensors, target, metadata={"format": "pt"})


def main() -> None:
    """Convert what standard input names, and say how it went in one line of JSON."""
    pairs = [(Path(source), Path(target)) for source, target in json.load(sys.stdin)]
    confine(max(source.stat().st_size for source, _ in pairs))
    for source, target in pairs:
        try:
            write(source, target)
        except (MemoryError, RuntimeError) as error:
            short = isinstance(error, MemoryError) or "memory" in str(error).lower()
            return _say("memory" if short else "damaged", source, error)
        except pickle.UnpicklingError as error:
            return _say("code", source, error)
        except OSError as error:
            return _say("code" if isinstance(error, PermissionError) else "disk", source, error)
        except Exception as error:  # a stranger's file can make the reader stumble anywhere
            return _say("damaged", source, error)
    print(json.dumps({"done": True}), flush=True)


def _say(kind: str, source: Path, error: BaseException) -> None:
    print(json.dumps({"error": kind, "file": source.name, "detail": str(error)}), flush=True)


if __name__ == "__main__":
    main()
