"""Edits from the command line: what is asked comes out, what is wrong is one sentence and leaves nothing."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sfumato import compose
from sfumato.document.compositor import flatten
from sfumato.document.layers import Document, Layer
from sfumato.engine import Engine
from sfumato.events import Failed, Finished
from sfumato.files.images import open_image, read_recipe
from sfumato.files.openraster import open_project
from sfumato.files.recipe import SavedRecipe, save_recipe
from sfumato.method import Job, Recipe

Run = Callable[..., Any]


def picture(name: str) -> Image.Image:
    with Image.open(name) as image:
        image.load()
    return image


def names() -> set[str]:
    """What lies in the folder, besides the program's own home."""
    return {path.name for path in Path().iterdir()} - {"home"}


def sentence(result: Any) -> str:
    """The one line on standard error."""
    assert result.stderr.count("\n") == 1, result.stderr
    assert "Traceback" not in result.stderr
    return result.stderr


def test_an_edit_is_written_with_its_recipe(edit: Run) -> None:
    result = edit("--set", "cross_steps=0.5", "--weight", "green=2", "--seed", "4")
    assert (result.exit_code, result.stderr) == (0, "")
    assert "Wrote out.png" in result.stdout
    assert picture("out.png").size == (144, 128)
    saved = read_recipe("out.png")
    assert saved is not None
    assert saved.recipe.editor_values == {"cross_steps": 0.5}
    assert saved.recipe.word_weights == {"green": 2.0}
    assert (saved.recipe.seed, saved.recipe.steps, saved.recipe.editor) == (4, 2, "p2p")
    assert saved.provenance["threads"] == 1


def test_concepts_and_conventions_travel_with_the_recipe(edit: Run) -> None:
    words = ("--concept", "a 3:2 photo", "--concept", "leaf : -0.5", "--timestep-offset", "0")
    result = edit("--method", "ledits", *words, "--encoding", "sample", "--source", "", "--inverter", "naive")
    assert (result.exit_code, result.stderr) == (0, "")
    assert "reconstruction" not in result.stdout, "concepts ask for something, whatever the prompts say"
    saved = read_recipe("out.png")
    assert saved is not None
    assert saved.recipe.concepts == (("a 3:2 photo", 1.0), ("leaf", -0.5))
    assert (saved.recipe.timestep_offset, saved.recipe.encoding) == (0, "sample")


def test_profile_and_exif_come_along(edit: Run, display_p3: bytes) -> None:
    exif = Image.Exif()
    exif[0x010F] = "A camera"
    picture("in.png").save("in.png", icc_profile=display_p3, exif=exif)
    assert edit().exit_code == 0
    out = picture("out.png")
    assert out.info["icc_profile"] == display_p3
    assert out.getexif()[0x010F] == "A camera"


def test_outside_the_mask_the_file_is_the_same(edit: Run) -> None:
    mask = np.zeros((128, 144), np.uint8)
    mask[30:70, 40:90] = 255
    Image.fromarray(mask).save("mask.png")
    result = edit("--mask", "mask.png", "--method", "blended")
    assert "Outside the mask: 0 pixels changed." in result.stdout
    before, after = (np.array(picture(name).convert("RGB")) for name in ("in.png", "out.png"))
    assert np.array_equal(before[mask == 0], after[mask == 0])
    assert not np.array_equal(before[mask > 0], after[mask > 0])


def test_a_second_edit_says_that_it_reused_the_inversion(edit: Run) -> None:
    assert "2 network rows" in edit().stdout
    assert "reused" in edit("--target", "a blue apple").stdout


def test_the_window_and_the_command_line_give_the_same_pixels(edit: Run, monkeypatch: Any) -> None:
    assert edit("--seed", "3", "--guidance", "4").exit_code == 0
    document = open_image("in.png")
    asked = {"source": "a red apple", "target": "a green apple", "steps": 2, "seed": 3, "guidance": 4}
    recipe = Recipe.model_validate({**asked, "inverter": "edit_friendly"})  # as the window begins with it
    done: list[Any] = []
    ended = threading.Event()

    def listen(event: Any) -> None:
        if isinstance(event, Finished | Failed):
            done.append(event)
            ended.set()

    engine: Engine = compose.engine(listen, threads=1)
    engine.start()
    engine.submit(Job(recipe=recipe, image=flatten(document), profile=document.profile))
    assert ended.wait(60)
    assert engine.close(60)
    layer = Layer("edit", done[0].outcome.patches[0], *done[0].outcome.box[:2])
    shown = flatten(Document(document.width, document.height, [*document.layers, layer]))
    assert np.array_equal(np.array(picture("out.png").convert("RGBA")), shown)


def test_candidates_are_numbered_files_or_one_project(edit: Run) -> None:
    result = edit("--candidates", "2", "--method", "ddim_naive")
    assert "Wrote out-2.png" in result.stdout
    assert Path("out.png").read_bytes() != Path("out-2.png").read_bytes()
    assert edit("--candidates", "2", "--method", "ddim_naive", "-o", "out.ora").exit_code == 0
    layer = open_project("out.ora").layers[-1]
    assert layer.edit is not None
    assert len(layer.edit.candidates) == 2
    assert not Path("out-2.ora").exists()


def test_a_recipe_file_is_the_start_and_options_win(edit: Run) -> None:
    recipe = Recipe(editor="ddim_naive", editor_values={"strength": 0.5}, seed=8, guidance=2.0)
    save_recipe(SavedRecipe(recipe=recipe), Path("r.json"))
    assert edit("--recipe", "r.json", "--guidance", "3").exit_code == 0
    saved = read_recipe("out.png")
    assert saved is not None
    assert (saved.recipe.editor, saved.recipe.editor_values) == ("ddim_naive", {"strength": 0.5})
    assert (saved.recipe.seed, saved.recipe.guidance) == (8, 3.0)
    assert edit("--recipe", "r.json", "--method", "reprompt").exit_code == 0, (
        "values of another method are left"
    )


def test_invert_reports_and_keeps(run: Run, edit: Run) -> None:
    words = ("invert", "in.png", "--source", "a red apple", "--steps", 2, "--threads", 1)
    result = run(*words)
    assert result.exit_code == 0
    assert "edit_friendly, 2 steps" in result.stdout
    assert "reused" in edit().stdout


def test_a_model_of_that_name_goes_before_a_folder_of_that_name(run: Run) -> None:
    Path("starter").mkdir()
    result = run("generate", "a red apple", "-o", "g.png", "--model", "starter", "--steps", 1, "--threads", 1)
    assert (result.exit_code, result.stderr) == (0, "")
    saved = read_recipe("g.png")
    assert saved is not None
    assert saved.recipe.model == "starter"


def test_generate_makes_a_picture_of_the_size_asked(run: Run) -> None:
    result = run("generate", "a red apple", "-o", "g.png", "--size", "128x96", "--steps", 2, "--threads", 1)
    assert result.exit_code == 0, result.stderr
    assert picture("g.png").size == (128, 96)


def test_a_method_that_the_usual_model_cannot_do_gets_one_that_can(edit: Run) -> None:
    result = edit("--method", "instruct_pix2pix", "--instruction", "make it red")
    assert result.exit_code == 0, result.output
    saved = read_recipe(Path("out.png"))
    assert saved is not None
    assert (saved.recipe.model, saved.recipe.editor) == ("starter_instruct", "instruct_pix2pix")


def test_equal_prompts_run_with_a_note(edit: Run) -> None:
    assert "reconstruction" in edit("--target", "a red apple").stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--source", ""), "Prompt-to-Prompt needs a source prompt"),
        (("--method", "blended"), "needs a mask"),
        (("--method", "nope"), "no editor 'nope'"),
        (("--inverter", "nope"), "no inverter 'nope'"),
        (("--set", "nope=1"), "no parameter 'nope'"),
        (("--set", "cross_steps=7"), "'cross_steps' cannot be '7'"),
        (("--set", "cross_steps"), "--set wants NAME=VALUE"),
        (("--set-inverter", "nope=1"), "no parameter 'nope'"),
        (("--weight", "green=much"), "cannot be 'much'"),
        (("--weight", "zebra=2"), "'zebra'"),
        (("--concept", ":2"), "--concept wants TEXT:STRENGTH"),
        (("--method", "ledits"), "LEDITS++ needs something to add or to take away"),
        (("--method", "ledits", "--concept", "hat:0"), "LEDITS++ needs something to add"),
        (("--method", "instruct_pix2pix"), "InstructPix2Pix needs an instruction: say what to do"),
        (
            ("--method", "instruct_diffusion", "--instruction", "make it red", "--model", "starter"),
            "InstructDiffusion needs a model trained to follow instructions",
        ),
        (("--timestep-offset", "2"), "'timestep_offset' cannot be 2"),
        (("--encoding", "best"), "'encoding' cannot be 'best'"),
        (("--steps", "0"), "'steps' cannot be 0"),
        (("--eta", "1.5"), "'eta' cannot be 1.5"),
        (("--guidance", "nan"), "'guidance'"),
        (("--solver", "euler"), "'solver'"),
        (("--model", "nope"), "no model 'nope'"),
        (("--model", "."), "no model_index.json"),
        (("--device", "toaster"), "'device'"),
        (("--threads", "0"), "'threads'"),
        (("--mask", "small.png"), "3 x 2 pixels"),
        (("--mask", "gone.png"), "gone.png"),
        (("--recipe", "bad.json"), "bad.json"),
        (("--control", "bad.json"), "bad.json"),
        (("-o", "out.xyz"), ".xyz"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(edit: Run, words: tuple[str, ...], said: str) -> None:
    Image.new("L", (3, 2)).save("small.png")
    Path("bad.json").write_text("{", encoding="utf-8")
    before = names()
    result = edit(*words)
    assert said in sentence(result)
    assert result.exit_code == 2
    assert names() == before, "something was written"


@pytest.mark.parametrize("data", [b"", b"no picture", b"\x89PNG\r\n\x1a\n" + b"\0" * 50])
def test_a_picture_that_is_none_is_one_sentence(edit: Run, data: bytes) -> None:
    Path("in.png").write_bytes(data)
    result = edit()
    assert "in.png" in sentence(result)
    assert result.exit_code == 2
    assert not Path("out.png").exists()


def test_a_place_that_cannot_be_written_is_exit_code_1(edit: Run) -> None:
    result = edit("-o", "nowhere/out.png")
    assert "folder does not exist" in sentence(result)
    assert result.exit_code == 1


def test_a_full_disk_leaves_the_old_file(edit: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("out.png").write_bytes(b"old")

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("sfumato.files.atomic.os.fsync", full)
    result = edit()
    assert result.exit_code == 1
    assert "the disk is full" in sentence(result)
    assert Path("out.png").read_bytes() == b"old"
    assert not list(Path().glob(".*part"))


def test_an_interrupt_is_130_and_leaves_nothing(edit: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr("sfumato.perform.stage", interrupt)
    result = edit()
    assert result.exit_code == 130
    assert "nothing was written" in sentence(result)
    assert not Path("out.png").exists()


def test_memory_that_runs_out_is_one_sentence(edit: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def allocate(*_: Any) -> Any:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 4 bytes.")

    monkeypatch.setattr("sfumato.perform.stage", allocate)
    result = edit()
    assert result.exit_code == 1
    assert "not enough memory" in sentence(result)
    assert not Path("out.png").exists()


def test_a_bug_is_admitted_with_its_traceback(edit: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sfumato.perform.stage", lambda *_: 1 / 0)
    result = edit()
    assert result.exit_code == 1
    assert "this is a bug" in result.stderr
    assert "ZeroDivisionError" in result.stderr


def test_recipes_are_valid_json_of_plain_values(edit: Run) -> None:
    assert edit().exit_code == 0
    saved = read_recipe("out.png")
    assert saved is not None
    assert json.loads(saved.to_json())["provenance"]["methods"]["editor"]["name"] == "p2p"
