"""The evidence lower bound against what is known in closed form (methods.md §17 e)."""

from __future__ import annotations

from math import log, pi
from typing import Any

import pytest
import torch
from torch import Tensor

from sfumato.diffusion.branches import fresh_noise
from sfumato.diffusion.elbo import Elbo, Predict, elbo, of_prompts
from sfumato.diffusion.schedule import Schedule
from tests.tiny import SCHEDULER, drain, tiny_model

SHAPE = (1, 4, 8, 8)


def schedule_of(steps: int = 1000) -> Schedule:
    return Schedule.from_config(SCHEDULER | {"num_train_timesteps": steps})


SCHEDULE = schedule_of(50)


def measured(predict: Predict, x0: Tensor, schedule: Schedule = SCHEDULE, **choices: Any) -> Elbo:
    return drain(elbo(predict, x0, schedule, **{"rows": None} | choices))["p"]


@pytest.fixture
def x0() -> Tensor:
    return fresh_noise(5, SHAPE)().double()


def snr(schedule: Schedule, level: int) -> float:
    return schedule.a(level) / (1 - schedule.a(level))


def constant(c: Tensor, schedule: Schedule = SCHEDULE) -> Predict:
    """A network whose x̂_0 is always c."""

    def predict(x: Tensor, level: int) -> dict[str, Tensor]:
        a = schedule.a(level)
        return {"p": (x - a**0.5 * c) / (1 - a) ** 0.5}

    return predict


def oracle(x0: Tensor, schedule: Schedule = SCHEDULE) -> Predict:
    """A network that knows the noise: it draws it again."""

    def predict(x: Tensor, level: int) -> dict[str, Tensor]:
        return {"p": fresh_noise(level, x0.shape)().double()}

    return predict


def something(x: Tensor, level: int) -> dict[str, Tensor]:
    return {"p": (0.3 + 0.001 * level) * x.roll(1, -1)}


@pytest.mark.parametrize("variance", ["posterior", "beta"])
def test_no_score_term_is_negative(x0: Tensor, variance: str) -> None:
    result = measured(something, x0, variance=variance)
    assert len(result.curve) == 49
    assert all(point.nats >= 0 for point in result.curve)


def test_a_network_that_knows_the_noise_has_no_score_term(x0: Tensor) -> None:
    result = measured(oracle(x0), x0)
    assert result.score == 0.0
    sigma = (1 - SCHEDULE.a(0)) / (1 - SCHEDULE.a(1)) * (1 - SCHEDULE.a(1) / SCHEDULE.a(0))
    assert result.reconstruction == pytest.approx(x0.numel() / 2 * log(2 * pi * sigma), rel=1e-12)


def test_the_noise_form_is_the_signal_to_noise_form(x0: Tensor) -> None:
    for point in measured(something, x0).curve:
        eps = fresh_noise(point.level, SHAPE)().double()
        x = SCHEDULE.noised(x0, eps, point.level)
        back = SCHEDULE.x0hat(x, something(x, point.level)["p"], point.level)
        half = 0.5 * (snr(SCHEDULE, point.level - 1) - snr(SCHEDULE, point.level))
        assert point.nats == pytest.approx(half * float(((x0 - back) ** 2).sum()), rel=1e-9)


@pytest.mark.parametrize("steps", [2, 10, 50, 200])
def test_a_constant_prediction_telescopes(x0: Tensor, steps: int) -> None:
    schedule = schedule_of(steps)
    c = torch.linspace(-1, 1, x0.numel(), dtype=torch.float64).reshape(SHAPE)
    result = measured(constant(c, schedule), x0, schedule)
    expected = 0.5 * (snr(schedule, 0) - snr(schedule, steps - 1)) * float(((x0 - c) ** 2).sum())
    assert result.score == pytest.approx(expected, rel=1e-12)


def test_the_prior_depends_on_schedule_and_picture_alone() -> None:
    schedule, x0 = schedule_of(), fresh_noise(1, (1, 4, 64, 64))().double()
    results = [
        drain(elbo(network, x0, schedule, rows=4))["p"]
        for network in (something, constant(torch.zeros_like(x0), schedule))
    ]
    assert results[0].prior == results[1].prior
    a = schedule.alpha_bar[-1]
    known = 0.5 * float((a * (x0**2 - 1) - log(1 - a)).sum())
    assert results[0].prior == pytest.approx(known, rel=1e-9)


def test_the_prior_of_standard_normal_latents_is_small() -> None:
    """0.0028 nats per dimension with E x_0² = 1 for ᾱ_T of about 0.0047, up to second order: ᾱ_T²/4 + ..."""
    schedule = schedule_of()
    unit = torch.ones(SHAPE, dtype=torch.float64)
    a = schedule.alpha_bar[-1]
    prior = measured_prior(unit, schedule)
    assert prior == pytest.approx(-0.5 * log(1 - a), rel=1e-9)
    assert prior < 0.003


def measured_prior(x0: Tensor, schedule: Schedule) -> float:
    return drain(elbo(something, x0, schedule, rows=2))["p"].prior / x0.numel()


def test_as_many_strata_as_levels_are_the_full_sum(x0: Tensor) -> None:
    full, stratified = measured(something, x0), measured(something, x0, rows=50)
    assert [point.weight for point in stratified.curve] == [1] * 49
    assert stratified.total == full.total


def test_strata_cover_every_level_once_and_are_fair(x0: Tensor) -> None:
    quick = measured(something, x0, rows=8)
    assert sum(point.weight for point in quick.curve) == 49
    assert len(quick.curve) == 7
    means = [measured(something, x0, rows=8, seed=seed, draws=2).score for seed in range(60)]
    full = measured(something, x0, draws=20).score
    assert sum(means) / len(means) == pytest.approx(full, rel=0.1)


def test_cells_add_up_to_the_total(x0: Tensor) -> None:
    result = measured(something, x0, variance="beta")
    assert result.per_cell.shape == SHAPE[-2:]
    assert float(result.per_cell.sum()) == pytest.approx(result.total, rel=1e-9)
    assert result.bits_per_dimension(result.dimensions * log(2)) == pytest.approx(1)


def test_the_wider_variance_adds_its_constant(x0: Tensor) -> None:
    """At an exact network only the constant ½ d (β̃/β - 1 - log(β̃/β)) is left."""
    added = 0.0
    for level in range(1, 50):
        ratio = (1 - SCHEDULE.a(level - 1)) / (1 - SCHEDULE.a(level))
        added += 0.5 * x0.numel() * (ratio - 1 - log(ratio))
    assert measured(oracle(x0), x0, variance="beta").score == pytest.approx(added, rel=1e-9)


@pytest.mark.parametrize("steps", [25, 200])
def test_gaussian_data_with_the_exact_denoiser_stay_above_the_truth(steps: int) -> None:
    """x_0 ~ N(0, I): E[ε | x_t] = √(1-ᾱ_t) x_t, and -log p is known."""
    schedule, x0 = schedule_of(steps), fresh_noise(3, (1, 4, 16, 16))().double()

    def exact(x: Tensor, level: int) -> dict[str, Tensor]:
        return {"p": (1 - schedule.a(level)) ** 0.5 * x}

    assert gap(exact, x0, schedule) > 0


def test_the_gap_shrinks_with_more_steps() -> None:
    """The same process in ever finer steps: β_t from 0.1/T to 20/T (Ho et al. 2020, scaled to T)."""
    x0 = fresh_noise(3, (1, 4, 16, 16))().double()
    gaps = []
    for steps in (25, 100, 400):
        betas = torch.linspace(0.1 / steps, 20 / steps, steps, dtype=torch.float64)
        schedule = Schedule(tuple((1 - betas).cumprod(0).tolist()))

        def exact(x: Tensor, level: int, schedule: Schedule = schedule) -> dict[str, Tensor]:
            return {"p": (1 - schedule.a(level)) ** 0.5 * x}

        gaps.append(gap(exact, x0, schedule))
    assert gaps[0] > gaps[1] > gaps[2] > 0


def gap(network: Predict, x0: Tensor, schedule: Schedule) -> float:
    truth = 0.5 * float((x0**2 + log(2 * pi)).sum())
    return (measured(network, x0, schedule, draws=4).total - truth) / x0.numel()


# --- with a network


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_prompts_are_compared_under_the_same_noise(prediction: str) -> None:
    model = tiny_model(prediction)
    latent = fresh_noise(2, (1, 4, 16, 16))()
    prompts = ("a cat", "a dog in snow")
    before = model.counters.forward
    both = drain(elbo(of_prompts(model, prompts), latent, model.schedule, rows=6))
    assert model.counters.forward - before == 12
    alone = drain(elbo(of_prompts(model, prompts[:1]), latent, model.schedule, rows=6))
    assert both["a cat"].total == pytest.approx(alone["a cat"].total, rel=1e-4)
    assert both["a cat"].total != both["a dog in snow"].total
    levels = [[point.level for point in each.curve] for each in both.values()]
    assert levels[0] == levels[1]


def test_a_network_that_ignores_prompts_finds_them_equally_likely(tiny_model: Any) -> None:
    latent = fresh_noise(2, (1, 4, 16, 16))()
    text = tiny_model.text("a cat").embeddings

    class Deaf:
        device = torch.device("cpu")

        schedule = tiny_model.schedule
        denoiser = tiny_model.denoiser

        @staticmethod
        def text(prompt: str) -> Any:
            encoded = tiny_model.text(prompt)
            return type(encoded)(prompt, text, encoded.ids, encoded.spans)

    results = drain(elbo(of_prompts(Deaf(), ("a cat", "a red car")), latent, tiny_model.schedule, rows=5))
    assert results["a cat"].total == results["a red car"].total
