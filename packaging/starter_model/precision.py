"""Which precision trains fastest here: bfloat16 where the processor computes in it, else float32."""

from __future__ import annotations

import time
from functools import cache

import torch


@cache
def bfloat16_pays() -> bool:
    """Whether this processor multiplies faster in bfloat16 than in float32; measured once, in some 50 ms.

    With AMX three times as fast, without any such instructions four times as slow: torch emulates them.
    """
    taken = {dtype: min(_seconds(dtype) for _ in range(3)) for dtype in (torch.bfloat16, torch.float32)}
    return taken[torch.bfloat16] < taken[torch.float32]


def quickest(device: torch.device | str, *, fine: bool = False) -> torch.autocast:
    """Automatic bfloat16 where it is faster; float32 where it is not, or where `fine` asks for it."""
    kind = torch.device(device).type
    return torch.autocast(kind, torch.bfloat16, enabled=not fine and (kind != "cpu" or bfloat16_pays()))


def _seconds(dtype: torch.dtype) -> float:
    left, right = torch.ones(512, 512, dtype=dtype), torch.ones(512, 512, dtype=dtype)
    torch.mm(left, right)
    start = time.perf_counter()
    for _ in range(3):
        torch.mm(left, right)
    return time.perf_counter() - start
