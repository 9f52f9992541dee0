"""The siblings on a tiny setting: they begin as the starter, train, and leave folders the program opens."""

import json
import math
import shutil
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers.models.attention_processor import AttnProcessor
from diffusers.schedulers.scheduling_euler_discrete import EulerDiscreteScheduler
from starter_model import instruct_figures, making, siblings_stage
from starter_model import orders as ordering
from starter_model.base import hold_to, read_base
from starter_model.config import Settings
from starter_model.control import Controlled, as_hints, read_edges
from starter_model.diffusion import Painter
from starter_model.encoded import recipe_name
from starter_model.instruct import Instructed, widened
from starter_model.instruct_figures import EDITORS, best
from starter_model.orders import SHARES
from starter_model.precision import bfloat16_pays
from starter_model.sampling import Parts, move, seeded_noise
from starter_model.siblings_card import measure_sibling
from starter_model.siblings_stage import (
    NAMES,
    committed_folder,
    export_sibling,
    sibling_run,
    train_sibling,
)
from starter_model.state import read_tensors
from starter_model.taught import Taught, arrivals, distance
from starter_model.turbo import CLEAN, TurboTask, levels
from torch import Tensor

from sfumato import compose
from sfumato.diffusion.schedule import Schedule
from sfumato.errors import InputError
from sfumato.method import Ability
from sfumato.starting import starting, starting_inverter

pytestmark = [pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning"), pytest.mark.timeout(600)]
DIFFUSERS = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
WORDS = ("apple", "cat", "dog", "car", "balloon", "heart", "tree")


@pytest.fixture(scope="module", params=NAMES)
def sibling(request: pytest.FixtureRequest, starter: Path, tiny: Settings) -> tuple[str, Path]:
    """A sibling's name and the folder that its stage and `measure` leave."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(siblings_stage, "shipped", lambda: starter / "none")
        patch.setattr(instruct_figures, "GUIDANCES", dict.fromkeys(EDITORS, ((1.0, 4.0), (1.0, 1.5))))
        train_sibling(request.param, starter, tiny, 60, "cpu")
        return request.param, measure_sibling(request.param, starter, tiny)


def test_a_sibling_spends_its_views_and_changes(
    sibling: tuple[str, Path], starter: Path, tiny: Settings
) -> None:
    name, folder = sibling
    tensors, meta = read_tensors(starter / name / "state.safetensors")
    assert int(meta["views"]) >= getattr(tiny, name).views
    assert bool(torch.isfinite(tensors["flat"]).all())
    assert (tensors["first"] != 0).any()
    card = (folder / "MODEL_CARD.md").read_text()
    assert "| goal |" in card
    began = json.loads((folder / "training.json").read_text())["base"]
    assert began == (starter / name / "base.txt").read_text().strip() == read_base(starter, tiny).fingerprint
    report = json.loads((folder / "report.json").read_text())
    assert report
    assert all(np.isfinite(value) for value in report.values())


def test_the_program_opens_what_a_sibling_leaves(sibling: tuple[str, Path]) -> None:
    name, folder = sibling
    if name == "control":
        assert json.loads((folder / "config.json").read_text())["_class_name"] == "ControlNetModel"
        return
    info = compose.workshop(threads=1).describe(str(folder))
    assert (Ability.INSTRUCTIONS in info.abilities) == (name == "instruct")
    if name == "turbo":
        assert starting(info, "generate") == {"steps": 4, "guidance": 1.0, "solver": "ddim"}
        assert starting_inverter(info, "p2p") == starting_inverter(info, "reprompt") == "edit_friendly"
        return
    report = json.loads((folder / "report.json").read_text())
    for editor in EDITORS:
        wishes = info.defaults.editors[editor]
        assert starting(info, editor) == {"steps": 4, "guidance": wishes["guidance"], "solver": "ddim"}
        assert report[f"{editor}_guidance"] == wishes["guidance"]
        assert report[f"{editor}_picture_guidance"] == wishes["picture_guidance"]
    rows = json.loads((folder.parent / "made" / "sweep.json").read_text())
    assert [len(rows[editor]) for editor in EDITORS] == [4, 4]
    both = {f"{editor}_followed_{count}" for editor in EDITORS for count in ("one", "two")}
    assert both <= report.keys()
    ceilings = {"vae_followed", "rest_vae_db", "noise_vae_db"}
    assert ceilings | {"instruct_diffusion_rest_decoded_db", "watermark_decoded_db"} <= report.keys()


def test_what_a_sibling_was_measured_on_is_not_made_again(
    sibling: tuple[str, Path], starter: Path, tiny: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, folder = sibling
    if name != "instruct":
        return
    before = (folder / "report.json").read_text()
    monkeypatch.setattr(instruct_figures, "GUIDANCES", dict.fromkeys(EDITORS, ((1.0, 4.0), (1.0, 1.5))))
    monkeypatch.setattr(making, "edited", lambda *_: pytest.fail("made again"))
    assert (measure_sibling(name, starter, tiny) / "report.json").read_text() == before


def test_a_lost_state_goes_on_from_what_ships_or_else_from_what_is_not_measured_yet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(siblings_stage, "shipped", lambda: tmp_path / "ships" / "starter")
    monkeypatch.setattr(siblings_stage, "weights_folder", lambda: tmp_path / "weights" / "vae")
    assert committed_folder("turbo") == tmp_path / "weights" / "turbo"
    (tmp_path / "ships" / "starter_turbo").mkdir(parents=True)
    assert committed_folder("turbo") == tmp_path / "ships" / "starter_turbo"


def test_guidances_that_follow_about_as_often_are_chosen_by_what_they_keep() -> None:
    rows = [
        {"followed": 0.9, "rest_db": 25.0},
        {"followed": 0.8, "rest_db": 31.0},
        {"followed": 0.6, "rest_db": 40.0},
    ]
    assert best(rows, 20) == rows[1]
    assert best(rows, 100) == rows[0]


def test_a_family_that_is_too_large_is_told(
    sibling: tuple[str, Path], starter: Path, tiny: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(siblings_stage, "LARGEST_FAMILY", 1000)
    with pytest.raises(InputError, match=r"would take .* MB \(starter .*more than 0 MB"):
        export_sibling(sibling[0], starter, tiny, starter / "large" / sibling[0])


def test_a_sibling_without_a_starter_of_its_shape_says_so(tmp_path: Path, tiny: Settings) -> None:
    with pytest.raises(InputError, match="not the one that these settings describe"):
        read_base(tmp_path, tiny)


def test_a_starter_that_is_not_finished_is_refused(starter: Path, tiny: Settings, tmp_path: Path) -> None:
    shutil.copytree(starter / "export", tmp_path / "export")
    (tmp_path / "export" / "training.json").write_text('{"views": 23}')
    with pytest.raises(InputError, match="not finished: it was trained on 23 of 24 views"):
        read_base(tmp_path, tiny)
    (tmp_path / "export" / "training.json").unlink()
    with pytest.raises(InputError, match="on 0 of 24 views"):
        read_base(tmp_path, tiny)


def test_a_sibling_goes_on_with_the_starter_it_began_with(
    starter: Path, tiny: Settings, tmp_path: Path
) -> None:
    base = read_base(starter, tiny)
    other = replace(base, fingerprint="0" * 16)
    hold_to(other, tmp_path)
    hold_to(base, tmp_path)  # nothing was trained yet
    (tmp_path / "state.safetensors").touch()
    hold_to(base, tmp_path)
    with pytest.raises(InputError, match="began with another starter"):
        hold_to(other, tmp_path)
    (tmp_path / "base.txt").unlink()
    with pytest.raises(InputError, match="one it does not name"):
        hold_to(base, tmp_path)


@torch.no_grad()
def test_the_widened_denoiser_begins_blind_to_the_picture(starter: Path, tiny: Settings) -> None:
    base = read_base(starter, tiny)
    told = Instructed(widened(base.painter.unet), base.painter.text)
    noisy, picture = torch.randn(2, 2, 4, 16, 16, generator=torch.Generator().manual_seed(1))
    t, tokens = torch.tensor([10, 900]), torch.zeros(2, 32, dtype=torch.long)
    plain = base.painter(noisy, t, tokens)
    torch.testing.assert_close(told(noisy, t, tokens, picture), plain, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_an_untrained_controlnet_changes_nothing(starter: Path, tiny: Settings) -> None:
    base = read_base(starter, tiny)
    both = Controlled(base.painter, tiny.control.embedding)
    noisy = torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(1))
    t, tokens = torch.tensor([500]), torch.zeros(1, 32, dtype=torch.long)
    hint = as_hints(np.full((1, 128, 128), 255, np.uint8), torch.device("cpu"))
    torch.testing.assert_close(both(noisy, t, tokens, hint), base.painter(noisy, t, tokens))
    assert all(not each.requires_grad for each in both.painter.parameters())
    assert any(each.requires_grad for each in both.control.parameters())


@torch.no_grad()
def test_a_student_like_its_teacher_without_guidance_goes_where_it_goes(
    starter: Path, tiny: Settings
) -> None:
    _, run = sibling_run("turbo", starter, tiny, "cpu")
    task = run.task
    assert isinstance(task, TurboTask)
    assert isinstance(task.model, Painter)
    for painter in (task.model, task.teacher):
        plain = [isinstance(each, AttnProcessor) for each in painter.unet.attn_processors.values()]
        assert plain == [bfloat16_pays()] * len(plain)
    task.teacher, task.guidance = task.model, 1.0
    latents = torch.randn(2, 4, 16, 16, generator=torch.Generator().manual_seed(1))
    tokens = torch.zeros(2, 32, dtype=torch.long)
    for here, there in ((999, 749), (249, -1)):
        taught = task.taught(latents, here, there, tokens)
        torch.testing.assert_close(task.jump(latents, here, there, tokens), taught)
    torch.testing.assert_close(task.jump(latents, 499, 499, tokens), latents)


def test_another_recipe_is_encoded_in_another_folder(
    monkeypatch: pytest.MonkeyPatch, sibling: tuple[str, Path], starter: Path
) -> None:
    names = [recipe_name("orders", ordering.recipe(WORDS, seed, 12)) for seed in (1, 1, 2)]
    assert names[0] == names[1] != names[2]
    monkeypatch.setitem(SHARES, "noise", 0.5)
    assert recipe_name("orders", ordering.recipe(WORDS, 1, 12)) != names[0]
    if sibling[0] == "instruct":
        assert len(list(starter.glob("orders-*-*"))) == 1
    if sibling[0] == "control":
        drawn = read_edges(next(iter(starter.glob("edges-*-*"))), 128)
        assert drawn.shape == (12, 128, 128)
        assert ((drawn > 0) & (drawn < 255)).any(axis=(1, 2)).any()


def test_progress_is_measured_by_where_the_teacher_arrives(starter: Path, tiny: Settings) -> None:
    _, run = sibling_run("turbo", starter, tiny, "cpu")
    task = run.task
    assert isinstance(task, TurboTask)
    file = next((starter / "turbo").glob("taught-*.safetensors"))
    made = file.stat().st_mtime_ns
    taught = Taught.prepare(task, ("a cat", "a dog"), starter / "turbo" / "probe", "base")
    found = taught.distances(task)
    assert set(found) == {"student", "teacher", "shown"}
    assert all(value > 0 for value in found.values())
    for name, steps in (("teacher", 4), ("shown", 8)):
        arrived = arrivals(task, taught.noise, taught.prompts, steps)
        assert found[name] == distance(arrived, taught.results)
        assert distance(arrived, arrivals(task, taught.noise, taught.prompts, steps)) == 0
    sibling_run("turbo", starter, tiny, "cpu")
    assert file.stat().st_mtime_ns == made


@DIFFUSERS
def test_few_steps_are_those_of_the_scheduler_it_is_exported_with(sibling: tuple[str, Path]) -> None:
    name, folder = sibling
    if name != "turbo":
        return
    scheduler = EulerDiscreteScheduler.from_pretrained(folder / "scheduler")
    schedule = Schedule.from_config(scheduler.config)
    for count in (1, 2, 4, 8, 40):
        scheduler.set_timesteps(count)
        assert levels(count) == [*scheduler.timesteps.tolist(), CLEAN] == list(schedule.grid(count).levels)


@DIFFUSERS
@torch.no_grad()
def test_diffusers_walks_a_few_step_folder_as_the_program_does(sibling: tuple[str, Path]) -> None:
    name, folder = sibling
    if name != "turbo":
        return
    parts, scheduler = Parts.load(folder), EulerDiscreteScheduler.from_pretrained(folder / "scheduler")
    context, a = parts.context(["a cat"]), [*parts.scheduler.alphas_cumprod, torch.tensor(1.0)]
    scheduler.set_timesteps(4)
    theirs = seeded_noise(parts, [1]) * scheduler.init_noise_sigma
    ours = theirs / math.sqrt(float(scheduler.sigmas[0]) ** 2 + 1)
    for here, there in pairwise(levels(4)):
        t = torch.tensor(float(here))
        seen = parts.unet(scheduler.scale_model_input(theirs, t), t, encoder_hidden_states=context).sample
        theirs = scheduler.step(seen, t, theirs).prev_sample
        ours = move(ours, parts.noise(ours, here, context), a[here], a[there])
    torch.testing.assert_close(theirs, ours, rtol=1e-3, atol=1e-4)


@torch.no_grad()
def test_the_student_counts_finely_where_there_is_much_noise(starter: Path, tiny: Settings) -> None:
    _, run = sibling_run("turbo", starter, tiny, "cpu")
    task = run.task
    assert isinstance(task, TurboTask)
    painter = task.teacher
    latents = torch.randn(3, 4, 16, 16, generator=torch.Generator().manual_seed(1))
    tokens = torch.zeros(3, 32, dtype=torch.long)
    for level, exactly in ((999, True), (100, not bfloat16_pays())):
        found = task.noise_of(painter, latents, level, tokens)
        exact = painter(latents, torch.full((3,), level), tokens)
        assert torch.equal(found, exact) == exactly
        torch.testing.assert_close(found, exact, rtol=0.1, atol=0.1)


def test_exported_siblings_share_the_starters_autoencoder(sibling: tuple[str, Path], starter: Path) -> None:
    name, folder = sibling
    if name == "control":
        return
    file = "vae/diffusion_pytorch_model.safetensors"
    assert (folder / file).read_bytes() == (starter / "export" / file).read_bytes()
    assert "_name_or_path" not in json.loads((folder / "unet" / "config.json").read_text())
    assert Parts.load(folder).unet.config["in_channels"] == (8 if name == "instruct" else 4)


def test_steps_weigh_less_where_the_noise_falls_far(starter: Path, tiny: Settings) -> None:
    _, run = sibling_run("turbo", starter, tiny, "cpu")
    task = run.task
    assert isinstance(task, TurboTask)
    a = [float(task.alphas[level]) for level in (999, 749)]
    fallen = math.sqrt(1 / a[0] - 1) - math.sqrt(1 / a[1] - 1)
    assert float(task.weight(999, 749)) == pytest.approx(fallen**-0.5, rel=1e-4)
    weights = [float(task.weight(*step)) for step in pairwise(levels(4))]
    assert weights == sorted(weights)


def test_ways_go_on_from_where_the_student_or_the_teacher_arrived(
    starter: Path, tiny: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = sibling_run("turbo", starter, tiny, "cpu")[1].task
    assert isinstance(task, TurboTask)
    task.ways, came = 8, []
    monkeypatch.setattr(task, "taught", lambda latents, *_: torch.full_like(latents, 2.0))

    def jump(latents: Tensor, *_: Any) -> Tensor:
        came.append(latents[:, 0, 0, 0].tolist())
        return torch.full_like(latents, 3.0)

    monkeypatch.setattr(task, "jump", jump)
    _, seen = task.loss(np.random.default_rng(1), 0, 0.0)
    assert seen == 8 * tiny.turbo.steps
    assert set(came[1]) == {2.0, 3.0}
    assert came[1] == came[2] == came[3] != came[0]
