"""`sfumato bench edits`: a folder in, tables and a page out, and every obstacle one sentence."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sfumato.benchmark.cases import Case
from sfumato.benchmark.folder import Drawn, write_cases
from sfumato.benchmark.judge import Expected, Reading
from sfumato.benchmark.masks import encode_runs
from sfumato.benchmark.session import Session, Step
from sfumato.cli import bench_edits, bench_running
from sfumato.plugins import load_plugins

Run = Callable[..., Any]
SMALL = ("--steps", 2, "--threads", 1)
SIDE = 128


@pytest.fixture
def cases(tmp_path: Path) -> Path:
    """Three cases of two types, at the size of the built-in model."""
    rng = np.random.default_rng(0)
    area = np.zeros((SIDE, SIDE), np.bool_)
    area[32:96, 32:96] = True
    drawn = []
    for number in range(3):
        source = rng.integers(60, 200, (8, 8, 3), np.uint8).repeat(16, 0).repeat(16, 1)
        truth = np.where(area[..., None], np.array([200, 30, 30], np.uint8), source)
        case = Case(
            id=f"case-{number}",
            picture=Path(),
            size=(SIDE, SIDE),
            source="a green apple",
            target="a red apple",
            kind=str(1 + number % 2),
            blended=("apple", "apple"),
            mask=encode_runs(area),
            expected=(Expected("colour", "red"),),
        )
        drawn.append(Drawn(case, source, truth))
    write_cases(tmp_path / "cases", drawn)
    return tmp_path / "cases"


def nothing(*_: Any) -> Iterator[Step]:
    """A run without a step."""
    yield from ()


def rows_of(name: str) -> list[dict[str, str]]:
    with (Path("out") / name).open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


class Judge:
    """Sees a red apple everywhere."""

    name = "test judge"

    def read(self, pixels: np.ndarray) -> list[Reading]:
        return [Reading(("apple", None), ("red", None), "green")] * len(pixels)


def test_a_folder_is_measured_once(run: Run, cases: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_edits, "load_reader", lambda folder: Judge())
    words = ("bench", "edits", cases, "-o", "out", "--judge", ".", "--per-type", 1, *SMALL)
    words = (*words, "--pairing", "direct+reprompt", "--pairing", "blended", "--pairing", "instruct_pix2pix")
    words = (*words, "--model", "starter")
    first = run(*words)
    assert first.exit_code == 0, first.output
    assert "Attributes read by test judge." in first.stdout
    assert "instruct_pix2pix was not run: InstructPix2Pix needs a model trained" in first.stdout
    assert "6 edits were made now." in first.stdout
    rows = {row["pairing"]: row for row in rows_of("table.csv")}
    assert list(rows) == ["identity", "vae", "truth", "direct+reprompt", "blended", "instruct_pix2pix"]
    assert {row["cases"] for row in rows.values()} == {"2", "0"}
    assert rows["blended"]["mse_unedit_part"] == "0.0"
    assert (rows["blended"]["psnr_unedit_part"], rows["blended"]["exact"]) == ("exact", "2.0")
    assert float(rows["blended"]["decoded_psnr_unedit_part"]) < 100
    assert rows["direct+reprompt"]["inversion_rows"] == "2.0"
    assert rows["direct+reprompt"]["attributes_right"] == "1.0"
    assert len(rows_of("cases.csv")) == 10
    (name,) = {row["processor"] for row in rows_of("cases.csv")} - {""}
    assert f"Times are of one kind of machine: {name}." in first.stdout
    assert json.loads(Path("out/recipes.json").read_text())[0]["steps"] == 2
    assert "<!doctype html>" in Path("out/index.html").read_text()
    assert not list(Path("out/cache").rglob("*.safetensors")), "inversions of a run that ended are of no use"
    second = run(*words, "--markdown")
    assert second.exit_code == 0, second.output
    assert "- Attributes read by test judge." in second.stdout
    assert "\n| pairing | cases | PSNR | exact |" in second.stdout
    assert "| `blended` | 2 |" in second.stdout
    assert Path("out/results.jsonl").read_text().count("\n") == 10, "nothing was done twice"


def test_two_processes_measure_the_same(run: Run, cases: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Nothing is made twice, no process says anything of its own, figures and bits are equal."""
    told: dict[str, list[Any]] = {}
    for out, *options in (("here",), ("spread", "--processes", 2)):
        result = run(
            "bench", "edits", cases, "-o", out, "--pairing", "direct+reprompt", "--cases", 2, *SMALL, *options
        )
        assert result.exit_code == 0, result.output
        assert "4 edits were made now." in result.stdout
        with Path(out, "cases.csv").open(encoding="utf-8") as file:
            rows = [
                {name: cell for name, cell in row.items() if "seconds" not in name}
                for row in csv.DictReader(file)
            ]
        pictures = {path.relative_to(out): path.read_bytes() for path in Path(out, "pictures").rglob("*.*")}
        told[out] = [sorted(rows, key=lambda row: (row["pairing"], row["case"])), pictures]
    assert capfd.readouterr().err == ""
    assert told["here"] == told["spread"]


def interrupt() -> None:
    raise KeyboardInterrupt


def terminate() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.parametrize("stop", [interrupt, terminate])
def test_a_run_that_is_stopped_says_how_to_go_on(
    run: Run, cases: Path, monkeypatch: pytest.MonkeyPatch, stop: Callable[[], None]
) -> None:
    whole, handler = Session.run, signal.getsignal(signal.SIGTERM)

    def stopped(session: Session, *given: Any) -> Iterator[Step]:
        for number, step in enumerate(whole(session, *given)):
            if number == 4:
                stop()
            yield step

    words = ("bench", "edits", cases, "-o", "out", "--pairing", "ddim_naive", "--cases", 2, *SMALL)
    with monkeypatch.context() as patch:
        patch.setattr(Session, "run", stopped)
        result = run(*words)
    assert result.exit_code == 130
    assert "Stopped. What was made is kept in out; the same command goes on." in result.stderr
    assert Path("out/index.html").exists()
    assert signal.getsignal(signal.SIGTERM) is handler
    again = run(*words)
    assert again.exit_code == 0, again.output
    assert "not used" not in again.stderr
    lines = [json.loads(line) for line in Path("out/results.jsonl").read_text().splitlines()]
    assert len({line["key"] for line in lines}) == len(lines) == 8
    monkeypatch.setattr(Session, "run", nothing)
    other = run(*words, "--precision", "bf16")
    assert "2 edits made with precision float32 are not used; this run has precision bf" in other.stderr
    assert "Say --precision fp32 to use them." in other.stderr


def test_without_a_terminal_lines_say_how_far_it_is_and_tables_are_written_meanwhile(
    run: Run, cases: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written, whole = list[int](), bench_edits.publish
    words = ("bench", "edits", cases, "-o", "out", "--pairing", "ddim_naive", "--cases", 2, *SMALL)

    def noting(*given: Any) -> Any:
        written.append(len(given))
        return whole(*given)

    monkeypatch.setattr(bench_edits, "publish", noting)
    monkeypatch.setattr(bench_running, "LINES", 0.0)
    monkeypatch.setattr(bench_running, "TABLES", 0.0)
    result = run(*words)
    assert result.exit_code == 0, result.output
    told = [line for line in result.stderr.splitlines() if "edits done" in line]
    assert told[0] == "1 of 8 edits done; failed so far: 0."
    assert re.fullmatch(r"8 of 8 edits done, about \d+ s left; failed so far: 0\.", told[-1])
    assert len(written) == 8 + 1
    monkeypatch.setattr(bench_running, "LINES", 60.0)
    monkeypatch.setattr(bench_running, "TABLES", 600.0)
    assert "edits done" not in run(*words).stderr
    assert len(written) == 8 + 2


def test_a_report_makes_nothing(run: Run, cases: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ("bench", "edits", cases, "-o", "out", "--pairing", "ddim_naive", *SMALL)
    refused = run(*words, "--report-only")
    assert refused.exit_code == 2
    assert "out holds no results." in refused.stderr
    assert run(*words, "--cases", 1).exit_code == 0
    kept = Path("out/results.jsonl").read_bytes()
    Path("out/table.csv").unlink()
    report = run(*words, "--report-only")
    assert report.exit_code == 0, report.output
    assert "0 edits were made now." in report.stdout
    assert {row["pairing"]: row["cases"] for row in rows_of("table.csv")}["ddim_naive"] == "1"
    assert Path("out/results.jsonl").read_bytes() == kept
    before = Path("out/table.csv").read_bytes()
    other = run(*words, "--report-only", "--seed", 5)
    assert other.exit_code == 2
    assert "Nothing there can be used" in other.stderr
    assert Path("out/table.csv").read_bytes() == before


def test_a_bad_case_is_told_and_the_rest_is_run(run: Run, cases: Path) -> None:
    next((cases / "annotation_images").rglob("case-1.webp")).unlink()
    words = ("bench", "edits", cases, "-o", "out", "--pairing", "ddim_naive", "--cases", 1, *SMALL)
    result = run(*words)
    assert result.exit_code == 0, result.output
    assert "Case case-1 is not used: Its picture 2_add_object/case-1.webp is missing." in result.stderr


def test_the_set_that_comes_along_is_measured_without_a_folder(run: Run) -> None:
    words = ("-o", "out", "--pairing", "ddim_naive", "--cases", 1, *SMALL)
    result = run("bench", "edits", *words)
    assert result.exit_code == 0, result.output
    assert "Cases in the folder: 300." in result.stdout
    assert "is not used" not in result.stderr
    again = run("bench", "edits", "world", *words)
    assert again.stdout.splitlines()[-1].startswith("0 edits were made now.")


def test_a_pairing_with_a_model_of_its_own_has_that_models_settings(
    run: Run, cases: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the options leave open is said by the pairing's model, not by the one the options chose."""
    monkeypatch.setattr(Session, "run", nothing)
    folder = shutil.copytree(load_plugins().checkpoints["starter"].folder, tmp_path / "few")
    (folder / "sfumato.json").unlink()
    index = folder / "model_index.json"
    told = json.loads(index.read_text())
    told["scheduler"] = ["diffusers", "LCMScheduler"]
    index.write_text(json.dumps(told))
    entries = [
        {"name": "own", "editor": "ddim_naive", "model": str(folder)},
        {"name": "said", "editor": "ddim_naive", "model": str(folder), "steps": 3, "solver": "ddim"},
        {"name": "starter", "editor": "ddim_naive"},
    ]
    Path("p.json").write_text(json.dumps(entries))
    words = ("bench", "edits", cases, "-o", "out", "--pairings", "p.json", "--cases", 1, "--threads", 1)
    result = run(*words, "--guidance", 2)
    assert result.exit_code == 0, result.output
    kept = {each["name"]: each for each in json.loads(Path("out/recipes.json").read_text())}
    settings = {name: (each["steps"], each["solver"], each["guidance"]) for name, each in kept.items()}
    assert settings == {"own": (4, "lcm", 2), "said": (3, "ddim", 2), "starter": (50, "ddim", 2)}


BAD: list[tuple[tuple[object, ...], str]] = [
    (("nowhere",), "There is no folder nowhere."),
    (("cases", "--pairing", "p2p"), "say which, such as direct+p2p"),
    (("cases", "--pairing", "direct+nothing"), "There is no editor 'nothing'."),
    (("cases", "--pairing", "instruct_pix2pix"), "None of these pairings can be run. instruct_pix2pix: "),
    (("cases", "--pairings", "none.json"), "none.json cannot be read"),
    (("cases", "--clip", "none"), "There is no folder none."),
    (("cases", "--structure", "none"), "There is no folder none."),
    (("cases", "--judge", "none"), "none"),
    (("cases", "--model", "none"), "none"),
]


def test_two_pairings_of_one_name_are_refused(run: Run, cases: Path) -> None:
    Path("p.json").write_text('[{"name": "direct+p2p"}, {"name": "a"}]')
    words = ("--pairing", "direct+p2p", "--pairings", "p.json")
    result = run("bench", "edits", cases, "-o", "out", *words, *SMALL)
    assert result.exit_code == 2
    assert "There are two pairings called 'direct+p2p'." in result.stderr


@pytest.mark.parametrize(("words", "why"), BAD)
def test_what_cannot_be_is_refused_before_anything_is_run(
    run: Run, cases: Path, words: tuple[object, ...], why: str
) -> None:
    result = run("bench", "edits", *words, "-o", "out", *SMALL)
    assert result.exit_code == 2, result.output
    assert why in result.stderr
    assert not Path("out").exists(), "a refused run leaves nothing behind"


def test_results_that_are_a_file_are_refused(run: Run, cases: Path) -> None:
    result = run("bench", "edits", cases, "-o", "in.png", *SMALL)
    assert result.exit_code == 2
    assert "in.png is a file" in result.stderr
