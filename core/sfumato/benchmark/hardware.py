"""What computed an edit, by the name its maker gave it: times of different ones cannot be compared."""

from __future__ import annotations

import platform
from functools import cache
from pathlib import Path

_PROCESSORS = Path("/proc/cpuinfo")


@cache
def processor(device: str) -> str:
    """The name of the graphics card that `device` ("cuda", "cuda:1") is, else of this machine's processor."""
    if device.startswith("cuda"):
        import torch

        return torch.cuda.get_device_name(device)
    return _model(_PROCESSORS) or platform.processor() or platform.machine()


def _model(path: Path) -> str:
    """The model as Linux tells it; empty elsewhere, and on machines whose processor has no name there."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    names = (line.partition(":")[2] for line in lines if line.lower().startswith("model name"))
    return " ".join(next(names, "").split())
