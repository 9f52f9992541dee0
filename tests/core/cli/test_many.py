"""Many pictures at once: each comes out as if it were alone, and what is there is not done again."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from sfumato import perform
from sfumato.cli import edit_task
from sfumato.cli.answers import counting
from sfumato.cli.lists import entries
from sfumato.cli.pictures import control_of
from sfumato.errors import InputError, StorageError
from sfumato.files.images import read_recipe
from sfumato.many.worker import Done

Run = Callable[..., Any]
WORDS = ("--source", "a red apple", "--target", "a green apple", "--steps", 1, "--threads", 1)


@pytest.fixture
def some(run: Run) -> Run:
    """Edit what is named into the folder `out`; `in` holds the pictures a.png, b.jpg and c.webp."""
    Path("in").mkdir()
    for seed, name in enumerate(("a.png", "b.jpg", "c.webp")):
        coarse = np.random.default_rng(seed).integers(0, 256, (8, 9, 3), np.uint8)
        Image.fromarray(coarse).resize((144, 128), Image.Resampling.BICUBIC).save(Path("in", name))
    return lambda *words: run("edit", "-o", "out", *WORDS, *words)


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The results of the tasks that were begun."""
    begun: list[str] = []
    real = edit_task.edit_one

    def noted(task: Any, workshop: Any) -> Any:
        begun.append(task.output)
        return real(task, workshop)

    monkeypatch.setattr("sfumato.cli.batch.edit_one", noted)
    return begun


def out() -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(Path("out").iterdir())}


def pixels(path: str) -> Any:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def test_a_folder_becomes_a_folder_and_each_is_as_if_alone(some: Run, run: Run, begun: list[str]) -> None:
    Path("in", "notes.md").write_text("no picture")
    result = some("in")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.splitlines()[-1] == "3 of 3 edited."
    first = out()
    assert list(first) == ["a.png", "b.jpg", "c.webp"]
    assert run("edit", "in/b.jpg", "-o", "alone.jpg", *WORDS).exit_code == 0
    assert Path("alone.jpg").read_bytes() == first["b.jpg"]

    Path("out", "b.jpg").unlink()
    result = some("in", "--seed", "0")
    assert result.stdout.splitlines()[-1] == "1 of 3 edited, 2 were already there."
    assert begun == ["a.png", "b.jpg", "c.webp", "b.jpg"]
    assert out() == first


def test_one_picture_goes_into_a_folder_that_is_there(some: Run) -> None:
    Path("out").mkdir()
    result = some("in/a.png")
    assert result.exit_code == 0, result.stderr
    assert list(out()) == ["a.png"]


def test_what_is_something_else_is_left_alone_unless_it_is_said(some: Run, begun: list[str]) -> None:
    Path("out").mkdir()
    Path("out", "a.png").write_bytes(Path("in", "a.png").read_bytes())
    result = some("in/a.png", "in/c.webp")
    assert result.exit_code == 1
    assert result.stdout.splitlines()[-1] == "1 of 2 edited, 1 failed."
    assert result.stderr == (
        "in/a.png: out/a.png is something else and was left alone. Say --overwrite, or another folder.\n"
    )
    assert out()["a.png"] == Path("in", "a.png").read_bytes()
    result = some("in/a.png", "in/c.webp", "--overwrite")
    assert result.stdout.splitlines()[-1] == "1 of 2 edited, 1 was already there."
    assert begun == ["c.webp", "a.png"]
    Path("in", "a.png").write_bytes(Path("in", "c.webp").read_bytes())
    assert "something else" in some("in/a.png", "in/c.webp").stderr, "the recipe is the same, the picture not"


def test_what_was_made_smaller_for_want_of_memory_is_tried_again(
    some: Run, begun: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    develop, calls = perform.develop, []

    def starved(*given: Any) -> Any:
        calls.append(given)
        if len(calls) == 1:
            raise MemoryError
        return develop(*given)

    monkeypatch.setattr(perform, "develop", starved)
    Path("out").mkdir()
    result = some("in/a.png")
    assert "a.png: There was not enough memory for about" in result.stdout
    smaller = out()
    result = some("in/a.png")
    assert result.stdout.splitlines()[-1] == "1 of 1 edited."
    assert begun == ["a.png", "a.png"]
    assert out() != smaller
    assert some("in/a.png").stdout.splitlines()[-1] == "0 of 1 edited, 1 was already there."


def test_no_room_for_temporary_files_is_a_sentence(
    some: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    result = some("in")
    assert result.exit_code == 1
    assert result.stderr.splitlines()[0] == (
        "in/a.png: Temporary files cannot be written: No such file or directory. Make room, or name another "
        "folder for them in TMPDIR."
    )
    assert "Traceback" not in result.stderr


def test_no_room_for_the_result_in_the_temporary_folder_is_a_sentence(
    some: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> Any:
        raise StorageError("a.png could not be written: the disk is full.", advice="Save to another place.")

    monkeypatch.setattr(edit_task, "write_results", full)
    assert some("in").stderr.startswith(
        "in/a.png: Temporary files cannot be written: a.png could not be written: the disk is full. Make "
        "room, or name another folder for them in TMPDIR."
    )


LONG = "x" * 300


@pytest.mark.parametrize(
    "words",
    [
        ("edit", "in", "-o", LONG),
        ("edit", "in/a.png", "-o", f"{LONG}.png"),
        ("edit", "in", "-o", "out", "--masks", LONG),
        ("edit", f"{LONG}.png", "in", "-o", "out"),
        ("bench", "edits", "-o", LONG),
        ("bench", "edits", LONG, "-o", "out"),
        ("bench", "edits", "-o", LONG, "--report-only"),
    ],
)
@pytest.mark.usefixtures("some")
def test_a_name_no_file_system_takes_is_a_sentence(run: Run, words: tuple[str, ...]) -> None:
    result = run(*words, *(WORDS if words[0] == "edit" else ()))
    assert result.exit_code == 2
    assert result.stderr.startswith("sfumato: ")
    assert "cannot be looked up: File name too long." in result.stderr


def test_a_result_by_a_name_that_is_too_long_is_refused_first(some: Run, begun: list[str]) -> None:
    Path("in", "l.csv").write_text(f"picture,output\na.png,{LONG}.png\nb.jpg,b.png\n")
    result = some("in/l.csv")
    assert result.exit_code == 2
    assert "cannot be looked up: File name too long" in result.stderr
    assert not begun


def test_a_line_goes_before_the_options(some: Run) -> None:
    mask = np.zeros((128, 144), np.uint8)
    mask[30:70, 40:90] = 255
    Image.fromarray(mask).save("in/m.png")
    lines: list[dict[str, Any]] = [
        {
            "picture": "a.png",
            "seed": 4,
            "output": "first",
            "set": {"cross_steps": 0.5},
            "weight": ["green=2"],
        },
        {"picture": "a.png", "target": "a blue apple", "output": "second.webp", "steps": None},
        {"picture": "b.jpg", "mask": "m.png", "method": "blended", "candidates": 2},
    ]
    Path("in", "list.jsonl").write_text("\n\n".join(json.dumps(line) for line in lines), encoding="utf-8")
    result = some("in/list.jsonl", "--format", "png")
    assert (result.exit_code, result.stderr) == (0, "")
    assert list(out()) == ["b-2.png", "b.png", "first.png", "second.png"]
    recipes = {name: read_recipe(f"out/{name}") for name in out()}
    found = {name: saved.recipe for name, saved in recipes.items() if saved is not None}
    assert (found["first.png"].seed, found["first.png"].editor_values) == (4, {"cross_steps": 0.5})
    assert found["first.png"].word_weights == {"green": 2.0}
    assert (found["second.png"].target, found["second.png"].seed) == ("a blue apple", 0)
    before, after = pixels("in/b.jpg"), pixels("out/b.png")
    assert np.array_equal(before[mask == 0], after[mask == 0])
    assert not np.array_equal(before[mask > 0], after[mask > 0])
    assert some("in/list.jsonl", "--format", "png").stdout == "0 of 3 edited, 3 were already there.\n"


def test_masks_are_found_by_name(some: Run) -> None:
    Path("masks").mkdir()
    for name, column in (("a", 40), ("b", 80), ("c", 100)):
        mask = np.zeros((128, 144), np.uint8)
        mask[30:70, column : column + 30] = 255
        Image.fromarray(mask).save(f"masks/{name}.png")
    result = some("in/a.png", "in/b.jpg", "--masks", "masks", "--method", "blended", "--format", "png")
    assert (result.exit_code, result.stderr) == (0, "")
    for picture, name in (("a.png", "a"), ("b.jpg", "b")):
        mask = pixels(f"masks/{name}.png")[..., 0]
        changed = (pixels(f"in/{picture}") != pixels(f"out/{name}.png")).any(-1)
        assert changed.any()
        assert not changed[mask == 0].any()
    Path("masks", "b.png").unlink()
    result = some("in", "--masks", "masks")
    assert result.exit_code == 2
    assert "in/b.jpg: There is no mask called b in masks." in result.stderr


def test_one_that_fails_stops_no_other_and_is_told_last(some: Run) -> None:
    Path("in", "b.jpg").write_bytes(b"no picture")
    result = some("in")
    assert result.exit_code == 1
    assert result.stdout.splitlines()[-1] == "2 of 3 edited, 1 failed."
    assert result.stderr.startswith("in/b.jpg: b.jpg is not a picture Sfumato can read.")
    assert list(out()) == ["a.png", "c.webp"]


def test_a_stop_keeps_what_was_finished(some: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(task: Any, workshop: Any) -> Any:
        if task.output == "b.jpg":
            raise KeyboardInterrupt
        return edit_task.Edited(((task.output, b"made"),), (), 0.0)

    monkeypatch.setattr("sfumato.cli.batch.edit_one", stopped)
    result = some("in")
    assert result.exit_code == 130
    assert "what was finished is kept" in result.stderr
    assert "1 of 3 edited, 2 not begun or not finished." in result.stdout
    assert result.stderr.endswith("Run the same command again for the rest.\n")
    assert out() == {"a.png": b"made"}


def test_a_stop_at_the_last_one_leaves_no_rest(some: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(tasks: Any, *_: Any, **__: Any) -> Iterator[Any]:
        yield from (Done(name, edit_task.Edited(((name, b"made"),), (), 0.0)) for name in tasks)
        raise KeyboardInterrupt

    monkeypatch.setattr("sfumato.cli.batch.spread", stopped)
    result = some("in")
    assert result.exit_code == 130
    assert result.stdout.splitlines()[-1] == "3 of 3 edited."
    assert "for the rest" not in result.stderr


def test_lines_of_two_lists_of_one_name_fail_each_for_itself(some: Run) -> None:
    for folder in ("one", "two"):
        Path(folder).mkdir()
        Path(folder, f"{folder}.png").write_bytes(b"no picture")
        Path(folder, "l.txt").write_text(f"{folder}.png")
    result = some("one/l.txt", "two/l.txt")
    assert result.stdout.splitlines()[-1] == "0 of 2 edited, 2 failed."
    assert all(f"{name}.png is not a picture" in result.stderr for name in ("one", "two"))


def test_failures_are_told_though_an_error_ends_all(some: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("in", "a.png").write_bytes(b"no picture")

    def full(path: Path) -> Any:
        raise StorageError(f"{path} could not be written.")

    monkeypatch.setattr("sfumato.cli.batch.write_atomically", full)
    result = some("in")
    assert result.exit_code == 1
    assert "in/a.png: a.png is not a picture" in result.stderr
    assert "out/b.jpg could not be written." in result.stderr
    assert result.stdout.splitlines()[-1] == "0 of 3 edited, 1 failed, 2 not begun or not finished."


@pytest.mark.parametrize(("method", "names"), [("ddim_naive", ["a-2.png", "a.png"]), ("p2p", ["a.png"])])
def test_several_candidates_of_one_picture_are_made_once(
    some: Run, begun: list[str], method: str, names: list[str]
) -> None:
    both = ("in/a.png", "--format", "png", "--candidates", "2", "--method", method, "--steps", "2")
    result = some(*both)
    assert (result.exit_code, result.stderr) == (0, "")
    first = out()
    assert list(first) == names, "not every method makes several"
    Path("out", "a.png").unlink()  # as when the run was stopped before the last of them
    result = some(*both)
    assert (result.exit_code, result.stderr) == (0, "")
    assert out() == first
    assert some(*both).stdout == "0 of 1 edited, 1 was already there.\n"
    assert begun == ["a.png", "a.png"]
    Path("out", "a.png").write_bytes(Path("in", "a.png").read_bytes())
    assert "a.png is something else" in some(*both).stderr


BAD_LISTS = {
    "l.jsonl": [
        ('{"picture": "a.png"}\n{"picture": 3}\n[]', ["line 2 of l.jsonl: A line: 'picture' cannot be 3"]),
        ('{"picture": "a.png"}\n\n{', ["line 3 of l.jsonl: It is no JSON object"]),
        ('{"source": "a"}\n{"picture": "a.png", "sauce": ""}\n{"picture": "a.png", "sauce": "a"}', [
            "line 1 of l.jsonl: It names no picture.",
            "line 3 of l.jsonl: A line has no parameter 'sauce'; it has picture, output,",
        ]),
        ('{"picture": "a.png", "set": {"nope": 1}}', ["line 1 of l.jsonl: ", "no parameter 'nope'"]),
        ('{"picture": "gone.png"}', ["line 1 of l.jsonl: There is no file in/gone.png."]),
        ('{"picture": "a.png", "mask": "gone.png"}', ["line 1 of l.jsonl: There is no file in/gone.png."]),
        ('{"picture": "a.png", "method": "blended"}', ["line 1 of l.jsonl: ", "needs a mask"]),
        ('{"picture": "a.png"}\n{"picture": "a.png", "seed": 2}', ["line 2 of l.jsonl: its result would be"]),
        ('{"picture": "a.png", "output": "../a.png"}', ["'../a.png' is no plain name"]),
    ],
    "l.csv": [
        ("picture,seed\na.png,1,2\na.png,x", ["line 2 of l.csv: It has 3 cells", "line 3 of l.csv: A line"]),
        ('picture,seed\n"a.png,1', ["It is no line of a table"]),
        ("picture,seed,seed\na.png,1,2", ["line 1 of l.csv: It names seed more than once."]),
        ("seed\n1", ["line 2 of l.csv: It names no picture."]),
        ("picture", ["l.csv names no picture."]),
    ],
    "l.txt": [
        ("# nothing\n\n", ["l.txt names no picture."]),
        ("gone.png", ["line 1 of l.txt: There is no file"]),
        ("~$scan.png", ["line 1 of l.txt: There is no file in/~$scan.png."]),
        ("prose " * 60, ["line 1 of l.txt: ", "cannot be looked up"]),
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "text", "said"), [(name, *each) for name, all_of_it in BAD_LISTS.items() for each in all_of_it]
)
def test_bad_lines_are_named_before_anything_is_run(
    some: Run, begun: list[str], name: str, text: str, said: list[str]
) -> None:
    Path("in", name).write_text(text, encoding="utf-8")
    result = some(f"in/{name}")
    assert result.exit_code == 2
    assert all(part in result.stderr for part in said), result.stderr
    assert "Traceback" not in result.stderr
    assert not begun
    assert not Path("out").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("in", "--format", "bmp"), "There is no format 'bmp'"),
        (("in", "--processes", "1000"), "There cannot be 1000 processes"),
        (("in", "--mask", "in/a.png", "--masks", "in"), "not both"),
        (("in", "--masks", "nowhere"), "There is no folder nowhere"),
        (("in", "--device", "toaster"), "'device'"),
        (("in", "-o", "out.png"), "need a folder"),
        (("in", "-o", "in", "--format", "webp"), "would be taken for pictures"),
        (("in/a.png", "-o", "out.png", "--processes", "-3"), "There cannot be -3 processes"),
        (("in", "in/a.png"), "in/a.png: its result would be called a.png, as that of in/a.png"),
        (("in/a.png", "in/b.jpg", "-o", "in", "--overwrite"), "would be written over"),
        (("empty",), "There is no picture in the folder empty"),
        (("nowhere", "in"), "There is no file nowhere"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_run(
    some: Run, begun: list[str], words: tuple[str, ...], said: str
) -> None:
    Path("empty").mkdir()
    result = some(*words)
    assert said in result.stderr
    assert result.exit_code == 2
    assert not begun


def test_tables_may_be_divided_by_semicolons_and_have_several_values_in_a_cell(tmp_path: Path) -> None:
    table = tmp_path / "l.csv"
    table.write_text(
        "\ufeffPicture;Set-Inverter;timestep_offset;target\r\n"
        "a.png;a=1|b=2;0;one, two\r\n;;;\r\n/b.png;;;\r\n",
        encoding="utf-8",
    )
    first, second = entries([table])
    assert (first.picture, first.where) == (tmp_path / "a.png", "line 2 of l.csv")
    assert first.said == {"inverter_values": ["a=1", "b=2"], "timestep_offset": 0, "target": "one, two"}
    assert (second.picture, second.said) == (Path("/b.png"), {})


def test_paths_in_a_list_start_at_its_folder(tmp_path: Path) -> None:
    told = {
        "picture": "a",
        "mask": "m",
        "control": ["edges=c", "d"],
        "lora": "l:0.5",
        "embedding": ["e"],
        "vae": "v",
    }
    (tmp_path / "mine").mkdir()
    lines = [told, {"picture": "a", "model": "mine"}, {"picture": "a", "model": "starter"}]
    (tmp_path / "l.jsonl").write_text("\n".join(json.dumps(line) for line in lines))
    entry, own, known = entries([tmp_path / "l.jsonl"])
    assert own.said == {"model": str(tmp_path / "mine")}
    assert known.said == {"model": "starter"}
    assert entry.said == {
        "mask": tmp_path / "m",
        "control": [f"edges={tmp_path / 'c'}", f"control={tmp_path / 'd'}"],
        "lora": [f"{tmp_path / 'l'}:0.5"],
        "embedding": [tmp_path / "e"],
        "vae": tmp_path / "v",
    }


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("edges=a.png", ("edges", "a.png")),
        ("a.png", ("control", "a.png")),
        ("edges=lr=1/a.png", ("edges", "lr=1/a.png")),
        ("runs/lr=1/a.png", ("control", "runs/lr=1/a.png")),
    ],
)
def test_a_folder_of_a_control_image_may_have_any_name(text: str, told: tuple[str, str]) -> None:
    assert control_of(text) == told


@pytest.fixture(scope="module")
def somewhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("lists")


@given(name=st.sampled_from(["l.txt", "l.csv", "l.jsonl"]), data=st.binary() | st.text().map(str.encode))
def test_a_list_of_anything_is_pictures_or_a_sentence(somewhere: Path, name: str, data: bytes) -> None:
    (somewhere / name).write_bytes(data)
    try:
        found = entries([somewhere / name])
    except InputError as refused:
        found, said = [], str(refused)
        assert name in said
    assert all(entry.where.endswith(f" of {name}") for entry in found)


def test_a_count_says_how_far_it_is_and_how_long_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[Any] = []
    now = iter((0.0, 10.0, 30.0, 33.0))
    monkeypatch.setattr("sfumato.cli.answers.time.monotonic", lambda: next(now))
    monkeypatch.setattr("sfumato.cli.answers.bar", lambda: nullcontext(lambda *words: shown.append(words)))
    with counting(3) as count:
        for _ in range(3):
            count()
    assert shown == [("0 of 3", 0, 3, None), ("1 of 3", 1, 3, 20), ("2 of 3", 2, 3, 15), ("3 of 3", 3, 3, 0)]


def test_another_process_gives_the_same_bits(some: Run, capfd: pytest.CaptureFixture[str]) -> None:
    assert some("in").exit_code == 0
    here = out()
    for name in ("a.png", "c.webp"):  # one of them stays, so that one worker is enough
        Path("out", name).unlink()
    Path("in", "c.webp").unlink()
    shutil.rmtree(
        "home/cache", ignore_errors=True
    )  # an inversion that was kept would be equal whatever happened
    assert not list(Path("home").rglob("*.safetensors"))
    result = some("in", "--processes", "2")
    assert capfd.readouterr().err == ""
    assert result.stdout.splitlines()[-1] == "1 of 2 edited, 1 was already there."
    assert out() == {name: data for name, data in here.items() if name != "c.webp"}
