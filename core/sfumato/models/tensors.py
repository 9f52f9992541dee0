"""Reading a stranger's small safetensors file: whole, finite, or one sentence why not."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from sfumato.errors import ModelError

UNCHANGED = "The model is as it was."


def read_tensors(path: Path, what: str) -> dict[str, Tensor]:
    """Read every tensor of a file; `what` is the word for it. Raises `ModelError`."""
    if path.suffix.lower() != ".safetensors":
        raise ModelError(
            f"The {what} {path.name} is not a .safetensors file, so it was not opened.",
            kept=UNCHANGED,
            advice="Get it in that form; others can run code when opened.",
        )
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - it is no dict
    except FileNotFoundError:
        raise ModelError(f"There is no {what} {path}.", kept=UNCHANGED) from None
    except (OSError, SafetensorError, ValueError) as error:
        raise ModelError(
            f"The {what} {path.name} cannot be read ({' '.join(str(error).split())[:120]}).",
            kept=UNCHANGED,
            advice="The file is damaged or incomplete; get a fresh copy.",
        ) from error
    for key, tensor in tensors.items():
        if tensor.is_floating_point() and not torch.isfinite(tensor.float()).all():
            raise ModelError(
                f"The {what} {path.name} holds values that are no numbers (in {key}).",
                kept=UNCHANGED,
                advice="The file is damaged; get a fresh copy.",
            )
    return tensors


def foreign(path: Path, what: str, why: str) -> ModelError:
    """The error for a file that is sound and does not belong to this model."""
    return ModelError(
        f"The {what} {path.name} does not fit this model: {why}.",
        kept=UNCHANGED,
        advice="Use one made for this kind of model.",
    )
