"""Every stage end to end on a tiny setting: what they leave behind is an ordinary pipeline folder."""

import json
import os
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from starter_model import diffusion_stage, evaluate_stage, vae_stage
from starter_model.base import trained_views
from starter_model.card import GOALS
from starter_model.concepts import concepts
from starter_model.config import Settings, read_settings
from starter_model.diffusion import Held
from starter_model.diffusion_stage import (
    diffusion_run,
    frozen_vae,
    goes_on,
    shipped,
    train_diffusion,
)
from starter_model.encoded import processes
from starter_model.evaluate_stage import evaluate, export_model
from starter_model.export import hashes
from starter_model.judge_stage import train_judge, trained_judge
from starter_model.sampling import Parts, denoise, invert, paint_prompts, seeded_noise
from starter_model.state import read_tensors, write_tensors
from starter_model.vae import WEIGHTS
from starter_model.vae_stage import freeze_vae, train_vae

from sfumato.errors import InputError, SfumatoError
from sfumato.models.catalogue import from_path
from sfumato.models.inspection import describe

pytestmark = [pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning"), pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def trained(starter: Path, tiny: Settings) -> Path:
    """The state after all stages."""
    evaluate(starter, tiny)
    return starter


def test_every_stage_spends_its_views(trained: Path, tiny: Settings) -> None:
    for stage, views in (
        ("vae", tiny.vae.crops),
        ("diffusion", tiny.diffusion.views),
        ("judge", tiny.judge.views),
    ):
        tensors, meta = read_tensors(trained / stage / "state.safetensors")
        assert int(meta["views"]) >= views
        assert all(bool(torch.isfinite(tensor).all()) for tensor in tensors.values())


def test_the_export_is_a_pipeline_folder_in_half_precision(trained: Path, tiny: Settings) -> None:
    folder = trained / "export"
    index = json.loads((folder / "model_index.json").read_text())
    assert index["_class_name"] == "StableDiffusionPipeline"
    for part in ("unet", "vae", "text_encoder"):
        (file,) = (folder / part).glob("*.safetensors")
        assert {tensor.dtype for tensor in read_tensors(file)[0].values()} == {torch.float16}
    assert "MIT" in (folder / "NOTICE").read_text()
    own = describe(from_path(folder)).defaults
    assert (own.steps, own.guidance) == (tiny.evaluation.steps, tiny.evaluation.guidance)
    card = (folder / "MODEL_CARD.md").read_text()
    assert "| VAE round trip, held-out composites, dB | at least 31 |" in card
    assert (folder / "samples" / "grid.png").exists()
    assert hashes(folder)["unet/diffusion_pytorch_model.safetensors"] in card


def test_the_report_holds_every_figure_of_the_card(trained: Path, tiny: Settings) -> None:
    card = (trained / "export" / "MODEL_CARD.md").read_text()
    assert "Not measured yet" not in card
    own = tiny.evaluation
    assert f"Measured on {own.prompts} held-out prompts of one object and {own.prompts // 2} of two" in card
    assert f"{own.inversions} inversions." in card
    assert "Painted once each, these are not recognised: " in card
    figures = json.loads((trained / "evaluate" / "report.json").read_text())["figures"]
    for goal in GOALS:
        if "photographs" not in goal.title:
            assert np.isfinite(goal.figure(figures)), goal.title
    for sheet in ("grid", "inversion", "word_swap", "edits"):
        assert (trained / "evaluate" / f"{sheet}.png").stat().st_size > 1000
        assert (trained / "export" / "samples" / f"{sheet}.png").exists()


def test_what_was_measured_is_not_measured_again(
    trained: Path, tiny: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = trained / "evaluate" / "report.json"
    before = json.loads(file.read_text())["figures"]
    monkeypatch.setattr(evaluate_stage, "measure_prompts", lambda _: pytest.fail("measured again"))
    monkeypatch.setattr(evaluate_stage, "measure_speed", lambda _: {"seconds_per_picture": 77.0})
    told = json.loads(file.read_text())
    del told["figures"]["speed_measured"]  # as if it had been killed before the last group
    file.write_text(json.dumps(told))
    assert evaluate(trained, tiny) == before | {"seconds_per_picture": 77.0}


def test_figures_of_other_weights_are_not_shown(trained: Path, tiny: Settings, tmp_path: Path) -> None:
    file = trained / "evaluate" / "report.json"
    kept = file.read_text()
    file.write_text(json.dumps(json.loads(kept) | {"weights": "others"}))
    try:
        folder = export_model(trained, tiny, tmp_path / "out")
    finally:
        file.write_text(kept)
    assert "Not measured yet" in (folder / "MODEL_CARD.md").read_text()
    assert not (folder / "samples").exists()


def test_nothing_is_measured_by_an_unfinished_judge(trained: Path, tiny: Settings, tmp_path: Path) -> None:
    (tmp_path / "data").symlink_to(trained / "data")
    (tmp_path / "vae").symlink_to(trained / "vae")
    train_judge(tmp_path, replace(tiny, judge=replace(tiny.judge, views=10**6)), 0.01)
    with pytest.raises(InputError, match="judge is not trained to its end"):
        evaluate(tmp_path, tiny)


def test_a_lost_state_is_judged_by_the_shipped_judge(tmp_path: Path) -> None:
    judge, figures = trained_judge(tmp_path)
    assert set(concepts()) == set(judge.words.objects)
    assert figures["renders_objects"] >= 0.98


def test_the_exported_model_paints_and_inverts(trained: Path) -> None:
    parts = Parts.load(trained / "export")
    made = paint_prompts(parts, ["a cat on the grass", "a red car"], [1, 2], steps=3, guidance=3.0, side=64)
    assert made.shape == (2, 64, 64, 3)
    again = paint_prompts(parts, ["a cat on the grass"], [1], steps=3, guidance=3.0, side=64)
    np.testing.assert_allclose(made[:1].astype(int), again.astype(int), atol=2)


def test_inversion_is_exact_where_the_noise_does_not_change(
    trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = Parts.load(trained / "export")
    noise = seeded_noise(parts, [4], 64)
    monkeypatch.setattr(Parts, "noise", lambda *_: noise)
    start = 0.3 * seeded_noise(parts, [3], 64)
    found = invert(parts, start, ["a cat"], steps=10)
    assert float((found - start).abs().mean()) > 0.1
    back = denoise(parts, found, ["a cat"], steps=10, guidance=1)
    torch.testing.assert_close(back, start, atol=1e-4, rtol=0)


def test_a_second_run_finds_nothing_left_to_do(
    trained: Path, tiny: Settings, capsys: pytest.CaptureFixture
) -> None:
    before = (trained / "diffusion" / "state.safetensors").read_bytes()
    train_diffusion(trained, tiny, 60, "cpu")
    assert (trained / "diffusion" / "state.safetensors").read_bytes() == before
    assert "encoded" not in capsys.readouterr().out


def test_nothing_untrained_is_frozen_or_exported(
    tmp_path: Path, state: Path, trained: Path, tiny: Settings
) -> None:
    (tmp_path / "data").symlink_to(state / "data")
    with pytest.raises(InputError, match="No autoencoder"):
        freeze_vae(tmp_path, tiny, None)
    (tmp_path / "vae").symlink_to(state / "vae")
    with pytest.raises(InputError, match="No denoiser"):
        export_model(tmp_path, tiny)


def test_a_lost_autoencoder_is_frozen_as_it_was_committed(
    trained: Path, tiny: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data").symlink_to(trained / "data")
    committed = trained / "vae" / "frozen"
    monkeypatch.setattr(vae_stage, "weights_folder", lambda: committed)
    train_vae(tmp_path, tiny, 60, "cpu")
    frozen = freeze_vae(tmp_path, tiny, None)
    assert (frozen / WEIGHTS).read_bytes() == (committed / WEIGHTS).read_bytes()
    shutil.rmtree(tmp_path / "vae")
    train_vae(tmp_path, tiny, 60, "cpu", anew=True)
    _, meta = read_tensors(tmp_path / "vae" / "state.safetensors")
    assert int(meta["step"]) > 0


def test_only_the_autoencoder_it_paints_for_lets_a_lost_denoiser_go_on(
    trained: Path, tiny: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data").symlink_to(trained / "data")
    shutil.copytree(trained / "vae" / "frozen", tmp_path / "vae" / "frozen")
    monkeypatch.setattr(diffusion_stage, "shipped", lambda: trained / "export")
    other = tmp_path / "other"
    shutil.copytree(trained / "vae" / "frozen", other)
    tensors, _ = read_tensors(other / WEIGHTS)
    write_tensors(other / WEIGHTS, {name: tensor + 1 for name, tensor in tensors.items()})
    run = diffusion_run(tmp_path, tiny, "cpu")
    assert goes_on(run, other) == 0
    assert goes_on(run, frozen_vae(tmp_path)) >= tiny.diffusion.views


def test_the_shipped_denoiser_fits_the_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diffusion_stage, "held", lambda *_: Held(torch.zeros(1, 8, 16, 16), ()))
    run = diffusion_run(tmp_path, read_settings(), "cpu")
    assert goes_on(run, frozen_vae(tmp_path)) == trained_views(shipped())


def killed(_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_worker_killed_while_it_makes_pictures_is_one_sentence() -> None:
    with (
        pytest.raises(SfumatoError, match=r"worker was killed .*[\s\S]*Half is kept"),
        processes(2, "Half is kept.") as pool,
    ):
        list(pool.map(killed, range(2)))
