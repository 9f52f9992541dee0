"""From pickled weights to safetensors, beside the person's settings; a child process opens the pickle."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from sfumato.errors import InputError, ModelError, StorageError
from sfumato.models.folder import CODE, PICKLES
from sfumato.models.places import own_folder
from sfumato.settings import Settings

_ASKED_FOR = re.compile(r"(?:GLOBAL|global|Unsupported class|type) ([\w.]+)")
_COPIED = frozenset({".json", ".txt", ".md", ".safetensors"})
_SECONDS = 1800


def convert(source: Path, settings: Settings) -> Path:
    """Write a pickled checkpoint, or a folder with such files in it, anew without pickles; return the place.

    Raises `ModelError` if it holds anything but weights, `InputError` if there is nothing to convert, and
    `StorageError`; nothing is left behind then.
    """
    source, folder = source.expanduser().absolute(), own_folder(settings)
    pickled = source.suffix.lower() in PICKLES
    if not source.exists() or (source.is_file() and not pickled):
        raise InputError(
            f"{source} is no pickled checkpoint.", advice="Such files end in .ckpt, .bin, .pt or .pth."
        )
    target = folder / (source.name if source.is_dir() else f"{source.stem}.safetensors")
    if target.exists():
        raise InputError(
            f"{target} is there already.", advice="Remove it first, or give the file another name."
        )
    part = folder / f".{target.name}.part"
    _clear(part)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _run(_laid_out(source, part) if source.is_dir() else [(source, part)], source)
        part.rename(target)
    except OSError as error:
        raise StorageError(f"{target} could not be written: {error.strerror or error}.") from error
    finally:
        _clear(part)
    return target


def _laid_out(source: Path, part: Path) -> list[tuple[Path, Path]]:
    """Copy what is no pickle, and return which file is to become which."""
    pairs = []
    for path in sorted(path for path in source.rglob("*") if path.is_file()):
        target = part / path.relative_to(source)
        if path.suffix.lower() in CODE:
            raise ModelError(f"{source} holds program code ({path.name}), so nothing was converted.")
        target.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix.lower() in PICKLES:
            name = (
                target.stem.replace("pytorch_model", "model")
                if "diffusion" not in target.stem
                else target.stem
            )
            if not (written := path.with_name(f"{name}.safetensors")).exists():
                pairs.append((path, target.with_name(written.name)))
        elif path.suffix.lower() in _COPIED:
            shutil.copyfile(path, target)
    return pairs


def _run(pairs: Sequence[tuple[Path, Path]], source: Path) -> None:
    """Have the child convert the pairs. Raises `ModelError` with its reason."""
    if not pairs:
        return
    kept = {
        name: os.environ[name] for name in ("PATH", "HOME", "PYTHONPATH", "SYSTEMROOT") if name in os.environ
    }
    done = subprocess.run(
        [sys.executable, "-m", "sfumato.models.unpickling"],
        input=json.dumps([[str(one), str(other)] for one, other in pairs]),
        capture_output=True,
        text=True,
        env=kept | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
        timeout=_SECONDS,
        check=False,
    )
    try:
        told = json.loads(done.stdout)
    except ValueError:
        told = {"error": "died", "file": source.name, "detail": ""}
    if "done" not in told:
        raise _refusal(told["error"], told["file"], told["detail"])


def _refusal(kind: str, file: str, detail: str) -> ModelError | StorageError:
    kept = "Nothing was run and nothing was written."
    if kind == "code":
        asked = _ASKED_FOR.search(detail)
        what = f" (it asks for {asked[1]})" if asked else ""
        return ModelError(
            f"{file} holds more than weights{what}, so it was not converted.",
            kept=kept,
            advice="Look for a copy in .safetensors form.",
        )
    if kind == "memory":
        return ModelError(f"{file} takes more memory than it should or than there is.", kept=kept)
    if kind == "disk":
        return StorageError(f"{file} could not be converted: {detail[:120]}.", kept=kept)
    return ModelError(
        f"{file} cannot be read as a checkpoint.",
        kept=kept,
        advice="The file is damaged or something else; get a fresh copy.",
    )


def _clear(part: Path) -> None:
    if part.is_dir():
        shutil.rmtree(part, ignore_errors=True)
    else:
        part.unlink(missing_ok=True)
