"""Kept inversions come back bit for bit, never damaged, and never outgrow their place."""

from __future__ import annotations

import os
import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sfumato.diffusion.inversion import Inversion
from sfumato.diffusion.schedule import Grid
from sfumato.diffusion.store import InversionStore

MEGABYTE = 1024**2


def inversion(seed: int = 0, **changes: Any) -> Inversion:
    generator = torch.Generator().manual_seed(seed)
    x0 = torch.randn(1, 4, 8, 8, generator=generator)
    values: dict = {
        "x0": x0,
        "grid": Grid((601, 301, 1, 0)),
        "prompt": "ein Kätzchen 🐈",
        "trajectory": torch.randn(4, 4, 8, 8, generator=generator),
        "pin": True,
        "guidance": 2.5,
        "reconstruction": x0,
    }
    return Inversion(**values | changes)


@pytest.fixture
def store(tmp_path: Path) -> InversionStore:
    return InversionStore(tmp_path / "kept", MEGABYTE)


def test_what_is_kept_comes_back_bit_for_bit_after_a_restart(store: InversionStore) -> None:
    put = inversion(context=torch.randn(3, 5, 6), noise=torch.randn(3, 4, 8, 8))
    store.put("a", put)
    got = InversionStore(store.folder, MEGABYTE).get("a")
    assert got is not None
    for name in ("x0", "trajectory", "context", "noise", "reconstruction"):
        assert torch.equal(getattr(got, name), getattr(put, name))
    assert (got.grid, got.prompt, got.pin, got.guidance) == (put.grid, put.prompt, True, 2.5)


def test_what_was_not_kept_is_not_there(store: InversionStore) -> None:
    assert store.get("a") is None
    assert store.entries() == ()
    assert store.size == 0


def test_what_an_inversion_lacks_it_lacks_again(store: InversionStore) -> None:
    store.put("a", inversion(trajectory=None, reconstruction=None))
    got = store.get("a")
    assert got is not None
    assert got.trajectory is None
    assert got.reconstruction is None


@pytest.mark.parametrize("where", [0.0, 0.05, 0.5, 0.999])
def test_one_flipped_bit_anywhere_and_it_is_dropped(
    store: InversionStore, where: float, caplog: pytest.LogCaptureFixture
) -> None:
    store.put("a", inversion())
    (path,) = store.folder.iterdir()
    data = bytearray(path.read_bytes())
    data[int(where * len(data))] ^= 0x40
    path.write_bytes(data)
    got = store.get("a")
    if got is not None:  # the bit was in padding or a label nobody reads: then all else must hold
        assert torch.equal(got.x0, inversion().x0)
    else:
        assert not path.exists()
        assert "damaged" in caplog.text


@pytest.mark.parametrize("data", [b"", b"\0" * 8, b"{}", b"\xff" * 100])
def test_rubbish_is_dropped_and_listed_by_nobody(store: InversionStore, data: bytes) -> None:
    store.put("good", inversion())
    store.folder.joinpath("bad.safetensors").write_bytes(data)
    assert store.get("bad") is None
    store.folder.joinpath("bad.safetensors").write_bytes(data)
    assert [entry.key for entry in store.entries()] == ["good"]


def test_the_least_recently_used_goes_first(tmp_path: Path) -> None:
    probe = InversionStore(tmp_path / "probe", MEGABYTE)
    probe.put("a", inversion())
    store = InversionStore(tmp_path / "kept", int(probe.size * 2.5))
    for age, key in ((300, "a"), (200, "b")):
        store.put(key, inversion())
        path = store.folder / f"{key}.safetensors"
        os.utime(path, (path.stat().st_atime, path.stat().st_mtime - age))
    assert store.get("a") is not None
    store.put("c", inversion())
    assert {entry.key for entry in store.entries()} == {"a", "c"}
    assert store.size <= store.limit_bytes


def test_several_may_share_a_folder(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody reads half a file or trips over what another just removed, and the limit holds in the end."""
    monkeypatch.setattr("sfumato.files.atomic.os.fsync", lambda _: None)  # more of them in the same time
    wanted = [inversion(seed) for seed in range(5)]
    probe = InversionStore(tmp_path / "probe", MEGABYTE)
    probe.put("a", wanted[0])

    def use(number: int) -> None:
        store = InversionStore(tmp_path / "kept", int(probe.size * 2.5))
        draw = random.Random(number)
        for _ in range(700):
            seed = draw.randrange(len(wanted))
            if draw.random() < 0.5:
                store.put(str(seed), wanted[seed])
            elif (got := store.get(str(seed))) is not None:
                assert torch.equal(got.x0, wanted[seed].x0)
            assert len(store.entries()) <= 2 + 3, "each of three may add one before it makes room again"

    with ThreadPoolExecutor(3) as threads:
        list(threads.map(use, range(3)))
    assert not caplog.records
    assert InversionStore(tmp_path / "kept", 0).size <= probe.size * 2.5
    assert {path.suffix for path in (tmp_path / "kept").iterdir()} == {".safetensors"}


def test_what_is_too_large_is_not_kept_and_costs_nothing(tmp_path: Path) -> None:
    store = InversionStore(tmp_path / "kept", 100)
    store.put("a", inversion())
    assert store.get("a") is None


def test_a_place_that_cannot_be_written_costs_the_copy_only(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    InversionStore(blocked / "kept", MEGABYTE).put("a", inversion())
    assert "not kept" in caplog.text


def test_entries_say_what_is_kept_and_clear_forgets_it(store: InversionStore) -> None:
    store.put("a", inversion())
    (entry,) = store.entries()
    assert entry.prompt == "ein Kätzchen 🐈"
    assert entry.size == store.size > 0
    store.clear()
    assert store.entries() == ()


VALUES = st.dictionaries(st.text(max_size=8), st.integers() | st.text() | st.booleans(), max_size=6)


@given(VALUES, VALUES)
def test_keys_are_equal_exactly_when_their_parts_are(a: dict, b: dict) -> None:
    same = dict(reversed(a.items()))
    assert InversionStore.key(a) == InversionStore.key(same)
    if repr(sorted(a.items(), key=repr)) != repr(sorted(b.items(), key=repr)):
        assert InversionStore.key(a) != InversionStore.key(b)
