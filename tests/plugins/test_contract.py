"""One contract for every registered method, on a tiny model with random weights (design §3)."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import replace
from importlib.metadata import entry_points
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.functional import interpolate

from sfumato.diffusion.denoiser import Stopped
from sfumato.diffusion.inversion import Inversion
from sfumato.method import Ability, Edit, Editor, EditRequest, Inverter, Need, Progress
from sfumato.params import controls, parse
from tests.tiny import drain, tiny_control_net

README = Path(__file__).parents[2] / "plugins" / "README.md"
PAGES = README.parent / "methods"


def registered(hook: str) -> list[Any]:
    modules = [
        point.load() for point in entry_points(group="sfumato") if point.value.startswith("sfumato_plugins")
    ]
    return [method for module in modules if hasattr(module, hook) for method in getattr(module, hook)()]


INVERTERS: list[Inverter[Any]] = registered("register_inverters")
EDITORS: list[Editor[Any]] = registered("register_editors")
METHODS = [pytest.param(method, id=method.name) for method in (*INVERTERS, *EDITORS)]
Make = Callable[..., EditRequest[Any]]


@pytest.fixture
def model(request: pytest.FixtureRequest) -> Any:
    """The tiny model the parametrised method can run on."""
    chosen = [
        request.node.callspec.params[kind]
        for kind in ("method", "editor")
        if kind in request.node.callspec.params
    ]
    follows = any(Ability.INSTRUCTIONS in method.abilities for method in chosen)
    return request.getfixturevalue("tiny_instruct_model" if follows else "tiny_model")


def start(method: Any, request: EditRequest[Any], model: Any) -> Generator[Progress, None, Any]:
    """The method's own generator, with whatever it needs."""
    if isinstance(method, Inverter):
        return method.invert(request, model)
    inversion = None
    if method.inversion != "none":
        ddim = next(each for each in INVERTERS if each.name == "direct")
        made = ddim.invert(fitted(ddim, request), model)
        inversion = drain(made)
    return method.edit(request, inversion, model)


def fitted(method: Any, request: EditRequest[Any], **values: Any) -> EditRequest[Any]:
    """The request with all that the method needs, and its parameters at their defaults but for `values`."""
    mask = torch.zeros(1, 1, 16, 16)
    mask[..., 4:10, 5:12] = 1
    given = {
        Need.MASK: {"latent_mask": mask, "pixel_mask": interpolate(mask, scale_factor=2)},
        Need.INSTRUCTION: {"instruction": "a big red dog"},
        Need.CONCEPTS: {"concepts": (("dog", 1.0), ("grass", -0.5))},
        Need.CONTROL_IMAGE: {
            "control_images": {"control": torch.linspace(-1, 1, 32).expand(1, 3, 32, 32)},
            "networks": (tiny_control_net(1),),
        },
    }
    met = {name: value for need in method.needs for name, value in given.get(need, {}).items()}
    return replace(request, params=parse(method.params, values, method.title), **met)


@pytest.mark.parametrize("method", METHODS)
def test_progress_rises_and_the_result_has_the_right_size(
    method: Any, model: Any, tiny_request: Make
) -> None:
    request = fitted(method, tiny_request(candidates=2))
    steps = start(method, request, model)
    seen: list[tuple[str, int]] = []
    with torch.no_grad():
        while True:
            try:
                progress = next(steps)
            except StopIteration as end:
                result = end.value
                break
            assert 0 < progress.step <= progress.total
            assert progress.preview is None or progress.preview.shape == request.latent_shape
            seen.append((progress.stage, progress.step))
    assert seen == list(dict.fromkeys(seen))
    for (stage, step), (next_stage, next_step) in pairwise(seen):
        assert next_stage != stage or next_step == step + 1
    if isinstance(result, Edit):
        assert result.latents.shape[1:] == request.latent_shape[1:]
        assert torch.isfinite(result.latents).all()
    else:
        assert isinstance(result, Inversion)
        assert torch.equal(result.x0, request.x0)


@pytest.mark.parametrize("method", METHODS)
def test_the_same_request_gives_the_same_pixels(method: Any, model: Any, tiny_request: Make) -> None:
    def run() -> torch.Tensor:
        result = drain(start(method, fitted(method, tiny_request(eta=0.3)), model))
        return result.latents if isinstance(result, Edit) else result.trajectory

    assert torch.equal(run(), run())


@pytest.mark.parametrize("method", METHODS)
def test_a_stop_inside_a_block_of_step_two_restores_the_network(
    method: Any, model: Any, tiny_request: Make
) -> None:
    """The `tiny_model` fixture asserts that the processors are back."""
    steps = start(method, fitted(method, tiny_request()), model)
    if method.name == "naive":
        pytest.skip("adds noise in one go: there is no step two")
    with torch.no_grad():
        next(steps)
        calls = 0

        def in_the_middle(*_: Any) -> None:
            nonlocal calls
            calls += 1
            model.stop.set()

        handle = model.unet.mid_block.register_forward_pre_hook(in_the_middle)
        with pytest.raises(Stopped):
            next(steps)
        handle.remove()
    assert calls == 1


@pytest.mark.parametrize("method", METHODS)
def test_closing_a_suspended_generator_leaves_nothing_behind(
    method: Any, model: Any, tiny_request: Make
) -> None:
    steps = start(method, fitted(method, tiny_request()), model)
    before = dict(model.unet.attn_processors)
    with torch.no_grad():
        next(steps, None)
        assert model.unet.attn_processors == before, "patched while suspended"
        steps.close()


@pytest.mark.parametrize("method", METHODS)
def test_it_describes_itself(method: Any) -> None:
    assert method.name == method.name.lower()
    assert method.title
    assert method.summary.endswith(".")
    assert type(method).__doc__
    for control in controls(method.params):
        assert control.help.endswith(".")
        assert len(control.label) < 30
    assert f"`{method.name}`" in README.read_text("utf-8"), "every method is listed in plugins/README.md"
    page = PAGES / f"{method.name}.md"
    assert page.read_text("utf-8").startswith(f"# `{method.name}`"), "every method has a page of its own"


def test_names_are_unique() -> None:
    for methods in (INVERTERS, EDITORS):
        assert len({method.name for method in methods}) == len(methods)


@pytest.fixture(scope="module")
def inversions() -> dict[str, Any]:
    """Inversions by the name of their inverter: some take seconds, and every editor is to have them."""
    return {}


@pytest.mark.parametrize("inverter", [pytest.param(each, id=each.name) for each in INVERTERS])
@pytest.mark.parametrize(
    "editor", [pytest.param(each, id=each.name) for each in EDITORS if each.inversion != "none"]
)
def test_every_inverter_feeds_every_editor_that_takes_one(
    inverter: Inverter[Any], editor: Editor[Any], model: Any, tiny_request: Make, inversions: dict[str, Any]
) -> None:
    request = tiny_request(steps=4)
    if inverter.name not in inversions:
        inversions[inverter.name] = drain(inverter.invert(fitted(inverter, request), model))
    inversion: Inversion = inversions[inverter.name]
    stored = Inversion.from_tensors(*inversion.to_tensors())
    edit = drain(editor.edit(fitted(editor, request), inversion, model))
    again = drain(editor.edit(fitted(editor, request), stored, model))
    assert torch.equal(edit.latents, again.latents)
    assert torch.isfinite(edit.latents).all()
