"""The eight stops: nothing is inverted twice, nothing outside the mask changes, nothing bad is run."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

import numpy as np
import pytest
import torch

from sfumato.diffusion.inversion import Inversion
from sfumato.document.compositor import flatten
from sfumato.document.layers import Document, Layer
from sfumato.errors import InputError, MemoryShortage, MethodError
from sfumato.events import Outcome
from sfumato.method import Edit, Editor, EditRequest, Job, Need, Pixels, Progress
from sfumato.pairing import PairingError
from sfumato.params import Params
from sfumato.perform import perform
from sfumato.walking import stepped
from tests.tiny import drain

Make = Callable[..., Any]


def do(job: Job, workshop: Any) -> Outcome:
    return drain(stepped(perform(job, workshop)))


def a_mask(left: int = 4, top: int = 4, side: int = 6) -> np.ndarray:
    mask = np.zeros((40, 48), np.uint8)
    mask[top : top + side, left : left + side] = 255
    return mask


# --- the inversion store


def test_a_second_edit_inverts_nothing_also_after_a_restart(make_workshop: Make, make_job: Make) -> None:
    first = do(make_job(), make_workshop())
    assert first.rows["inversion"] == 3
    assert first.inversion is not None
    assert not first.inversion.reused
    for change in ({"target": "a car on the grass"}, {"editor": "p2p"}, {"seed": 9}, {"guidance": 2.0}, {}):
        again = do(make_job(**change), make_workshop())
        assert again.rows["inversion"] == 0, change
        assert again.rows["edit"] > 0
        assert again.inversion is not None
        assert again.inversion.reused


@pytest.mark.parametrize("decides", ["engine_digest", "class_digest"])
def test_an_inversion_of_another_program_is_none_of_ours(
    make_workshop: Make, make_job: Make, monkeypatch: pytest.MonkeyPatch, decides: str
) -> None:
    workshop = make_workshop()
    assert do(make_job(), workshop).rows["inversion"] == 3
    monkeypatch.setattr(f"sfumato.provenance.{decides}", lambda *_: "another")
    assert do(make_job(), workshop).rows["inversion"] == 3


def test_a_slightly_moved_mask_keeps_the_inversion(make_workshop: Make, make_job: Make) -> None:
    assert do(make_job(mask=a_mask()), make_workshop()).rows["inversion"] == 3
    moved = do(make_job(mask=a_mask(left=5, top=3)), make_workshop())
    assert moved.rows["inversion"] == 0


def test_what_an_inversion_depends_on_makes_a_new_one(
    make_workshop: Make, make_job: Make, picture: Pixels
) -> None:
    do(make_job(), make_workshop())
    other = picture.copy()
    other[0, 0, 0] ^= 255
    for change in ({"source": "a dog"}, {"steps": 4}, {"inverter": "ddim"}, {"image": other}):
        assert do(make_job(**change), make_workshop()).rows["inversion"] > 0, change


def test_a_declared_seed_counts_and_a_damaged_copy_is_made_anew(make_workshop: Make, make_job: Make) -> None:
    workshop = make_workshop()
    reports = [do(make_job(inverter="naive", seed=seed), workshop).inversion for seed in (1, 2, 1)]
    assert [report.reused for report in reports if report] == [False, False, True]
    for path in workshop.store.folder.iterdir():
        path.write_bytes(b"rot")
    again = do(make_job(inverter="naive", seed=1), workshop).inversion
    assert again is not None
    assert not again.reused


def test_reusing_gives_the_same_pixels(make_workshop: Make, make_job: Make) -> None:
    workshop = make_workshop()
    fresh, reused = do(make_job(), workshop), do(make_job(), workshop)
    assert np.array_equal(fresh.patches[0], reused.patches[0])


def test_inverting_alone_is_what_the_edit_then_finds(make_workshop: Make, make_job: Make) -> None:
    only = do(make_job(task="invert"), make_workshop())
    assert only.patches == ()
    assert only.rows == {"inversion": 3, "edit": 0}
    assert only.inversion is not None
    assert only.inversion.psnr is not None
    assert only.inversion.vae_psnr == pytest.approx(only.inversion.psnr)
    assert do(make_job(), make_workshop()).rows["inversion"] == 0


def test_the_inverter_is_told_only_what_it_declares(make_workshop: Make, make_job: Make) -> None:
    seen: list[Any] = []
    workshop = make_workshop()
    direct = workshop.registry.inverters["direct"]
    original = direct.invert

    class Nosy(type(direct)):
        name = "nosy"

        def invert(self, request: Any, model: Any) -> Any:
            seen.append(request)
            return original(request, model)

    workshop = make_workshop(Nosy())
    do(make_job(inverter="nosy", seed=7, negative="red", guidance=3.0, mask=a_mask(), start=0.4), workshop)
    (request,) = seen
    assert (request.seed, request.negative, request.guidance, request.target) == (0, "", 1.0, "")
    assert (request.start, request.latent_mask, request.source) == (0.0, None, "a cat on the grass")


# --- exactness


@pytest.mark.parametrize("editor", ["reprompt", "p2p", "blended", "ddim_naive", "generate"])
def test_outside_the_mask_the_picture_is_the_same_array(
    make_workshop: Make, make_job: Make, picture: Pixels, editor: str
) -> None:
    mask = a_mask(left=20, top=11, side=9)
    outcome = do(make_job(mask=mask, editor=editor), make_workshop())
    left, top = outcome.box[:2]
    layers = [Layer("picture", picture), Layer("edit", outcome.patches[0], left, top)]
    after = flatten(Document(48, 40, layers))
    assert np.array_equal(after[mask == 0], picture[mask == 0])
    assert (after[mask > 0] != picture[mask > 0]).any()
    assert outcome.changed_outside == 0


def test_a_patch_that_would_leak_is_a_bug_not_a_result(
    make_workshop: Make, make_job: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sfumato.scene.paste", lambda *_, **__: np.full((32, 32, 4), 255, np.uint8))
    monkeypatch.setattr("sfumato.scene.window", lambda box: (slice(0, 32), slice(0, 32)))
    with pytest.raises(AssertionError, match="outside the mask"):
        do(make_job(mask=a_mask()), make_workshop())


def test_the_same_request_gives_the_same_pixels(make_workshop: Make, make_job: Make) -> None:
    job = make_job(editor="ddim_naive", eta=1.0, candidates=2, seed=5)
    first, second = do(job, make_workshop()), do(job, make_workshop())
    assert len(first.patches) == 2
    assert all(np.array_equal(a, b) for a, b in zip(first.patches, second.patches, strict=True))
    assert not np.array_equal(*first.patches)
    assert first.provenance == second.provenance


def test_a_picture_from_words_needs_none(make_workshop: Make, make_job: Make) -> None:
    outcome = do(make_job(image=None, editor="generate", size=(40, 24), candidates=2), make_workshop())
    assert outcome.box == (0, 0, 40, 24)
    assert [patch.shape for patch in outcome.patches] == [(24, 40, 4)] * 2
    assert (outcome.patches[0][..., 3] == 255).all()
    assert outcome.rows["inversion"] == 0
    own = do(make_job(image=None, editor="generate"), make_workshop())
    assert own.box == (0, 0, 32, 32)


def test_provenance_says_what_replaying_needs(make_workshop: Make, make_job: Make) -> None:
    told = do(make_job(mask=a_mask()), make_workshop()).provenance
    assert {
        "picture",
        "mask",
        "weights",
        "device",
        "precision",
        "threads",
        "batch",
        "libraries",
    } <= told.keys()
    assert told["methods"]["editor"] == {
        "name": "reprompt",
        "version": 1,
        "from": told["methods"]["editor"]["from"],
    }
    assert told["libraries"]["torch"] == torch.__version__
    assert len(told["patches"]) == 1


def test_equal_prompts_run_with_a_note(make_workshop: Make, make_job: Make) -> None:
    same = "a cat on the grass"
    assert any("reconstruction" in note for note in do(make_job(target=same), make_workshop()).notes)
    weighed = do(make_job(target=same, editor="p2p", word_weights={"cat": 2.0}), make_workshop())
    assert not any("reconstruction" in note for note in weighed.notes)


# --- refusals: one sentence, before a single row is computed


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        ({"editor": "nope"}, MethodError, "no editor 'nope'"),
        ({"inverter": "nope"}, MethodError, "no inverter 'nope'"),
        ({"inverter": ""}, PairingError, "starts from an inversion"),
        ({"source": "", "editor": "p2p"}, PairingError, "needs a source prompt"),
        ({"target": " "}, PairingError, "needs a target prompt"),
        ({"image": None}, PairingError, "needs a picture"),
        ({"editor": "blended"}, PairingError, "needs a mask"),
        ({"mask": np.zeros((40, 48), np.uint8)}, PairingError, "lets nothing change"),
        ({"mask": np.zeros((8, 9), np.uint8)}, InputError, "9 x 8 pixels, the picture 48 x 40"),
        ({"mask": np.zeros((40, 48))}, InputError, "8-bit grey"),
        ({"image": np.zeros((4, 4, 3), np.uint8)}, InputError, "8-bit RGBA"),
        ({"editor": "p2p", "editor_values": {"nope": 1}}, InputError, "no parameter 'nope'"),
        ({"editor": "p2p", "editor_values": {"cross_steps": 1.5}}, InputError, "'cross_steps' cannot be 1.5"),
        ({"word_weights": {"zebra": 2.0}}, InputError, "'zebra'"),
        ({"editor": "generate", "image": None, "size": (30, 32)}, InputError, "multiples of 4"),
        ({"editor": "generate", "image": None, "size": (10**6, 32)}, InputError, "multiples of 4"),
        ({"task": "invert", "inverter": ""}, PairingError, "name of an inversion method"),
        ({"task": "invert", "source": ""}, PairingError, "Direct inversion needs a source prompt"),
    ],
)
def test_what_cannot_work_is_refused_before_it_runs(
    make_workshop: Make, make_job: Make, tiny_model: Any, change: dict, error: type, said: str
) -> None:
    before = tiny_model.counters.forward
    with pytest.raises(error, match=said):
        do(make_job(**change), make_workshop())
    assert tiny_model.counters.forward == before


# --- what methods may do wrong


class Fake(Editor[Any]):
    name = "fake"
    title = "Fake"
    summary = "Returns what it is told."
    needs = frozenset({Need.IMAGE})
    inversion = "none"

    def __init__(self, result: Callable[[Any], Edit]) -> None:
        self.result = result

    def edit(self, request: Any, inversion: Any, model: Any) -> Generator[Progress, None, Edit]:
        assert not torch.is_grad_enabled()
        yield Progress(1, 1, "Faking")
        return self.result(request)


def test_numbers_that_are_none_never_reach_the_picture(make_workshop: Make, make_job: Make) -> None:
    broken = Fake(lambda request: Edit(latents=request.x0 * float("nan")))
    with pytest.raises(MethodError, match="NaN"):
        do(make_job(editor="fake"), make_workshop(broken))


def test_latents_of_another_shape_are_named(make_workshop: Make, make_job: Make) -> None:
    with pytest.raises(MethodError, match="Fake gave latents of shape"):
        do(make_job(editor="fake"), make_workshop(Fake(lambda request: Edit(latents=request.x0[..., :3]))))


def test_an_edit_that_changes_nothing_gives_every_pixel_back(
    make_workshop: Make, make_job: Make, picture: Pixels
) -> None:
    outcome = do(make_job(editor="fake"), make_workshop(Fake(lambda request: Edit(latents=request.x0))))
    assert outcome.box == (0, 0, 48, 40)
    assert np.array_equal(outcome.patches[0], picture)


@pytest.mark.parametrize(("brighter", "told"), [(0.0, True), (2.0, False)])
def test_an_edit_that_moved_nothing_says_what_to_try(
    make_workshop: Make, make_job: Make, brighter: float, told: bool
) -> None:
    class Still(Fake):
        unmoved = "Push harder."

    still = Still(lambda request: Edit(latents=request.x0 + brighter))
    notes = do(make_job(editor="fake"), make_workshop(still)).notes
    assert notes == (("Hardly anything changed. Push harder.",) if told else ())


def test_notes_of_a_method_are_passed_on(make_workshop: Make, make_job: Make) -> None:
    noted = Fake(lambda request: Edit(latents=request.x0, notes=("I chose for you.",)))
    assert do(make_job(editor="fake"), make_workshop(noted)).notes == ("I chose for you.",)


def test_gradients_are_on_again_between_the_steps(make_workshop: Make, make_job: Make) -> None:
    steps = stepped(perform(make_job(), make_workshop()))
    next(steps)
    assert torch.is_grad_enabled()
    steps.close()


class Hungry(Editor[Params]):
    """Runs out of memory as long as it is asked for too much."""

    name = "hungry"
    title = "Hungry"
    summary = "Needs more than there is."
    inversion = "none"

    def __init__(self, error: Exception, fits: Callable[[EditRequest[Any]], bool]) -> None:
        self.error, self.fits = error, fits
        self.processors: list[str] = []

    def edit(
        self, request: EditRequest[Params], inversion: Inversion | None, model: Any
    ) -> Generator[Progress, None, Edit]:
        yield Progress(0, 1, "Editing")
        self.processors.append(type(next(iter(model.unet.attn_processors.values()))).__name__)
        if not self.fits(request):
            raise self.error
        return Edit(latents=torch.zeros(request.latent_shape).repeat(request.candidates, 1, 1, 1))


SHORTAGES = [
    MemoryError(),
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory"),
]


@pytest.mark.parametrize("error", SHORTAGES)
def test_where_memory_runs_out_it_is_tried_once_more_with_one_candidate(
    make_workshop: Make, make_job: Make, error: Exception
) -> None:
    hungry = Hungry(error, lambda request: request.candidates == 1)
    outcome = do(make_job(editor="hungry", candidates=3), make_workshop(hungry))
    assert len(outcome.patches) == 1
    assert outcome.notes[0] == (
        "There was not enough memory for 3 candidates, so this was made with 1 candidate."
    )
    assert hungry.processors[1] == "SlicedAttnProcessor" != hungry.processors[0]


def test_a_single_candidate_is_tried_at_half_the_size(make_workshop: Make, make_job: Make) -> None:
    hungry = Hungry(MemoryError(), lambda request: request.latent_shape[2] <= 8)
    outcome = do(make_job(editor="hungry"), make_workshop(hungry))
    assert outcome.notes[0].endswith("32 x 32 pixels, so this was made at half that size.")
    assert outcome.patches[0].shape == (40, 48, 4)
    words = make_job(editor="hungry", size=(32, 32), image=None)
    assert do(words, make_workshop(hungry)).patches[0].shape == (16, 16, 4)


def test_what_does_not_fit_smaller_either_is_one_sentence(make_workshop: Make, make_job: Make) -> None:
    hungry = Hungry(MemoryError(), lambda request: False)
    with pytest.raises(MemoryShortage, match="tried at half that size, too") as shortage:
        do(make_job(editor="hungry"), make_workshop(hungry))
    assert len(hungry.processors) == 2
    assert shortage.value.kept


def test_another_error_is_not_tried_again(make_workshop: Make, make_job: Make) -> None:
    hungry = Hungry(RuntimeError("size mismatch"), lambda request: False)
    with pytest.raises(RuntimeError, match="size mismatch"):
        do(make_job(editor="hungry", candidates=3), make_workshop(hungry))
    assert len(hungry.processors) == 1
