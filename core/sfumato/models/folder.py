"""What is in a diffusers folder, decided from names and JSON alone, before anything in it is loaded.

A model folder is a stranger's: it may hold programs (Python files, pickled weights), lack parts, or be of a
family this version cannot run. Each of these is one sentence.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sfumato.errors import ModelError
from sfumato.models.family import refuse_unfit
from sfumato.models.wishes import FILE, read_wishes

CLASSES = {
    "unet": "UNet2DConditionModel",
    "vae": "AutoencoderKL",
    "text_encoder": "CLIPTextModel",
    "tokenizer": "CLIPTokenizer",
    "text_encoder_2": "CLIPTextModelWithProjection",
    "tokenizer_2": "CLIPTokenizer",
}
"""The parts that are loaded, and the one class each may have."""
CONFIGS = {
    "unet": "config.json",
    "vae": "config.json",
    "text_encoder": "config.json",
    "tokenizer": "tokenizer_config.json",
    "scheduler": "scheduler_config.json",
    "text_encoder_2": "config.json",
    "tokenizer_2": "tokenizer_config.json",
}
_SECOND = frozenset({"text_encoder_2", "tokenizer_2"})
"""Parts that only models with two text encoders have."""
WEIGHTS = {
    "unet": "diffusion_pytorch_model",
    "vae": "diffusion_pytorch_model",
    "text_encoder": "model",
    "text_encoder_2": "model",
}
PICKLES = frozenset({".bin", ".ckpt", ".pt", ".pth", ".pkl", ".pickle"})
CODE = frozenset({".py", ".pyc", ".so", ".pyd"})
_MOST_FILES = 10_000
_LARGEST_JSON = 4 * 1024**2
_FAMILIES = {
    "text_encoder_3": "a third text encoder (the SD3 family)",
    "transformer": "a transformer in place of the UNet (the SD3 and FLUX families)",
    "prior": "a prior network",
}


@dataclass(frozen=True)
class Folder:
    """A folder that passed inspection."""

    root: Path
    configs: Mapping[str, Mapping[str, Any]]
    """Part -> its parsed configuration; "index" is model_index.json."""
    variant: str | None
    """"fp16" if the weights are stored under that name."""

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts that are loaded."""
        return tuple(part for part in CLASSES if part in self.configs)

    @property
    def files(self) -> dict[str, Path]:
        """Everything a load reads, by its name in the folder, in a fixed order."""
        read = (
            path
            for part in CONFIGS
            if part in self.configs
            for path in sorted((self.root / part).iterdir())
            if path.is_file()
        )
        return {path.relative_to(self.root).as_posix(): path for path in read}


def inspect(root: Path) -> Folder:
    """Look a folder over. Raises `ModelError` for anything that cannot or must not be loaded."""
    if not root.is_dir():
        raise ModelError(_no_folder(root), advice=_advice(root))
    index_path = root / "model_index.json"
    if not index_path.is_file():
        raise ModelError(f"{root} is not a diffusers model: it has no model_index.json.")
    _refuse_programs(root)
    index = _json(index_path, root)
    parts = _parts(index, root)
    configs = {part: _json(root / part / CONFIGS[part], root) for part in parts}
    for name, config in {"model_index.json": index, **configs}.items():
        if foreign := {"auto_map", "custom_pipeline"} & config.keys():
            raise ModelError(
                f"{root} asks to run code of its own ('{min(foreign)}' in {name}), so it was not opened."
            )
    configs["scheduler"] |= {"_class_name": (index["scheduler"][1:] or [None])[0]}
    refuse_unfit(configs, root)
    wishes = read_wishes(_json(root / FILE, root), root) if (root / FILE).is_file() else {}
    return Folder(
        root,
        {**configs, "index": index, "wishes": wishes},
        _variant(root, [each for each in WEIGHTS if each in parts]),
    )


def _no_folder(root: Path) -> str:
    if root.is_file():
        return f"{root} is a file, but no .safetensors checkpoint."
    return f"There is no model '{root}': it is neither a known name nor a folder or file."


def _advice(root: Path) -> str:
    if root.is_file() and root.suffix.lower() in PICKLES:
        return "Make one of it with `sfumato models convert`."
    return "Choose a folder in diffusers format, or a .safetensors file."


def _refuse_programs(root: Path) -> None:
    code, pickles = [], []
    for count, path in enumerate(root.rglob("*")):
        if count > _MOST_FILES:
            raise ModelError(f"{root} holds more than {_MOST_FILES} files; that is not a model.")
        if path.suffix.lower() in CODE:
            code.append(path)
        elif path.suffix.lower() in PICKLES:
            pickles.append(path)
    if code:
        raise ModelError(
            f"{root} holds program code ({_names(code, root)}), so it was not opened.",
            advice="A model needs none; take a copy without it if you trust its source.",
        )
    if pickles:
        raise ModelError(
            f"{root} holds pickled weights ({_names(pickles, root)}), which can run code when opened.",
            advice="Use a copy that has only .safetensors files.",
        )


def _names(paths: Iterable[Path], root: Path) -> str:
    names = sorted(path.relative_to(root).as_posix() for path in paths)
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _parts(index: Mapping[str, Any], root: Path) -> list[str]:
    """The parts a model names. Raises `ModelError` if it is of another family or lacks one."""
    present = {part for part, value in index.items() if isinstance(value, list) and value and value[0]}
    for part, what in _FAMILIES.items():
        if part in present:
            raise ModelError(f"{root} has {what}; this version cannot use such models yet.")
    needed = [part for part in CONFIGS if part not in _SECOND or _SECOND & present]
    for part in needed:
        if part not in present:
            raise ModelError(f"{root} lacks a part: model_index.json names no {part}.")
        if not (root / part).is_dir():
            raise ModelError(f"{root} lacks a part: the folder '{part}' is missing.")
        wanted, found = CLASSES.get(part), index[part][1] if len(index[part]) > 1 else None
        if wanted is not None and found not in (wanted, f"{wanted}Fast"):
            raise ModelError(f"The {part} of {root} is a {found}; this version can use a {wanted} only.")
    return needed


def _json(path: Path, root: Path) -> dict[str, Any]:
    where = path.relative_to(root).as_posix()
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST_JSON + 1)
        if len(data) > _LARGEST_JSON:
            raise ModelError(f"{where} of {root} is too large for a configuration.")
        config = json.loads(data)
    except FileNotFoundError:
        raise ModelError(f"{root} lacks a part: the file {where} is missing.") from None
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{where} of {root} cannot be read; the model is damaged.") from error
    if not isinstance(config, dict):
        raise ModelError(f"{where} of {root} is not a configuration; the model is damaged.")
    return config


def _variant(root: Path, parts: Iterable[str]) -> str | None:
    """Find the weights of every part, under their plain names or all as "fp16"."""
    for variant in (None, "fp16"):
        infix = f".{variant}" if variant else ""
        missing = [part for part in parts if not _has_weights(root / part, WEIGHTS[part], infix)]
        if not missing:
            return variant
    missing = [part for part in parts if not _has_weights(root / part, WEIGHTS[part], "")]
    stem = f"{missing[0]}/{WEIGHTS[missing[0]]}.safetensors"
    raise ModelError(f"{root} lacks a part: the file {stem} is missing.")


def _has_weights(folder: Path, stem: str, infix: str) -> bool:
    names = (f"{stem}{infix}.safetensors", f"{stem}.safetensors.index{infix}.json")
    return any((folder / name).is_file() for name in names)
