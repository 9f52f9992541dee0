"""Where a model computes, in which precision, and what to do when it will not fit."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import psutil
import torch
from accelerate import cpu_offload_with_hook
from torch import nn

from sfumato.errors import ModelError

log = logging.getLogger(__name__)

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
_ORDER = ("text_encoder", "text_encoder_2", "unet", "vae")
"""In which order the networks of a step are used."""
_UNET_COPIES = 32
"""How many times its widest activation a U-Net holds at its largest: skips, the feed-forward, maps."""
_VAE_COPIES = 12
"""The same of a decoder at full resolution, in its first width."""
_ROWS = 4
"""Rows of a step of most editing methods: source and target, with and without their words."""
_SPARE = 0.9
"""Share of the free memory that may be planned with."""


@dataclass(frozen=True)
class Placement:
    """What is done to make a model fit."""

    offload: bool = False
    """Keep each network on the CPU and bring it to the device while it is used (accelerate's offload)."""
    slices: bool = False
    """Compute attention in slices."""

    def put(self, parts: Mapping[str, Any], device: torch.device) -> None:
        """Move the networks among `parts` to where they belong."""
        networks = [parts[name] for name in _ORDER if isinstance(parts.get(name), nn.Module)]
        before = None
        for network in networks:
            if self.offload:
                _, before = cpu_offload_with_hook(network, device, prev_module_hook=before)
            else:
                network.to(device)


EVERYWHERE = Placement()
"""Everything on the device."""


def choose_device(asked: str) -> torch.device:
    """Find the device meant by "auto", or the one asked for. Raises `ModelError` if this machine lacks it."""
    if asked == "auto":
        mps = torch.backends.mps.is_available()
        return torch.device("cuda" if torch.cuda.is_available() else "mps" if mps else "cpu")
    try:
        device = torch.device(asked)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ModelError(
            f"This machine cannot compute on '{asked}'.", advice="Choose the device 'cpu'."
        ) from error
    return device


def choose_dtype(precision: str, device: torch.device) -> torch.dtype:
    """The network's precision; "auto" is fp32 on a CPU and fp16 on everything else.

    fp16 keeps three bits more than bf16, which an inversion needs, and its range suffices: the autoencoder
    and the text encoders stay in float32, and attention that asks for it is computed there.
    """
    if precision == "auto":
        return torch.float32 if device.type == "cpu" else torch.float16
    return _DTYPES[precision]


def weight_bytes(networks: Iterable[tuple[str, nn.Module]], dtype: torch.dtype) -> int:
    """What the weights take once loaded; `networks` are (part, network)."""
    total = 0
    for name, network in networks:
        width = dtype.itemsize if name == "unet" else torch.float32.itemsize
        total += width * sum(parameter.numel() for parameter in network.parameters())
    return total


def activation_bytes(
    unet: Mapping[str, Any], vae: Mapping[str, Any], size: int, dtype: torch.dtype, *, rows: int = _ROWS
) -> int:
    """An estimate of what a step, or a decode, holds at its largest for pictures of size x size pixels."""
    cells = (size // 2 ** (len(vae["block_out_channels"]) - 1)) ** 2
    step = rows * cells * unet["block_out_channels"][0] * _UNET_COPIES * dtype.itemsize
    decode = size**2 * vae["block_out_channels"][0] * _VAE_COPIES * torch.float32.itemsize
    return max(step, decode)


def free_bytes(device: torch.device) -> int:
    """How much memory is left where `device` computes."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    if device.type == "mps":
        return torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory()
    return psutil.virtual_memory().available


def choose_placement(device: torch.device, needed: int, free: int) -> Placement:
    """Nothing special while the need fits; else slices, and offload where there is a second memory."""
    if needed <= _SPARE * free:
        return EVERYWHERE
    log.info("A run needs about %.1f GB where %.1f GB are free", needed / 1e9, free / 1e9)
    return Placement(offload=device.type != "cpu", slices=True)
