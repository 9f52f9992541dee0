"""The artwork is fetched, checked and cut; each thing that can be missing is one sentence."""

import errno
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors import SafetensorError
from starter_model import artwork, evaluate_stage
from starter_model.__main__ import main, seconds
from starter_model.artwork import SIDE, Sprites, fetch
from starter_model.photographs import crop, read_photograph, texture

from sfumato.errors import InputError, SfumatoError


def test_another_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / artwork.ARCHIVE).write_bytes(b"not it")
    with pytest.raises(InputError, match="not the artwork"):
        fetch(tmp_path)


def test_a_missing_npm_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(SfumatoError, match="npm is not installed"):
        fetch(tmp_path)


def test_a_failed_download_gives_npms_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: "npm")
    said = """npm error code ECONNREFUSED
npm error syscall connect
npm error errno ECONNREFUSED
npm error FetchError: request to http://127.0.0.1:9/x failed, reason: connect ECONNREFUSED 127.0.0.1:9
npm error     at ClientRequest.<anonymous> (minipass-fetch/lib/index.js:130:14)
npm error A complete log of this run can be found in: /root/.npm/_logs/2026-debug-0.log
"""
    failed = subprocess.CompletedProcess([], 1, "", said)
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(SfumatoError, match="reason: connect ECONNREFUSED"):
        fetch(tmp_path)


def test_sprites_come_in_every_colour_their_concept_can_take(sprites: Sprites) -> None:
    assert sprites.table.shape[1:] == (SIDE, SIDE, 4)
    assert {"apple", "apple/blue", "cat"} <= sprites.rows.keys()
    assert "cat/blue" not in sprites.rows
    np.testing.assert_array_equal(sprites.sprite("apple", "red"), sprites.sprite("apple", None))
    assert (sprites.sprite("apple", "blue") != sprites.sprite("apple", "red")).any()
    for row in sprites.table:
        assert row[..., 3].any(axis=0).sum() > 0.9 * SIDE or row[..., 3].any(axis=1).sum() > 0.9 * SIDE


def test_the_data_stage_is_asked_for_where_it_has_not_run(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="data stage"):
        Sprites.load(tmp_path)


def test_a_missing_photograph_package_is_named() -> None:
    with pytest.raises(InputError, match="no_such_package"):
        read_photograph("no_such_package/picture.png")


def test_crops_and_textures_are_pictures_of_the_size_asked_for() -> None:
    rng = np.random.default_rng(0)
    photograph = rng.integers(0, 255, (90, 120, 3), dtype=np.uint8)
    for side in (32, 64, 128):
        assert crop(photograph, side, rng).shape == (side, side, 3)
    made = [texture(64, rng) for _ in range(12)]
    assert all(picture.shape == (64, 64, 3) and picture.std() > 1 for picture in made)


def test_a_failure_ends_the_command_with_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / artwork.ARCHIVE).write_bytes(b"not it")
    monkeypatch.setattr(sys, "argv", ["starter_model", "data", "--state", str(tmp_path)])
    with pytest.raises(SystemExit, match="not the artwork"):
        main()


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (SafetensorError("Error while serializing: I/O error: No space left on device"), "the disk is full"),
        (shutil.Error([("a", "b", "[Errno 28] No space left on device: 'b'")]), "the disk is full"),
        (OSError(errno.EROFS, "Read-only file system", "/x"), "/x: Read-only file system"),
    ],
)
def test_what_libraries_cannot_write_is_one_sentence(
    error: Exception, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(evaluate_stage, "export_model", fail)
    monkeypatch.setattr(sys, "argv", ["starter_model", "export", "--state", str(tmp_path)])
    with pytest.raises(SystemExit, match=said) as ended:
        main()
    assert "Traceback" not in str(ended.value)


def test_a_state_that_cannot_be_made_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr(sys, "argv", ["starter_model", "export", "--state", str(tmp_path / "file" / "under")])
    with pytest.raises(SystemExit, match="could not be read or written"):
        main()


@pytest.mark.parametrize(
    ("text", "expected"), [("90s", 90), ("160m", 9600), ("1.5h", 5400), ("", float("inf"))]
)
def test_durations(text: str, expected: float) -> None:
    assert seconds(text) == expected


def test_no_duration_is_refused() -> None:
    with pytest.raises(InputError, match="no duration"):
        seconds("soon")
