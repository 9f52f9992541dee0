"""Listing, opening, replaying, and how quickly nothing is asked."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from sfumato.cli.replay import _changes
from sfumato.files.images import read_recipe
from sfumato.files.recipe import save_recipe
from sfumato.method import Recipe

Run = Callable[..., Any]


def test_the_version_is_said(run: Run) -> None:
    assert run("--version").stdout.startswith("sfumato 0")


def test_help_names_every_command_and_needs_no_torch() -> None:
    program = """
import sys
from sfumato.cli import main
sys.argv = ["sfumato", "--help"]
try:
    main()
finally:
    assert "torch" not in sys.modules and "PySide6" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    shown = ("mask", "attention", "trajectory", "elbo", "sweep", "bench")
    for name in ("edit", "invert", "generate", "methods", "models", "recipe", *shown):
        assert f"\n  {name} " in done.stdout


def test_methods_are_listed_by_kind(run: Run) -> None:
    text = run("methods").stdout
    edits, rest = text.split("Ways to invert:")
    inverts, masks = rest.split("Ways to make a mask:")
    assert all(name in masks for name in ("word_mask", "diffedit"))
    assert all(name in edits for name in ("p2p", "reprompt", "blended", "ddim_naive", "generate"))
    assert all(name in inverts for name in ("naive", "ddim", "direct"))
    assert "  instruct_diffusion  InstructDiffusion: " in edits


def test_a_method_is_listed_with_every_parameter(run: Run) -> None:
    text = run("methods", "p2p").stdout
    assert "cross_steps = 0.8  (0 to 1 share of steps)" in text
    assert "auto | replace | refine" in text
    assert "true | false" in text
    assert "a source prompt" in text


def test_an_unknown_method_is_one_sentence(run: Run) -> None:
    result = run("methods", "nope")
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert "p2p" in result.stderr


def test_models_are_listed_with_their_place(run: Run) -> None:
    text = run("models").stdout
    assert text.startswith("starter: ")
    assert "128 pixels" in text


def test_a_folder_of_the_settings_that_is_gone_is_said_aloud(run: Run, home: Path) -> None:
    (home / "data").mkdir(parents=True)
    (home / "data" / "settings.json").write_text(json.dumps({"models": ["/gone"]}), encoding="utf-8")
    result = run("models")
    assert result.exit_code == 0
    assert "Not used: /gone" in result.stderr


def test_a_word_that_is_neither_command_nor_file_is_refused(run: Run) -> None:
    result = run("edti")
    assert result.exit_code == 2
    assert "'edti' is neither a command nor a file" in result.stderr


@pytest.mark.parametrize("words", [(), ("in.png",)])
def test_a_picture_or_nothing_opens_the_window(
    run: Run, words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[Any] = []
    monkeypatch.setattr("sfumato.cli.opening.window_main", lambda: lambda files: opened.append(files) or 7)
    result = run(*words)
    assert result.exit_code == 7
    assert opened == [list(words)]


def test_without_a_window_the_sentence_says_so(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sfumato.cli.opening.entry_points", lambda **_: [])
    result = run("in.png")
    assert result.exit_code == 1
    assert "No window is installed" in result.stderr


def test_replaying_an_exported_picture_is_identical(run: Run, edit: Run) -> None:
    assert edit("--seed", "2").exit_code == 0
    result = run("recipe", "replay", "out.png", "--picture", "in.png")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "out.png: identical\n", "")


def test_replaying_counts_what_differs(run: Run, edit: Run) -> None:
    assert edit().exit_code == 0
    saved = read_recipe("out.png")
    assert saved is not None
    with Image.open("out.png") as image:
        pixels, text = np.array(image), PngInfo()
        for key, value in image.info.items():
            text.add_itxt(key, str(value))
    pixels[0, :3] ^= 1
    Image.fromarray(pixels).save("out.png", pnginfo=text)
    result = run("recipe", "replay", "out.png", "--picture", "in.png")
    assert result.exit_code == 1
    assert result.stdout == f"out.png: 3 of {144 * 128} pixels differ\n"


def test_replaying_a_project_needs_nothing_else(run: Run, edit: Run) -> None:
    mask = np.zeros((128, 144), np.uint8)
    mask[10:60, 20:70] = 255
    Image.fromarray(mask).save("mask.png")
    assert edit("-o", "out.ora", "--mask", "mask.png").exit_code == 0
    result = run("recipe", "replay", "out.ora", "-o", "again.png")
    assert (result.exit_code, result.stdout) == (0, "a green apple: identical\n")
    assert Path("again.png").exists()


def test_replaying_a_recipe_file_compares_hashes(run: Run, edit: Run) -> None:
    assert edit().exit_code == 0
    saved = read_recipe("out.png")
    assert saved is not None
    save_recipe(saved, Path("r.json"))
    result = run("recipe", "replay", "r.json", "--picture", "in.png")
    assert (result.exit_code, result.stdout) == (0, "r.json: identical\n")
    changed = saved.model_copy(update={"recipe": saved.recipe.model_copy(update={"seed": 5, "eta": 1.0})})
    save_recipe(changed, Path("r.json"))
    result = run("recipe", "replay", "r.json", "--picture", "in.png")
    assert (result.exit_code, result.stdout) == (1, "r.json: differs\n")


@pytest.mark.parametrize("first", [True, False])
def test_replaying_tells_which_run_was_short_of_memory(first: bool) -> None:
    then, now = ({"smaller": "half"}, {}) if first else ({}, {"smaller": "half"})
    one, other = ("the first", "this") if first else ("this", "the first")
    assert _changes(then, now) == [
        f"Note: {one} run was short of memory and made less than asked for; {other} one was not."
    ]
    assert _changes(then, then) == _changes(now, now) == []


def test_replaying_a_generated_picture_needs_none(run: Run) -> None:
    run("generate", "a red apple", "-o", "g.png", "--steps", 2, "--candidates", 2, "--threads", 1)
    for name in ("g.png", "g-2.png"):
        assert run("recipe", "replay", name).stdout == f"{name}: identical\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("in.png",), "carries no recipe"),
        (("gone.json",), "gone.json"),
        (("out.png",), "name it with --picture"),
        (("out.png", "--picture", "out.png"), "is not the picture"),
    ],
)
def test_what_cannot_be_replayed_is_one_sentence(
    run: Run, edit: Run, words: tuple[str, ...], said: str
) -> None:
    assert edit().exit_code == 0
    result = run("recipe", "replay", *words)
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert said in result.stderr


def test_the_default_recipe_is_one_the_program_can_run(run: Run) -> None:
    listed = run("methods").stdout
    assert f"  {Recipe().editor} " in listed
    assert f"  {Recipe().inverter} " in listed


def test_what_nobody_chose_is_what_the_model_was_made_for(tmp_path: Path) -> None:
    from sfumato.cli.options import recipe_of, settled
    from sfumato.plugins import load_plugins
    from tests import checkpoints

    model = checkpoints.lcm().save_folder(tmp_path / "lcm")
    asked = {"model": str(model), "source": "a cat"}
    registry = load_plugins()
    recipe = settled(recipe_of(asked), registry)
    assert (recipe.steps, recipe.guidance, recipe.solver) == (4, 8.0, "lcm")
    chosen = settled(recipe_of({**asked, "steps": 6, "solver": "ddim"}), registry)
    assert (chosen.steps, chosen.guidance, chosen.solver) == (6, 8.0, "ddim")


def test_the_built_in_model_inverts_as_suits_the_editor_unless_it_is_said() -> None:
    from sfumato.cli.options import recipe_of, settled
    from sfumato.plugins import load_plugins

    registry = load_plugins()

    def inverter(**asked: str) -> str:
        return settled(recipe_of({"source": "a cat", **asked}), registry).inverter

    assert inverter() == "edit_friendly", "as the benchmark's table has it"
    assert inverter(inverter="ddim") == "ddim"
    assert inverter(method="masactrl") == Recipe().inverter
    theirs = recipe_of({"source": "a cat", "inverter_values": ["w_src=2"]})
    assert settled(theirs, registry).inverter_values == {"w_src": 2.0}, "values are of the one that runs"
