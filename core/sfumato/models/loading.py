"""From a folder on disk to a `Model`: offline, safetensors only, part by part.

The pipeline classes of diffusers are never imported: they are slow, and able to run a model's own code.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import diffusers.utils.logging as diffusers_logging
import torch
import transformers.utils.logging as transformers_logging
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from safetensors import SafetensorError
from transformers import CLIPTextModel, CLIPTokenizer

from sfumato.errors import ModelError
from sfumato.method import Progress
from sfumato.models.catalogue import Checkpoint
from sfumato.models.fingerprint import Fingerprints
from sfumato.models.folder import Folder, inspect
from sfumato.models.model import Model

log = logging.getLogger(__name__)

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
_STAGE = "Loading the model"
_STEPS = 6
"""Fingerprint, four parts, assembly."""


def load(
    checkpoint: Checkpoint, *, device: str = "auto", precision: str = "fp32", cache_dir: Path
) -> Generator[Progress, None, Model]:
    """Load a checkpoint, reporting part by part.

    `device` is "auto" or a torch device. Raises `ModelError` if the folder is unsafe, incomplete, damaged or
    of a family this version cannot use.
    """
    folder = inspect(checkpoint.folder)
    where = choose_device(device)
    weights_hash = yield from _fingerprint(folder, cache_dir)
    parts: dict[str, Any] = {}
    for number, (name, read) in enumerate(_readers(folder).items(), start=1):
        yield Progress(number, _STEPS, _STAGE)
        with quiet(), _explained(name, folder.root):
            parts[name] = read()
    yield Progress(_STEPS - 1, _STEPS, _STAGE)
    return Model.from_parts(
        info=folder.info(checkpoint),
        scheduler_config=folder.configs["scheduler"],
        weights_hash=weights_hash,
        device=where,
        dtype=DTYPES[precision],
        **parts,
    )


def choose_device(asked: str) -> torch.device:
    """Find the device meant by "auto", or the one asked for. Raises `ModelError` if this machine lacks it."""
    if asked == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(asked)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ModelError(
            f"This machine cannot compute on '{asked}'.", advice="Choose the device 'cpu'."
        ) from error
    return device


def _fingerprint(folder: Folder, cache_dir: Path) -> Generator[Progress, None, str]:
    yield Progress(0, _STEPS, _STAGE)
    for digest in Fingerprints(cache_dir / "fingerprints.json").of(folder.root, folder.files):
        if digest is not None:
            return digest
        yield Progress(0, _STEPS, _STAGE)
    raise AssertionError("a fingerprint always ends in a digest")


def _readers(folder: Folder) -> dict[str, Callable[[], Any]]:
    """For each part how it is read; nothing is read yet."""
    offline: dict[str, Any] = {"local_files_only": True}
    network = {**offline, "use_safetensors": True, "variant": folder.variant, "output_loading_info": True}
    of = folder.root.joinpath
    return {
        "tokenizer": partial(CLIPTokenizer.from_pretrained, str(of("tokenizer")), **offline),
        "text_encoder": partial(_network, CLIPTextModel, of("text_encoder"), network),
        "vae": partial(_network, AutoencoderKL, of("vae"), network),
        "unet": partial(_network, UNet2DConditionModel, of("unet"), network),
    }


def _network(kind: Any, path: Path, options: dict[str, Any]) -> torch.nn.Module:
    network, told = kind.from_pretrained(str(path), **options)
    if missing := sorted(told["missing_keys"]):
        raise ValueError(f"{len(missing)} weights are missing, the first is {missing[0]}")
    if told.get("mismatched_keys"):
        raise ValueError(f"weights of another shape: {told['mismatched_keys'][0]}")
    return network


@contextmanager
def _explained(part: str, root: Path) -> Iterator[None]:
    """Turn what the libraries raise over bad files into one sentence; lack of memory passes through."""
    try:
        yield
    except (OSError, ValueError, TypeError, KeyError, SafetensorError) as error:
        raise ModelError(
            f"The {part} of {root} cannot be read: {' '.join(str(error).split())[:200]}",
            advice="The model is damaged or incomplete; get a fresh copy.",
        ) from error
    except RuntimeError as error:
        if "size mismatch" not in str(error):
            raise
        raise ModelError(f"The weights of the {part} of {root} do not fit its configuration.") from error


@contextmanager
def quiet() -> Iterator[None]:
    """Keep the libraries' progress bars and warnings off the terminal; bars stay off, levels come back."""
    libraries = (diffusers_logging, transformers_logging)
    levels = [library.get_verbosity() for library in libraries]
    for library in libraries:
        library.set_verbosity_error()
        library.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for library, level in zip(libraries, levels, strict=True):
            library.set_verbosity(level)
