"""A mask made by a plugin, and the job that then runs with it as if somebody had painted it."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from sfumato.document.resampling import resize
from sfumato.errors import MethodError
from sfumato.method import Mask, Progress
from sfumato.order import Order
from sfumato.scene import Scene, stage

if TYPE_CHECKING:
    from torch import Tensor

    from sfumato.models.model import Model


def find_mask(order: Order, model: Model) -> Generator[Progress, None, tuple[Mask, Scene]]:
    """Have the order's masker look at the whole picture.

    Returns a mask of the document's size, and the whole picture as the model sees it.

    Raises `MethodError` if it finds nothing, or gives what is no mask.
    """
    job, masker = order.job, order.masker
    assert masker is not None
    assert job.image is not None
    scene = stage(replace(order, job=replace(job, task="mask", mask=None)), model)
    request = model.surround(replace(scene.request, params=order.masker_params))
    found = yield from masker.find(request, model)
    height, width = job.image.shape[:2]
    mask = _at_size(_checked(found, masker.title), (width, height))
    if not mask.any():
        raise MethodError(
            f"{masker.title} found nothing to mark in this picture.",
            kept="Your picture is unchanged.",
            advice="Lower its threshold, try other words, or paint the mask.",
        )
    return mask, scene


def _checked(found: Tensor, title: str) -> Tensor:
    shape_fits = found.ndim == 4 and found.shape[:2] == (1, 1)
    if not shape_fits or not bool(((found >= 0) & (found <= 1)).all()):
        raise MethodError(
            f"{title} gave values of shape {tuple(found.shape)} that are no mask.",
            kept="Your picture is unchanged.",
        )
    return found


def _at_size(found: Tensor, size: tuple[int, int]) -> Mask:
    area = resize(found[0, 0, ..., None].float().cpu().numpy(), size, smooth=False)
    return np.rint(area[..., 0].clip(0, 1) * 255).astype(np.uint8)
