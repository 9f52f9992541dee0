"""From a checkpoint on disk to a `Model`: offline, safetensors only, part by part.

The pipeline classes of diffusers are never imported: they are slow, and able to run a model's own code.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
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
from torch import nn
from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from sfumato.errors import ModelError
from sfumato.method import Progress
from sfumato.models.catalogue import Checkpoint
from sfumato.models.family import model_info
from sfumato.models.fingerprint import Fingerprints
from sfumato.models.folder import Folder
from sfumato.models.inspection import inspect
from sfumato.models.model import Model
from sfumato.models.placement import (
    Placement,
    activation_bytes,
    choose_device,
    choose_dtype,
    choose_placement,
    free_bytes,
    weight_bytes,
)
from sfumato.models.single_file import SingleFile

log = logging.getLogger(__name__)

_STAGE = "Loading the model"
_KINDS: dict[str, Any] = {
    "text_encoder": CLIPTextModel,
    "text_encoder_2": CLIPTextModelWithProjection,
    "vae": AutoencoderKL,
    "unet": UNet2DConditionModel,
}


def load(
    checkpoint: Checkpoint,
    *,
    device: str = "auto",
    precision: str = "auto",
    cache_dir: Path,
    folders: Sequence[Path] = (),
) -> Generator[Progress, None, Model]:
    """Load a checkpoint, reporting part by part.

    `device` is "auto" or a torch device; a single file's tokenizer is looked for in `folders`, the other
    models there are. Raises `ModelError` if the checkpoint is unsafe, incomplete, damaged or of a family this
    version cannot use.
    """
    source, where = inspect(checkpoint), choose_device(device)
    if isinstance(source, SingleFile):
        source = source.with_tokenizers(folders)
    readers = _readers(source)
    count = len(readers) + 2
    weights_hash = yield from _fingerprint(source.files, cache_dir, count)
    parts: dict[str, Any] = {}
    for number, (name, read) in enumerate(readers.items(), start=1):
        yield Progress(number, count, _STAGE)
        with quiet(), _explained(name, source.root):
            parts[name] = read()
    yield Progress(count - 1, count, _STAGE)
    info, dtype = model_info(source.configs, checkpoint), choose_dtype(precision, where)
    placement = _placement(source, parts, where, dtype, info.size)
    model = Model.from_parts(
        info=info,
        scheduler_config=source.configs["scheduler"],
        weights_hash=weights_hash,
        device=where,
        dtype=dtype,
        placement=placement,
        empty_is_zero=bool(source.configs["index"].get("force_zeros_for_empty_prompt")),
        **parts,
    )
    if placement.slices:
        model.slice_attention()
    return model


def _placement(
    source: Folder | SingleFile, parts: Mapping[str, Any], device: torch.device, dtype: torch.dtype, size: int
) -> Placement:
    networks = [(name, part) for name, part in parts.items() if isinstance(part, nn.Module)]
    activations = activation_bytes(source.configs["unet"], source.configs["vae"], size, dtype)
    here = weight_bytes(networks, dtype) if device.type != "cpu" else 0  # on a CPU they are loaded already
    return choose_placement(device, here + activations, free_bytes(device))


def _fingerprint(files: Mapping[str, Path], cache_dir: Path, count: int) -> Generator[Progress, None, str]:
    yield Progress(0, count, _STAGE)
    for digest in Fingerprints(cache_dir / "fingerprints.json").of(files):
        if digest is not None:
            return digest
        yield Progress(0, count, _STAGE)
    raise AssertionError("a fingerprint always ends in a digest")


def _readers(source: Folder | SingleFile) -> dict[str, Callable[[], Any]]:
    """For each part how it is read; nothing is read yet."""
    if isinstance(source, SingleFile):
        return {part: partial(source.read, part) for part in source.parts}
    offline: dict[str, Any] = {"local_files_only": True}
    network = {**offline, "use_safetensors": True, "variant": source.variant, "output_loading_info": True}
    readers: dict[str, Callable[[], Any]] = {}
    for part in source.parts:
        path = source.root / part
        if part in _KINDS:
            readers[part] = partial(_network, _KINDS[part], path, network)
        else:
            readers[part] = partial(CLIPTokenizer.from_pretrained, str(path), **offline)
    return readers


def _network(kind: Any, path: Path, options: dict[str, Any]) -> nn.Module:
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
        if "size mismatch" not in str(error) and "loading state_dict" not in str(error):
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
