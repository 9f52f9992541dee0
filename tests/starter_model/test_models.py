"""The parts: whitening that changes no picture, words that are one token, losses that agree."""

from pathlib import Path

import numpy as np
import pytest
import torch
from starter_model.config import Settings, read_settings
from starter_model.diffusion import loss_weight, schedule
from starter_model.judge import build_judge
from starter_model.vae import SCALE, build, decode, encode, reconstruction_loss, to_pixels, to_tensor, whiten
from starter_model.vocabulary import words, write_tokenizer
from starter_model.world import BACKGROUNDS


def test_whitened_latents_have_unit_covariance_and_decode_to_the_same_pictures(tiny: Settings) -> None:
    torch.manual_seed(0)
    model = build(tiny.vae)
    pixels = np.random.default_rng(0).integers(0, 255, (16, 32, 32, 3), dtype=np.uint8)
    with torch.no_grad():
        before = decode(model, encode(model, to_tensor(pixels)).mean)
        whiten(model, pixels)
        posterior = encode(model, to_tensor(pixels))
        torch.testing.assert_close(decode(model, posterior.mean), before, atol=1e-3, rtol=1e-3)
    rows = (posterior.mean * SCALE).permute(0, 2, 3, 1).reshape(-1, tiny.vae.latent_channels)
    torch.testing.assert_close(torch.cov(rows.T), torch.eye(tiny.vae.latent_channels), atol=1e-3, rtol=0)
    torch.testing.assert_close(rows.mean(0), torch.zeros(tiny.vae.latent_channels), atol=1e-3, rtol=0)
    assert float(posterior.logvar.std()) == pytest.approx(0, abs=1e-6)


def test_pictures_survive_the_way_to_tensors_and_back() -> None:
    pixels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1).repeat(3, axis=3)
    np.testing.assert_array_equal(to_pixels(to_tensor(pixels)), pixels)
    assert float(reconstruction_loss(to_tensor(pixels), to_tensor(pixels))) == 0


def test_every_word_of_the_world_is_one_token(tmp_path: Path) -> None:
    tokenizer = write_tokenizer(tmp_path)
    assert all(len(tokenizer(word).input_ids) == 3 for word in words())
    assert {"grass", "bicycle", "tiny", "behind", "sunset"} <= set(words())
    stranger = tokenizer("zebu ünï").input_ids
    assert len(stranger) > 4
    assert tokenizer.unk_token_id not in stranger[1:-1]
    assert len(tokenizer("a cat", padding="max_length").input_ids) == 32


@pytest.mark.parametrize("detail", [0.0, 0.5, 1.0])
def test_both_predictions_weigh_the_same_error_alike(detail: float) -> None:
    alpha = schedule("epsilon").alphas_cumprod[torch.tensor([10, 400, 900])]
    snr = alpha / (1 - alpha)
    error = torch.randn(3)
    in_noise = (alpha.sqrt() * error).square() * loss_weight(snr, "epsilon", detail)
    in_velocity = error.square() * loss_weight(snr, "v_prediction", detail)
    torch.testing.assert_close(in_noise, in_velocity)


def test_high_noise_counts_more_until_detail_does() -> None:
    little, some, much = torch.tensor([100.0, 1.0, 0.01]).unbind()
    assert loss_weight(much, "epsilon") == 5 * loss_weight(some, "epsilon")
    assert loss_weight(much, "epsilon", 1) == loss_weight(some, "epsilon", 1)
    assert loss_weight(little, "epsilon", 1) == 4 * loss_weight(little, "epsilon")


def test_the_judge_answers_in_words(tiny: Settings) -> None:
    judge = build_judge(tiny.judge, ("cat", "dog"))
    (reading,) = judge.read(np.zeros((1, 64, 64, 3), np.uint8))
    assert reading.background in BACKGROUNDS
    assert set(reading.objects) <= {"cat", "dog", None}


def test_the_shipped_settings_are_whole() -> None:
    settings = read_settings()
    assert settings.vae.crops >= 300_000
    assert settings.diffusion.views >= 300_000
    assert len(settings.diffusion.sizes) == len(settings.diffusion.shares) == len(settings.diffusion.pictures)
    assert sum(settings.diffusion.shares) == pytest.approx(1)
