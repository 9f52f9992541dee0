"""The schedule and the solvers against closed forms and diffusers' own schedulers."""

from __future__ import annotations

from itertools import pairwise
from math import sqrt
from typing import Any

import pytest
import torch
from diffusers import (
    DDIMInverseScheduler,
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerAncestralDiscreteScheduler,
    LCMScheduler,
)

from sfumato.diffusion.schedule import CLEAN, Schedule
from sfumato.diffusion.solvers import solver
from sfumato.errors import ModelError
from tests.tiny import SCHEDULER

DDIM = SCHEDULER | {"clip_sample": False, "set_alpha_to_one": False, "steps_offset": 1}


@pytest.fixture(scope="module")
def schedule() -> Schedule:
    return Schedule.from_config(SCHEDULER)


def latents(*seeds: int) -> list[torch.Tensor]:
    return [torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(seed)) for seed in seeds]


@pytest.mark.parametrize("steps", [1, 7, 10, 30, 50, 100, 300, 600, 999, 1000])
def test_no_step_is_idle_and_the_noisiest_is_at_the_top(schedule: Schedule, steps: int) -> None:
    levels = schedule.grid(steps).levels
    a = [schedule.a(level) for level in levels]
    assert all(below > above for above, below in pairwise(a))
    assert levels[-1] == 0
    assert steps == 1 or levels[0] > 999 - 2 * (1000 // steps + 1)


@pytest.mark.parametrize("steps", [20, 30, 50, 60])
def test_the_published_grid_is_diffusers_with_offset_zero(schedule: Schedule, steps: int) -> None:
    """Also where the steps do not divide the schedule, as StyleDiffusion's 30 do not."""
    reference = DDIMScheduler(**DDIM | {"steps_offset": 0})
    reference.set_timesteps(steps)
    assert schedule.grid(steps, offset=0).levels == (*reference.timesteps.tolist(), 0)


def test_the_grid_is_diffusers_with_offset_one(schedule: Schedule) -> None:
    reference = DDIMScheduler(**DDIM)
    reference.set_timesteps(50)
    assert schedule.grid(50).levels[:-1] == tuple(reference.timesteps.tolist())


def test_a_move_equals_diffusers(schedule: Schedule) -> None:
    reference = DDIMScheduler(**DDIM)
    reference.set_timesteps(50)
    grid = schedule.grid(50)
    x, eps = latents(0, 1)
    for here, there in pairwise(grid.levels):
        expected = reference.step(eps, here, x).prev_sample
        torch.testing.assert_close(schedule.move(x, eps, here, there), expected, rtol=1e-6, atol=1e-6)


def test_an_inverse_move_equals_diffusers(schedule: Schedule) -> None:
    reference = DDIMInverseScheduler(**DDIM)
    reference.set_timesteps(50)
    x, eps = latents(0, 1)
    expected = reference.step(eps, 501, x).prev_sample
    torch.testing.assert_close(schedule.move(x, eps, 481, 501), expected, rtol=0, atol=1e-5)


def test_there_and_back_with_the_same_noise(schedule: Schedule) -> None:
    x, eps = latents(0, 1)
    back = schedule.move(schedule.move(x, eps, 1, 981), eps, 981, 1)
    torch.testing.assert_close(back, x, rtol=0, atol=1e-4)


@pytest.mark.parametrize(("here", "there"), [(981, 961), (501, 1), (1, 0), (1, CLEAN), (1, 981)])
def test_a_move_that_knows_the_noise_arrives_at_the_noised_picture(
    here: int, there: int, schedule: Schedule
) -> None:
    x0, eps = (each.double() for each in latents(0, 1))
    arrived = schedule.move(schedule.noised(x0, eps, here), eps, here, there)
    torch.testing.assert_close(arrived, schedule.noised(x0, eps, there), rtol=0, atol=1e-12)


def test_eta_one_is_the_posterior_of_the_grid(schedule: Schedule) -> None:
    a, b = schedule.a(501), schedule.a(481)
    beta = 1 - a / b
    assert schedule.sigma(501, 481, 1.0) ** 2 == pytest.approx((1 - b) / (1 - a) * beta)
    assert schedule.sigma(501, CLEAN, 1.0) == 0


def test_the_gaussian_closed_form(schedule: Schedule) -> None:
    """For N(0, I) data ε = √(1-ᾱ) x, and the whole η = 0 run multiplies x by a known product."""
    (x,) = latents(0)
    grid, start = schedule.grid(50), x
    for here, there in pairwise(grid.levels):
        x = schedule.move(x, sqrt(1 - schedule.a(here)) * x, here, there)
    torch.testing.assert_close(x, 0.97361366029 * start, rtol=1e-5, atol=0)


def test_v_prediction_means_the_same_noise() -> None:
    by_v = Schedule.from_config(SCHEDULER | {"prediction_type": "v_prediction"})
    x0, eps = latents(0, 1)
    x = by_v.noised(x0, eps, 400)
    a = by_v.a(400)
    v = sqrt(a) * eps - sqrt(1 - a) * x0
    torch.testing.assert_close(by_v.epsilon(v, x, 400), eps, rtol=0, atol=1e-5)


def test_unknown_schedules_are_refused() -> None:
    with pytest.raises(ModelError, match="cosine"):
        Schedule.from_config(SCHEDULER | {"beta_schedule": "cosine"})
    with pytest.raises(ModelError, match="pure noise"):
        Schedule.from_config(SCHEDULER | {"rescale_betas_zero_snr": True})
    with pytest.raises(ModelError, match="sample"):
        Schedule.from_config(SCHEDULER | {"prediction_type": "sample"})


def test_ddim_consumes_no_noise(schedule: Schedule) -> None:
    x, eps = latents(0, 1)

    def never() -> torch.Tensor:
        raise AssertionError("noise was drawn")

    assert solver("ddim", schedule, schedule.grid(50), 0.0).step(x, eps, 10, never).shape == x.shape


def test_ancestral_euler_is_ddim_with_eta_one(schedule: Schedule) -> None:
    """Checked against the formula in Karras' own coordinates, not against our code."""
    x, eps, z = latents(0, 1, 2)
    grid = schedule.grid(20)
    here, there = grid.levels[5], grid.levels[6]
    a, b = schedule.a(here), schedule.a(there)
    sigma, lower = sqrt((1 - a) / a), sqrt((1 - b) / b)
    up = sqrt(lower**2 * (sigma**2 - lower**2) / sigma**2)
    down = sqrt(lower**2 - up**2)
    expected = (x / sqrt(a) + eps * (down - sigma) + up * z) * sqrt(b)
    got = solver("euler_a", schedule, grid, 0.0).step(x, eps, 5, lambda: z)
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-5)


@pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning")  # diffusers under NumPy 2
@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
@pytest.mark.parametrize(("spacing", "steps"), [("leading", 20), ("linspace", 20), ("linspace", 100)])
def test_ancestral_euler_equals_diffusers(prediction: str, spacing: Any, steps: int) -> None:
    """Its own timesteps, its own σ between two of them, its own last level and its own start, all the way."""
    config = SCHEDULER | {"prediction_type": prediction}
    schedule = Schedule.from_config(config)
    grid = schedule.grid(steps, end=CLEAN, spacing=spacing)
    reference = EulerAncestralDiscreteScheduler(**config, timestep_spacing=spacing, steps_offset=1)
    reference.set_timesteps(steps)
    assert grid.levels[:-1] == pytest.approx(reference.timesteps.tolist(), abs=1e-4)
    ours = solver("euler_a", schedule, grid, 0.0)
    (noise,) = latents(0)
    theirs = noise * reference.init_noise_sigma
    x = noise if spacing == "leading" else schedule.noised(0 * noise, noise, grid.levels[0])
    for i, t in enumerate(reference.timesteps):
        shown = reference.scale_model_input(theirs, t)
        torch.testing.assert_close(x, shown, rtol=2e-4, atol=2e-4)
        (answer,) = latents(100 + i)
        z = torch.randn(x.shape, generator=torch.Generator().manual_seed(i))
        generator = torch.Generator().manual_seed(i)
        theirs = reference.step(answer, t, theirs, generator=generator).prev_sample
        eps = schedule.epsilon(answer, x, grid.levels[i])
        x = ours.step(x, eps, i, lambda z=z: z)
    torch.testing.assert_close(x, theirs, rtol=2e-4, atol=2e-4)


@pytest.mark.parametrize("name", ["ddim", "euler_a", "dpmpp_sde", "lcm"])
@pytest.mark.parametrize("end", [0, CLEAN])
def test_gain_is_how_far_the_noise_moves_the_next_latent(schedule: Schedule, name: Any, end: int) -> None:
    grid = schedule.grid(10, end=end)
    x, eps, z, change = latents(0, 1, 2, 3)
    for i in (0, 4, 9):
        moved, plain = (
            solver(name, schedule, grid, 0.3).step(x, each, i, lambda: z) for each in (eps + change, eps)
        )
        gain = solver(name, schedule, grid, 0.3).gain(i)
        torch.testing.assert_close(moved - plain, gain * change, rtol=1e-3, atol=1e-4)


@pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning")  # diffusers under NumPy 2
@pytest.mark.parametrize("steps", [10, 20])
def test_dpmpp_sde_equals_diffusers(schedule: Schedule, steps: int) -> None:
    """To the very last step, which is of second order only when there are 15 or more."""
    grid = schedule.grid(steps)
    reference = DPMSolverMultistepScheduler(
        **SCHEDULER, algorithm_type="sde-dpmsolver++", solver_order=2, final_sigmas_type="sigma_min"
    )
    reference.set_timesteps(timesteps=list(grid.levels[:-1]))
    ours = solver("dpmpp_sde", schedule, grid, 0.0)
    (x,) = latents(0)
    expected = x
    for i in range(steps):
        eps, z = latents(100 + i, 200 + i)
        x = ours.step(x, eps, i, lambda z=z: z)
        expected = reference.step(eps, grid.levels[i], expected, variance_noise=z).prev_sample
        torch.testing.assert_close(x, expected, rtol=1e-4, atol=1e-4)


def test_lcm_equals_diffusers(schedule: Schedule) -> None:
    reference = LCMScheduler(**SCHEDULER, clip_sample=False, set_alpha_to_one=False)
    reference.set_timesteps(4)
    grid = type(schedule.grid(4))((*reference.timesteps.tolist(), 0))
    ours = solver("lcm", schedule, grid, 0.0)
    x, eps = latents(0, 1)
    for i in range(4):
        generator = torch.Generator().manual_seed(7)
        z = torch.randn(x.shape, generator=torch.Generator().manual_seed(7))
        expected = reference.step(eps, grid.levels[i], x, generator=generator).prev_sample
        torch.testing.assert_close(ours.step(x, eps, i, lambda z=z: z), expected, rtol=0, atol=1e-5)
