"""Whoever inverts is told how faithful that is, beside the model's own limit, and where it is off."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from sfumato.events import InversionReport, Outcome
from sfumato.method import Job
from sfumato.perform import perform
from sfumato.walking import stepped
from tests.tiny import drain

Make = Callable[..., Any]
INVERTERS = (
    "naive",
    "ddim",
    "direct",
    "null_text",
    "negative_prompt",
    "edit_friendly",
    "style",
    "fixed_point",
)


def do(job: Job, workshop: Any) -> Outcome:
    return drain(stepped(perform(job, workshop)))


def report_of(outcome: Outcome) -> InversionReport:
    assert outcome.inversion is not None
    return outcome.inversion


@pytest.mark.parametrize("inverter", INVERTERS)
def test_every_inverter_reports_its_reconstruction_and_where_it_is_off(
    inverter: str, make_workshop: Make, make_job: Make
) -> None:
    workshop = make_workshop()
    outcome = do(make_job(task="invert", inverter=inverter, steps=2), workshop)
    report, (width, height) = report_of(outcome), outcome.provenance["region"]["size"]
    assert report.psnr is not None
    assert report.error_map is not None
    assert report.error_map.shape == (height, width)
    assert report.error_map.dtype == np.float32
    assert 0 <= report.error_map.min() < report.error_map.max() <= 1
    again = report_of(do(make_job(task="invert", inverter=inverter, steps=2), workshop))
    assert again.reused
    assert again.psnr == report.psnr
    assert again.seconds == report.seconds
    assert again.seconds, "what it took whoever made it"
    assert np.array_equal(again.error_map, report.error_map)  # type: ignore[arg-type]


def test_an_exact_inversion_is_off_only_by_the_autoencoder(make_workshop: Make, make_job: Make) -> None:
    for inverter in ("direct", "edit_friendly"):
        report = report_of(do(make_job(task="invert", inverter=inverter), make_workshop()))
        assert report.psnr == pytest.approx(report.vae_psnr, abs=1e-3)


def test_what_was_not_measured_is_measured_when_somebody_only_inverts(
    make_workshop: Make, make_job: Make
) -> None:
    workshop = make_workshop()
    edited = do(make_job(inverter="naive"), workshop)
    assert report_of(edited).psnr is None
    assert report_of(edited).error_map is None
    inverted = do(make_job(inverter="naive", task="invert"), workshop)
    assert report_of(inverted).psnr is not None
    assert inverted.rows["inversion"] == 3
    assert report_of(do(make_job(inverter="naive"), workshop)).psnr == report_of(inverted).psnr


def test_a_kept_inversion_is_measured_in_its_own_surroundings(
    make_workshop: Make, make_job: Make, tiny_model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not in those of the edit before: another guidance, or the mask an inpainting model sees."""
    workshop, surround, seen = make_workshop(), tiny_model.surround, []
    do(make_job(inverter="naive", guidance=7.0), workshop)
    monkeypatch.setattr(tiny_model, "surround", lambda request: seen.append(request) or surround(request))
    assert report_of(do(make_job(inverter="naive", guidance=7.0, task="invert"), workshop)).reused
    assert [(each.guidance, each.pixel_mask) for each in seen] == [(1.0, None)]


def test_another_guidance_than_it_was_made_for_inverts_again(make_workshop: Make, make_job: Make) -> None:
    workshop = make_workshop()
    for inverter in ("null_text", "style"):
        made = [
            report_of(do(make_job(inverter=inverter, guidance=w, steps=2), workshop)).reused
            for w in (3.0, 3.0, 4.0)
        ]
        assert made == [False, True, False]


def test_an_edit_says_when_it_runs_at_the_eta_of_its_inversion(make_workshop: Make, make_job: Make) -> None:
    workshop = make_workshop()
    assert any("eta 1" in note for note in do(make_job(inverter="edit_friendly", eta=0.5), workshop).notes)
    for eta in (0.0, 1.0):
        assert do(make_job(inverter="edit_friendly", eta=eta), workshop).notes == ()
