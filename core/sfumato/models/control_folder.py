"""What is in a ControlNet's folder, and whether it fits a model, decided from names and JSON alone."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sfumato.errors import ModelError
from sfumato.events import NetworkInfo
from sfumato.models.catalogue import Checkpoint
from sfumato.models.folder import CODE, PICKLES

CLASS = "ControlNetModel"
CONFIG = "config.json"
_STEM = "diffusion_pytorch_model"
_LARGEST_JSON = 4 * 1024**2
_SAME = {
    "cross_attention_dim": "its text is {theirs} numbers a word, the model's {ours}",
    "block_out_channels": "its blocks have {theirs} channels, the model's {ours}",
    "layers_per_block": "its blocks have {theirs} layers, the model's {ours}",
    "addition_embed_type": "it is told {theirs} beside the text, the model {ours}",
}
"""What decides the residuals' shapes and inputs, and how to say that it differs."""


@dataclass(frozen=True)
class NetworkFolder:
    """A ControlNet's folder that passed inspection."""

    root: Path
    config: Mapping[str, Any]
    variant: str | None
    """"fp16" if the weights are stored under that name."""

    @property
    def files(self) -> tuple[Path, ...]:
        """Everything a load reads, in a fixed order."""
        weights = (path for path in sorted(self.root.iterdir()) if path.name.startswith(_STEM))
        return self.root / CONFIG, *(path for path in weights if path.suffix in (".safetensors", ".json"))


def is_network(root: Path) -> bool:
    """Whether a folder says that it is a ControlNet; no promise that it can be used."""
    try:
        return bool(_config(root)["_class_name"] == CLASS)
    except (ModelError, KeyError):
        return False


def inspect_network(root: Path) -> NetworkFolder:
    """Look a folder over. Raises `ModelError` for anything that cannot or must not be loaded."""
    if root.is_file():
        raise ModelError(f"{root} is a single file; this version opens ControlNets in diffusers folders.")
    if not root.is_dir():
        raise ModelError(f"There is no ControlNet '{root}': it is neither a known name nor a folder.")
    if (root / "model_index.json").is_file():
        raise ModelError(f"{root} is a whole model, not a ControlNet.")
    config = _config(root)
    if config.get("_class_name") != CLASS:
        raise ModelError(f"{root} is a {config.get('_class_name')}; this version can use a {CLASS} only.")
    names = {path.name for path in root.iterdir()}
    if code := sorted(name for name in names if Path(name).suffix.lower() in CODE):
        raise ModelError(f"{root} holds program code ({code[0]}), so it was not opened.")
    for variant, infix in ((None, ""), ("fp16", ".fp16")):
        if names & {f"{_STEM}{infix}.safetensors", f"{_STEM}.safetensors.index{infix}.json"}:
            return NetworkFolder(root, config, variant)
    if pickles := sorted(name for name in names if Path(name).suffix.lower() in PICKLES):
        raise ModelError(
            f"{root} has pickled weights only ({pickles[0]}), which can run code when opened.",
            advice="Use a copy that has .safetensors files.",
        )
    raise ModelError(f"{root} lacks a part: the file {_STEM}.safetensors is missing.")


def describe_network(checkpoint: Checkpoint) -> NetworkInfo:
    """Describe a ControlNet without loading it. Raises `ModelError` as `inspect_network` does."""
    inspect_network(checkpoint.folder)
    return NetworkInfo(checkpoint.name, checkpoint.title, checkpoint.note)


def refuse_misfit(
    folder: NetworkFolder, unet: Mapping[str, Any], *, title: str, channels: int, scale: int
) -> None:
    """Raise `ModelError` unless the ControlNet fits a model.

    `unet` is the configuration of the model's U-Net, `channels` its latents', `scale` its pixels per cell.
    """
    reasons = list(_misfits(folder.config, unet, channels, scale))
    if reasons:
        raise ModelError(
            f"The ControlNet {folder.root.name} was not made for {title}: {reasons[0]}.",
            advice="Choose one for the same family of models.",
        )


def _misfits(config: Mapping[str, Any], unet: Mapping[str, Any], channels: int, scale: int) -> list[str]:
    reasons = [
        said.format(theirs=_said(config.get(name)), ours=_said(unet.get(name)))
        for name, said in _SAME.items()
        if _said(config.get(name)) != _said(unet.get(name))
    ]
    if config.get("in_channels", 4) != channels:
        reasons.append(f"it reads {config.get('in_channels', 4)} latent channels, the model has {channels}")
    if config.get("conditioning_channels", 3) != 3:
        reasons.append(f"its control images have {config['conditioning_channels']} channels instead of 3")
    shrinks = 2 ** (len(config.get("conditioning_embedding_out_channels") or (16, 32, 96, 256)) - 1)
    if shrinks != scale:
        reasons.append(f"it shrinks control images {shrinks} times, the model pictures {scale} times")
    return reasons


def _said(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(str(each) for each in value)
    return "nothing" if value is None else str(value)


def _config(root: Path) -> dict[str, Any]:
    try:
        with (root / CONFIG).open("rb") as file:
            data = file.read(_LARGEST_JSON + 1)
        config = json.loads(data) if len(data) <= _LARGEST_JSON else None
    except FileNotFoundError:
        raise ModelError(f"{root} is not a ControlNet: it has no {CONFIG}.") from None
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{CONFIG} of {root} cannot be read; the ControlNet is damaged.") from error
    if not isinstance(config, dict):
        raise ModelError(f"{CONFIG} of {root} is not a configuration; the ControlNet is damaged.")
    if "auto_map" in config:
        raise ModelError(
            f"{root} asks to run code of its own ('auto_map' in {CONFIG}), so it was not opened."
        )
    return config
