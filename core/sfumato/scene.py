"""From the document to the model and back: stops 5 and 8 of an edit."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from math import log10
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sfumato.document.compositor import count_changed, flatten
from sfumato.document.geometry import window
from sfumato.document.layers import Document, Layer
from sfumato.document.matte import snap
from sfumato.document.region import Region, choose_region, cut, cut_mask, model_size, paste
from sfumato.document.resampling import resize
from sfumato.errors import MethodError
from sfumato.method import Edit, EditRequest, Job, Pixels, Progress, Recipe
from sfumato.order import Order
from sfumato.preprocessor import made_control

if TYPE_CHECKING:
    from torch import Tensor

    from sfumato.diffusion.control import ControlNet
    from sfumato.models.model import Model

VISIBLE = 24
"""Levels of 255 by which a pixel differs to anybody's eye."""
FEATHER = 1.5
"""Width of the soft edge inside a mask, in pixels of the model."""
_PERFECT = 100.0
"""PSNR in dB of two equal pictures; infinity has no place in JSON."""

Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Scene:
    """A job at the model's size."""

    region: Region
    request: EditRequest[Any]
    seen: Floats | None
    """(H, W, 3) in [0, 1]: what the model sees; None if it makes a picture from words."""
    round_trip: Floats | None
    """The same through the VAE and back: what the model would make of it if nothing were asked."""

    def psnr(self, picture: Floats) -> float:
        """Of a picture against what the model sees, in dB."""
        assert self.seen is not None
        error = float(np.mean((picture.astype(np.float64) - self.seen) ** 2))
        return _PERFECT if error == 0 else min(-10 * log10(error), _PERFECT)

    def error_map(self, picture: Floats) -> Floats:
        """(H, W) in [0, 1]: the mean absolute difference of a picture from what the model sees."""
        assert self.seen is not None
        return np.abs(picture - self.seen).mean(-1, dtype=np.float32)


def stage(order: Order, model: Model, networks: tuple[ControlNet, ...] = ()) -> Scene:
    """Cut the region around the mask, scale it to the model's size and encode it."""
    job, recipe = order.job, order.job.recipe
    region = region_of(job, model)
    seen = None if job.image is None or order.from_words else cut(job.image, job.profile, region)
    image = None if seen is None else to_tensor(seen, model)
    width, height = region.size
    shape = model.latent_shape(height, width)
    x0 = None if image is None else _encoded(image, shape, recipe, model)
    pixel_mask = None if job.mask is None else _mask_tensor(cut_mask(job.mask, region), model)
    request = EditRequest(
        image=image,
        x0=x0,
        pixel_mask=pixel_mask,
        latent_mask=None if pixel_mask is None else _latent_mask(pixel_mask, shape),
        control_images={
            name: to_tensor(each, model) for name, each in _controls(order, region, seen).items()
        },
        latent_shape=shape,
        source=recipe.source,
        target=recipe.target,
        negative=recipe.negative,
        instruction=recipe.instruction,
        concepts=recipe.concepts,
        word_weights=recipe.word_weights,
        guidance=recipe.guidance,
        start=recipe.start,
        steps=recipe.steps,
        seed=recipe.seed,
        solver=recipe.solver,
        eta=recipe.eta,
        candidates=recipe.candidates,
        params=order.editor_params,
        timestep_offset=recipe.timestep_offset,
        networks=networks,
    )
    return Scene(region, request, seen, None if x0 is None else to_picture(model.decode(x0)))


def _controls(order: Order, region: Region, seen: Floats | None) -> dict[str, Floats]:
    """The control images at the model's size: those given, else the one made of the picture."""
    job = order.job
    if order.preprocessor is not None and seen is not None:
        preprocessor, params = order.preprocessor
        made = made_control(preprocessor, np.rint(seen * 255).astype(np.uint8), params)
        return {"control": np.divide(made, 255, dtype=np.float32)}
    controls: dict[str, Floats] = {}
    for name, pixels in job.control_images.items():
        whole = Region((0, 0, pixels.shape[1], pixels.shape[0]), region.size)
        controls[name] = cut(pixels, None, whole if job.image is None else region)
    return controls


def _encoded(image: Tensor, shape: tuple[int, ...], recipe: Recipe, model: Model) -> Tensor:
    """x_0 as the recipe wants it: the posterior's mean, or the sample its seed stands for."""
    from sfumato.diffusion.branches import fresh_noise

    if recipe.encoding == "mean":
        return model.encode(image)
    return model.encode(image, noise=fresh_noise(recipe.seed, shape, model.device)())


def region_of(job: Job, model: Model) -> Region:
    """The part of a job's picture the model works on, and at what size."""
    if job.image is not None:
        height, width = job.image.shape[:2]
        native, multiple = round(model.info.size * job.scale), model.info.multiple
        return choose_region((width, height), job.mask, native=native, multiple=multiple, near=job.near)
    own = round(model.info.size * job.scale)
    size = job.recipe.size or (own, own)
    if job.recipe.size is None and job.control_images:
        height, width = next(iter(job.control_images.values())).shape[:2]
        size = model_size((width, height), own, model.info.multiple)
    return Region((0, 0, *size), size)


def to_tensor(picture: Floats, model: Model) -> Tensor:
    """(H, W, 3) in [0, 1] -> (1, 3, H, W) in [-1, 1] on the model's device."""
    import torch

    return torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1)[None] * 2 - 1)).to(model.device)


def to_picture(decoded: Tensor) -> Floats:
    """(1, 3, H, W) in [-1, 1] -> (H, W, 3) in [0, 1]."""
    return ((decoded[0].permute(1, 2, 0).float() + 1) / 2).cpu().numpy()


def _mask_tensor(mask: Floats, model: Model) -> Tensor:
    import torch

    return torch.from_numpy(np.ascontiguousarray(mask))[None, None].to(model.device)


def _latent_mask(pixel_mask: Tensor, shape: tuple[int, int, int, int]) -> Tensor:
    from sfumato.diffusion.blending import latent_mask

    return latent_mask(pixel_mask, shape)


def develop(
    order: Order, scene: Scene, edit: Edit, model: Model, decoded_as: list[NDArray[np.uint8]] | None = None
) -> Generator[Progress, None, list[Pixels]]:
    """Decode the candidates of an edit into patches for `scene.region.box`, one by one.

    `decoded_as` gets the pictures as the model decodes them, (H, W, 3) sRGB at its size, before anything of
    the picture's own is put back. Raises `MethodError` if the latents are not pictures.
    """
    import torch

    latents = edit.latents
    if latents.ndim != 4 or latents.shape[1:] != scene.request.latent_shape[1:]:
        raise MethodError(
            f"{order.editor.title} gave latents of shape {tuple(latents.shape)}, which is no picture.",
            kept="Your picture is unchanged.",
        )
    patches = []
    for number, latent in enumerate(latents.split(1)):
        decoded = model.decode(latent) if torch.isfinite(latent).all() else None
        if decoded is None or not torch.isfinite(decoded).all():
            raise MethodError(
                f"{order.editor.title} lost its numbers (NaN) on the way.",
                kept="Your picture is unchanged.",
                advice="Try a lower guidance, or full precision (fp32).",
            )
        edited = to_picture(decoded)
        if decoded_as is not None:
            decoded_as.append(np.rint(np.clip(edited, 0, 1) * 255).astype(np.uint8))
        patches.append(_patch(order.job, scene, held(scene, edit, edited), keep_detail=edit.keeps_detail))
        yield Progress(number + 1, len(latents), "Finishing")
    return patches


def held(scene: Scene, edit: Edit, edited: Floats) -> Floats:
    """Outside the area a method chose for itself, what it made counts for nothing."""
    if edit.mask is None or scene.seen is None or scene.round_trip is None:
        return edited
    area: Floats = resize(edit.mask[0, 0, ..., None].float().cpu().numpy(), scene.region.size, smooth=False)
    if edit.mask_follows_edges:
        cell = scene.region.size[0] // edit.mask.shape[-1]
        area = snap(area[..., 0], scene.seen, radius=cell)[..., None]
    return np.asarray(scene.round_trip + area * (edited - scene.round_trip), np.float32)


def _patch(job: Job, scene: Scene, edited: Floats, *, keep_detail: bool) -> Pixels:
    if job.image is not None:
        box = scene.region.box
        scale = (box[2] - box[0]) / scene.region.size[0]
        return paste(
            job.image,
            job.profile,
            scene.region,
            edited=edited,
            reconstruction=scene.round_trip,
            mask=job.mask,
            feather=FEATHER * scale,
            keep_detail=keep_detail,
        )
    patch = np.full((*edited.shape[:2], 4), 255, np.uint8)
    patch[..., :3] = np.rint(edited * 255)
    return patch


def share_changed(job: Job, region: Region, patch: Pixels) -> float:
    """How much of what a patch changes at all it changes visibly, in [0, 1]; 0 if it changes nothing."""
    if job.image is None:
        return 1.0
    difference = np.abs(patch[..., :3].astype(int) - job.image[window(region.box)][..., :3]).max(-1)
    difference = np.where(patch[..., 3] > 0, difference, 0)
    return float((difference > VISIBLE).sum() / max(1, (difference > 0).sum()))


def count_outside(job: Job, region: Region, patch: Pixels) -> int:
    """Lay a patch over the picture as the document would, and count what changed outside the mask."""
    if job.image is None or job.mask is None:
        return 0
    here = window(region.box)
    before = np.ascontiguousarray(job.image[here])
    height, width = before.shape[:2]
    layers = [Layer("picture", before), Layer("edit", patch)]
    after = flatten(Document(width, height, layers))
    return count_changed(before, after, job.mask[here])
