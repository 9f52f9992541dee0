"""One model in every form it is kept in: folder, original keys, diffusers keys. All are the same network."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from sfumato.diffusion.denoiser import Row
from sfumato.models.catalogue import from_path
from sfumato.models.inspection import describe
from sfumato.models.loading import load
from sfumato.models.model import Model
from tests import checkpoints
from tests.checkpoints import Tiny
from tests.tiny import drain

FAMILIES: dict[str, tuple[Callable[[], Tiny], str]] = {
    "sd1": (checkpoints.sd1, "sd1"),
    "sd1 inpainting": (lambda: checkpoints.sd1(9), "sd1-inpainting"),
    "instruct": (lambda: checkpoints.sd1(8), "instruct"),
    "lcm": (checkpoints.lcm, "lcm"),
    "turbo": (checkpoints.turbo, "some-turbo"),
    "sd2 base": (lambda: checkpoints.sd2("epsilon"), "v2-base"),
    "sd2 768-v": (checkpoints.sd2, "v2-768"),
    "sd2 inpainting": (lambda: checkpoints.sd2("epsilon", 9), "v2-inpainting"),
    "sdxl": (checkpoints.sdxl, "xl"),
    "sdxl inpainting": (lambda: checkpoints.sdxl(9), "xl-inpainting"),
}


def opened(path: Path, cache: Path) -> Model:
    return drain(load(from_path(path), device="cpu", cache_dir=cache))


@torch.no_grad()
def seen(model: Model) -> dict[str, torch.Tensor]:
    """What a model makes of a prompt, a picture and a noisy latent."""
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(1, 3, 64, 64, generator=generator) * 2 - 1
    x = torch.randn(model.latent_shape(64, 64), generator=generator)
    concat = x if model.info.inputs == "instructions" else None
    text = model.text("a big (red:1.4) cat")
    rows = {"c": Row("c", text, concat=concat), "u": Row("u", model.text(""), concat=concat)}
    eps = model.denoiser({name: row.seen(x, 0) for name, row in rows.items()}, 501)
    found = {"text": text.embeddings, "x0": model.encode(image), "picture": model.decode(x), **eps}
    return found if text.pooled is None else found | {"pooled": text.pooled}


@pytest.mark.parametrize("name", FAMILIES)
def test_every_form_of_a_model_is_the_same_network(name: str, tmp_path: Path) -> None:
    make, stem = FAMILIES[name]
    tiny = make()
    folder = tiny.save_folder(tmp_path / "folder")
    expected, told = seen(opened(folder, tmp_path / "cache")), describe(from_path(folder))
    assert all(bool(each.std() > 0) for each in expected.values())
    for form in ("original", "diffusers"):
        path = tiny.save_file(tmp_path / form / f"{stem}.safetensors", original=form == "original")
        info = describe(from_path(path))
        for what in ("family", "inputs", "prediction", "size", "multiple", "abilities", "defaults"):
            assert getattr(info, what) == getattr(told, what), (form, what)
        found = seen(opened(path, tmp_path / "cache"))
        for what, value in expected.items():
            # Where weights lie in memory decides how their products are summed, so the last bit is free.
            torch.testing.assert_close(found[what], value, atol=1e-5, rtol=0, msg=f"{form}: {what}")


def test_the_forms_differ_in_nothing_that_is_compared_by_accident(tmp_path: Path) -> None:
    """The comparison above must see a wrong number of heads, which has the same shapes."""
    tiny: Any = checkpoints.sd1()
    other: Any = checkpoints.sd1()
    x, context = torch.randn(1, 4, 8, 8), torch.randn(1, 4, 64)
    for module in other.parts["unet"].modules():
        if hasattr(module, "heads"):
            module.heads //= 2
            module.scale *= 0.5**0.5
    with torch.no_grad():
        a, b = (each.parts["unet"](x, 1, encoder_hidden_states=context).sample for each in (tiny, other))
    assert not torch.allclose(a, b, atol=1e-5)
