"""The commands that show: figures are written, refusals are one sentence before anything is run."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sfumato.costs import EDITORS, INVERTERS, Line, measured, pairings, within
from sfumato.errors import SfumatoError
from sfumato.events import Cost
from sfumato.method import Job, Recipe
from sfumato.plugins import load_plugins

Run = Callable[..., Any]
SMALL = ("--steps", 3, "--threads", 1)
PROMPT = ("--prompt", "a red apple")


def size(name: str) -> tuple[int, int]:
    with Image.open(name) as image:
        return image.size


def test_attention_is_shown_and_a_second_look_is_free(run: Run) -> None:
    first = run("attention", "in.png", *PROMPT, "--word", "apple", "-o", "a.png", *SMALL)
    assert (first.exit_code, first.stdout.split(" network")[0]) == (0, "3"), first.output
    second = run("attention", "in.png", *PROMPT, "--word", "red", "--json", "-o", "b.png", *SMALL)
    (told,) = json.loads(second.stdout)
    assert np.array(told["map"]).shape == (16, 16)
    assert size("a.png") == size("b.png")


def test_a_trajectory_goes_from_the_picture_into_noise(run: Run) -> None:
    words = (*PROMPT, "--target", "a green apple", "--count", 3, "-o", "t.png")
    result = run("trajectory", "in.png", *words, *SMALL)
    assert result.exit_code == 0, result.output
    assert size("t.png")[0] > 3 * 128


def test_a_mask_is_found_and_an_edit_keeps_outside_it(run: Run, edit: Run) -> None:
    assert run("mask", "in.png", "--word", "apple", "-o", "m.png", *SMALL).exit_code == 0
    assert size("m.png") == (144, 128)
    result = edit("--auto-mask", "word_mask", "--set-mask", "word=apple")
    assert "Outside the mask: 0 pixels changed." in result.stdout, result.output
    assert run("recipe", "replay", "out.png", "--picture", "in.png").stdout == "out.png: identical\n"


def test_the_bound_is_told_per_prompt_with_curve_and_map(run: Run) -> None:
    words = ("elbo", "in.png", *PROMPT, "--prompt", "a dog", "--rows", 4, "--threads", 1)
    told = json.loads(run(*words, "--json", "--curve", "c.csv", "--map", "m.png").stdout)
    assert told.keys() == {"a red apple", "a dog"}
    assert len(told["a dog"]["curve"]) == 3
    assert len(Path("c.csv").read_text().splitlines()) == 7
    assert size("m.png")[0] > 256


def test_a_sweep_has_a_picture_per_amount(run: Run) -> None:
    words = ("in.png", "--source", "a red apple", "-o", "s.png", *SMALL)
    assert run("sweep", "strength", *words, "--amounts", "0.5,1").exit_code == 0
    two = size("s.png")
    assert run("sweep", "eta", *words, "--amounts", "0").exit_code == 0
    assert size("s.png")[0] < two[0]


def test_a_sweep_is_made_by_nobody_with_other_methods() -> None:
    job = Job(recipe=Recipe(editor="reprompt", inverter="ddim"), image=None)
    workshop: Any = SimpleNamespace(registry=load_plugins())
    with pytest.raises(SfumatoError, match="lacks the method 'reprompt'"):
        import_module("sfumato.cli.sweep").made_of((job, "other"), workshop)


def test_a_sweep_runs_exactly_the_shares_it_names(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """1 - 0.8 is a little under 0.2, of which 50 steps are not quite 10."""
    starts: list[float] = []
    module = import_module("sfumato.cli.sweep")
    monkeypatch.setattr(module, "_sweep", lambda _, told: starts.extend(c["start"] for _, c in told))
    assert run("sweep", "strength", "in.png", "-o", "s.png", "--amounts", "0.1,0.6,0.8,0.9").exit_code == 0
    assert [int(start * 50) for start in starts] == [45, 20, 10, 5]


@pytest.mark.timeout(400)
def test_no_pairing_costs_more_than_it_may(run: Run) -> None:
    result = run("bench", "cost", "--steps", 2, "--threads", 1)
    assert result.exit_code == 0, result.output
    assert " 0 above their bound." in result.stdout
    assert "ABOVE" not in result.stdout
    lines = [line for line in result.stdout.splitlines() if line.endswith(" ok")]
    assert lines
    assert all(line.count(")  ") == 2 for line in lines)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("attention", "in.png", *PROMPT, "--word", "apple", "-o", "a.jpg"), "cannot hold a figure"),
        (("attention", "in.png", *PROMPT, "--word", "zebra", "-o", "a.png", *SMALL), "'zebra'"),
        (("elbo", "in.png", "--curve", "c.txt"), "Use .csv or .json"),
        (("sweep", "strength", "in.png", "-o", "s.png", "--amounts", "2"), "numbers from 0 to 1"),
        (("sweep", "strength", "in.png", "-o", "s.png", "--amounts", "0,1"), "not one step"),
        (("mask", "in.png", "--method", "nope", "-o", "m.png"), "no masker 'nope'"),
    ],
)
def test_what_cannot_be_shown_is_one_sentence(run: Run, words: tuple[Any, ...], said: str) -> None:
    result = run(*words)
    assert result.exit_code == 2, result.output
    assert said in result.stderr
    assert result.stderr.count("\n") == 1


def test_every_method_that_comes_with_it_has_a_bound() -> None:
    registry = load_plugins()
    assert registry.inverters.keys() <= INVERTERS.keys()
    assert registry.editors.keys() <= EDITORS.keys()
    assert all(bound.section.startswith("§") for bound in (*INVERTERS.values(), *EDITORS.values()))


def test_the_bounds_are_those_of_the_table_at_50_steps() -> None:
    line = Line("direct", "p2p", 50)
    assert line.bound == (Cost(50), Cost(150))
    assert Line("ddim", "p2p", 50).bound == (Cost(50), Cost(200))
    assert Line("", "blended", 50).bound == (Cost(), Cost(76))
    assert Line("null_text", "reprompt", 50).bound == (Cost(700, 500), Cost(100))
    assert Line("style", "controlnet", 50).bound == (Cost(1271, 1071), Cost(100, 0, 100))


def test_a_line_holds_only_within_its_bound_and_with_a_free_second_edit() -> None:
    assert Line("direct", "p2p", 10, Cost(10), Cost(30)).holds
    assert not Line("direct", "p2p", 10, Cost(10), Cost(31)).holds
    assert not Line("direct", "p2p", 10, Cost(10), Cost(30), second=Cost(1)).holds
    assert Line("direct", "of a stranger", 10, Cost(10), Cost(999)).holds
    assert not within(Cost(1, 1, 0), Cost(1, 0, 0))


def test_what_a_model_cannot_do_is_a_line_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    from sfumato.pairing import PairingError

    class Shop:
        registry = load_plugins()
        store = type("Store", (), {"clear": lambda self: None})()

        @staticmethod
        def describe(name: str) -> Any:
            return Shop.registry.models["starter"]

    def refuse(job: Any, workshop: Any) -> Any:
        raise PairingError("It needs another model.")

    lines = list(measured(Shop(), "starter", 2, refuse))  # pyright: ignore
    assert len(lines) == len(list(pairings(Shop.registry)))
    assert {line.refusal for line in lines} == {"It needs another model."}
