"""What a run leaves behind when somebody looks on: word maps, tracks, and not one other bit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from sfumato.diffusion.attention import MapStore
from sfumato.diffusion.optimise import checkpointed
from sfumato.diffusion.recorder import Recorder
from sfumato.errors import InputError
from sfumato.events import Outcome
from sfumato.method import Job
from sfumato.perform import perform
from sfumato.recording import LONGEST_TRACK, WordMaps
from sfumato.walking import stepped
from tests.tiny import drain

Make = Callable[..., Any]


def do(job: Job, workshop: Any) -> Outcome:
    return drain(stepped(perform(job, workshop)))


def watched(job: Job) -> Job:
    return replace(job, record=True)


@pytest.mark.parametrize("editor", ["reprompt", "p2p"])
def test_looking_on_changes_no_pixel_and_no_count(make_workshop: Make, make_job: Make, editor: str) -> None:
    plain = do(make_job(editor=editor), make_workshop())
    workshop = make_workshop()
    workshop.store.clear()
    seen = do(watched(make_job(editor=editor)), workshop)
    assert plain.recording is None
    assert seen.rows == plain.rows
    assert np.array_equal(seen.patches[0], plain.patches[0])


def test_both_passes_are_recorded(make_workshop: Make, make_job: Make) -> None:
    recording = do(watched(make_job(steps=6)), make_workshop()).recording
    assert recording is not None
    source, target = recording.source, recording.target
    assert source is not None
    assert target is not None
    assert (source.prompt, target.prompt) == ("a cat on the grass", "a dog on the grass")
    assert source.resolutions == ((14, 18), (7, 9))
    assert source.maps[14, 18].shape == (3, 5, 14, 18)
    assert source.of("cat").shape == (14, 18)
    assert recording.source_track is not None
    assert recording.target_track is not None
    assert len(recording.source_track.levels) == len(recording.target_track.levels) == 7
    assert recording.source_track.previews.shape == (7, 14, 18, 3)
    same = recording.source_track.latents[0] == recording.target_track.latents[0]
    assert same.all(), "the edit starts from the inverted picture"


def test_maps_of_an_inversion_are_shares_and_what_a_map_store_sees(
    tiny_model: Any, tiny_request: Make
) -> None:
    from sfumato.diffusion.inversion import invert_ddim

    request = tiny_request(steps=6)
    text, grid = tiny_model.text(request.source), tiny_model.grid(request)
    sites = [site for site in tiny_model.sites if site.kind == "cross" and site.scale == 1]
    recorder, store = Recorder(tiny_model, request, request.source), MapStore(sites, request.latent_shape)
    with recorder.watching(), tiny_model.denoiser.observed(store.hook(range(6), ("src.c",))):
        drain(invert_ddim(tiny_model, request.x0, text, grid))
    maps = recorder.source_maps()[16, 16]
    for k, span in enumerate(text.spans):
        expected = store.average("src.c")[list(span)].sum(0)
        assert torch.allclose(maps[:, k].mean(0), expected, atol=1e-6)
    assert float(maps.sum(1).max()) <= 1


def test_a_second_look_runs_nothing_also_after_a_restart(make_workshop: Make, make_job: Make) -> None:
    first = do(watched(make_job(task="invert")), make_workshop())
    second = do(watched(make_job(task="invert")), make_workshop())
    assert (first.rows["inversion"], second.rows["inversion"]) == (3, 0)
    assert first.recording is not None
    assert second.recording is not None
    assert first.recording.source is not None
    assert second.recording.source is not None
    assert np.array_equal(
        first.recording.source.maps[14, 18], second.recording.source.maps[14, 18], equal_nan=True
    )


def test_an_inversion_nobody_watched_is_made_once_more_and_then_kept(
    make_workshop: Make, make_job: Make
) -> None:
    rows = [
        do(replace(make_job(), record=record), make_workshop()).rows["inversion"]
        for record in (False, True, True, False)
    ]
    assert rows == [3, 3, 0, 0]


def test_ranges_and_resolutions_are_chosen_by_name(make_workshop: Make, make_job: Make) -> None:
    recording = do(watched(make_job(steps=6)), make_workshop()).recording
    assert recording is not None
    assert recording.source is not None
    source = recording.source
    thirds = [source.of("cat", steps) for steps in ("early", "middle", "late")]
    assert np.allclose(np.mean(thirds, 0), source.of("cat"), atol=1e-6)
    assert source.of("CAT", resolution=9).shape == (7, 9)
    with pytest.raises(InputError, match="'zebra' is not in the prompt"):
        source.of("zebra")
    with pytest.raises(InputError, match="no attention maps of 64 cells; there are: 18, 9"):
        source.of("cat", resolution=64)


def test_thirds_nobody_ran_are_said_to_be_empty(make_workshop: Make, make_job: Make) -> None:
    recording = do(watched(make_job(steps=6, start=0.5)), make_workshop()).recording
    assert recording is not None
    assert recording.target is not None
    assert recording.target.of("dog").shape == (14, 18)
    with pytest.raises(InputError, match="None of the early steps"):
        recording.target.of("dog", "early")


def test_a_word_that_occurs_twice_is_one() -> None:
    maps = np.arange(3 * 3 * 4, dtype=np.float32).reshape(3, 3, 2, 2)
    twice = WordMaps("a cat a", {(2, 2): maps})
    assert np.array_equal(twice.of("a"), (maps[:, 0] + maps[:, 2]).mean(0))


def test_long_tracks_are_thinned_and_keep_both_ends(make_workshop: Make, make_job: Make) -> None:
    recording = do(watched(make_job(steps=70, inverter="naive")), make_workshop()).recording
    assert recording is not None
    for track in (recording.source_track, recording.target_track):
        assert track is not None
        assert len(track.levels) <= LONGEST_TRACK
        assert track.levels[-1] == 0
        assert track.levels[0] > 900


def test_a_network_that_computes_twice_is_not_watched(tiny_model: Any, tiny_request: Make) -> None:
    """Gradient checkpointing repeats a block when this call's hooks are gone."""
    request = tiny_request()
    recorder = Recorder(tiny_model, request, request.source)
    text = tiny_model.text(request.source)
    from sfumato.diffusion.denoiser import Row

    latent = request.x0.clone().requires_grad_()
    with recorder.watching(), checkpointed(tiny_model), torch.enable_grad():
        tiny_model.unet.train()
        try:
            eps = tiny_model.denoiser({"src.c": Row("src.c", text).seen(latent, 0)}, 500)["src.c"]
            (gradient,) = torch.autograd.grad(eps.sum(), latent)
        finally:
            tiny_model.unet.eval()
    assert gradient.abs().sum() > 0
    assert recorder.source_maps() == {}
