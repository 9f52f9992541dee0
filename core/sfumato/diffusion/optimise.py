"""Gradients through the network: counted, and with memory traded for time where it is short.

Weights never require grad; what is optimised is a text, a latent, or what is made of them. Code that uses
this opens `torch.enable_grad()` itself and never yields inside it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from sfumato.models.model import Model


def gradient(model: Model, loss: Tensor, wrt: Sequence[Tensor], *, rows: int) -> tuple[Tensor, ...]:
    """∂loss/∂x for each x of `wrt`, having gone back through `rows` row evaluations of the network."""
    found = torch.autograd.grad(loss, wrt)
    model.counters.backward += rows
    return found


@contextmanager
def checkpointed(model: Model) -> Iterator[None]:
    """Recompute activations on the way back instead of keeping them; meanwhile no plan may be in force.

    The second computation would not find the plan's processors, which are there for one call only.
    """
    unet: Any = model.unet
    unet.enable_gradient_checkpointing()
    try:
        yield
    finally:
        unet.disable_gradient_checkpointing()
