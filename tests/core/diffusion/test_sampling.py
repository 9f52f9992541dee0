"""Where branches start and where their noise lies."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import torch

from sfumato.diffusion.branches import candidates, fresh_noise
from sfumato.diffusion.sampling import kept_outside

ELSEWHERE = torch.device("meta")
"""Stands for a graphics card: torch refuses to mix it with the CPU."""


def test_noise_is_drawn_alike_whatever_the_device() -> None:
    torch.manual_seed(1)
    first = fresh_noise(3, (1, 4, 2, 2))()
    torch.manual_seed(2)
    assert torch.equal(first, fresh_noise(3, (1, 4, 2, 2), torch.device("cpu"))())
    assert fresh_noise(3, (1, 4, 2, 2), ELSEWHERE)().device == ELSEWHERE


def test_candidates_start_on_the_models_device(tiny_model: Any, tiny_request: Callable[..., Any]) -> None:
    model: Any = SimpleNamespace(device=ELSEWHERE, text=tiny_model.text)
    for each in candidates(model, tiny_request(candidates=2), lambda eps: eps):
        assert each.latent.device == ELSEWHERE
        assert each.noise().device == ELSEWHERE


def test_the_background_is_noised_on_the_pictures_device(
    tiny_model: Any, tiny_request: Callable[..., Any]
) -> None:
    x0 = torch.empty(1, 4, 16, 16, device=ELSEWHERE)
    request = tiny_request(x0=x0, latent_mask=torch.ones(1, 1, 16, 16, device=ELSEWHERE))
    keep = kept_outside(tiny_model, request, tiny_model.schedule.grid(4))
    assert keep is not None
    assert keep.background(1, "tgt").device == ELSEWHERE
