"""Which models take few large steps, by their scheduler's configuration; torch is not needed to know."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_CONSISTENCY = frozenset({"LCMScheduler", "TCDScheduler"})
_ADVERSARIAL = frozenset({"EulerDiscreteScheduler", "EulerAncestralDiscreteScheduler"})


def is_consistency(config: Mapping[str, Any]) -> bool:
    """Whether it samples by jumping to the picture and back (LCM and its kin)."""
    return config.get("_class_name") in _CONSISTENCY


def distilled_stride(config: Mapping[str, Any]) -> int | None:
    """Every how many timesteps a few-step model was distilled on; None for a model of many small steps.

    LCM: 50 levels (Luo et al. 2023); turbo (adversarial distillation) says so by Euler's "trailing" spacing.
    """
    if is_consistency(config):
        return int(config.get("num_train_timesteps", 1000)) // int(config.get("original_inference_steps", 50))
    trailing = config.get("timestep_spacing") == "trailing"
    return 1 if trailing and config.get("_class_name") in _ADVERSARIAL else None
