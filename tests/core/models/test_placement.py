"""What fits where: estimates, offload, slices. Nothing of it changes what comes out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel

from sfumato.models.placement import (
    EVERYWHERE,
    Placement,
    activation_bytes,
    choose_device,
    choose_dtype,
    choose_placement,
    free_bytes,
    weight_bytes,
)
from tests import checkpoints
from tests.core.models.test_families import assembled

GB = 10**9
CUDA = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")
SD1 = {"block_out_channels": (320, 640, 1280, 1280)}
VAE = {"block_out_channels": (128, 256, 512, 512)}


def test_precision_follows_the_device_unless_it_is_chosen() -> None:
    assert choose_dtype("auto", torch.device("cpu")) == torch.float32
    assert choose_dtype("auto", torch.device("cuda")) == torch.float16
    assert choose_dtype("auto", torch.device("mps")) == torch.float16
    assert choose_dtype("bf16", torch.device("cpu")) == torch.bfloat16


def test_weights_are_counted_in_the_precision_they_will_have() -> None:
    with torch.device("meta"):
        unet = UNet2DConditionModel(**SD1, cross_attention_dim=768)
    parameters = sum(each.numel() for each in unet.parameters())
    assert parameters == 859_520_964  # Stable Diffusion 1.5's U-Net
    assert weight_bytes([("unet", unet), ("vae", unet)], torch.float16) == parameters * (2 + 4)


def test_what_a_step_holds_grows_with_the_picture_and_the_rows() -> None:
    small = activation_bytes(SD1, VAE, 512, torch.float32)
    assert 1 * GB < small < 4 * GB
    assert activation_bytes(SD1, VAE, 1024, torch.float32) == 4 * small
    assert activation_bytes(SD1, VAE, 512, torch.float32, rows=64) > small


def test_what_fits_is_left_alone_and_what_does_not_is_sliced_and_moved_away() -> None:
    cuda, cpu = torch.device("cuda"), torch.device("cpu")
    assert choose_placement(cuda, 4 * GB, 8 * GB) is EVERYWHERE
    assert choose_placement(cuda, 8 * GB, 8 * GB) == Placement(offload=True, slices=True)
    assert choose_placement(cpu, 8 * GB, 8 * GB) == Placement(offload=False, slices=True)


def test_the_free_memory_of_this_machine_is_a_number() -> None:
    assert free_bytes(torch.device("cpu")) > 0
    assert choose_device("auto").type in ("cpu", "cuda", "mps")


@torch.no_grad()
def outputs(model: Any) -> list[torch.Tensor]:
    from sfumato.diffusion.denoiser import Seen

    x = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0)).to(model.device)
    text = model.text("a cat")
    eps = model.denoiser({"c": Seen(x, text.embeddings, text.pooled)}, 501)["c"]
    image = torch.zeros(1, 3, 64, 64)
    return [each.cpu() for each in (text.embeddings, eps, model.decode(x), model.encode(image))]


def test_slices_change_no_more_than_the_last_bits_and_go_away_again() -> None:
    model = assembled(checkpoints.sdxl())
    whole = outputs(model)
    with model.sliced():
        assert any("Sliced" in type(each).__name__ for each in model.unet.attn_processors.values())  # type: ignore[attr-defined]
        sliced = outputs(model)
    for a, b, again in zip(whole, sliced, outputs(model), strict=True):
        torch.testing.assert_close(a, b, atol=1e-4, rtol=0)
        assert torch.equal(a, again)


def test_networks_that_are_moved_away_come_when_they_are_used() -> None:
    """On a CPU the two memories are one: what is seen is that every way into a network passes the hooks."""
    whole = outputs(assembled(checkpoints.sdxl()))
    model = assembled(checkpoints.sdxl(), placement=Placement(offload=True))
    for part in (model.unet, model._vae, *(each.network for each in model._encoders)):
        assert part._hf_hook is not None
    for a, b in zip(whole, outputs(model), strict=True):
        assert torch.equal(a, b)


@CUDA
@pytest.mark.parametrize(
    "placement", [EVERYWHERE, Placement(offload=True), Placement(offload=True, slices=True)]
)
@pytest.mark.parametrize("make", [checkpoints.sd1, checkpoints.sd2, checkpoints.sdxl])
def test_a_graphics_card_gives_what_a_processor_gives(make: Any, placement: Placement) -> None:
    expected = outputs(assembled(make()))
    model = assembled(make(), device="cuda", placement=placement)
    for a, b in zip(expected, outputs(model), strict=True):
        torch.testing.assert_close(a, b, atol=5e-3, rtol=0)


@CUDA
def test_half_precision_on_a_graphics_card_keeps_its_numbers(tmp_path: Path) -> None:
    model = assembled(checkpoints.sd2(), device="cuda", dtype=choose_dtype("auto", torch.device("cuda")))
    assert all(torch.isfinite(each).all() for each in outputs(model))
    assert isinstance(model._vae, AutoencoderKL)
