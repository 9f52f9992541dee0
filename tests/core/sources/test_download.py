"""A download by name: what is asked for comes whole, goes on after a break, and is not there before it is."""

from __future__ import annotations

import json
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sfumato.errors import InputError, ModelError, SfumatoError, StorageError
from sfumato.models.download import ask, download
from sfumato.models.places import kept
from sfumato.models.shelf import Shelf
from sfumato.settings import Settings
from tests.core.sources.conftest import STARTER
from tests.core.sources.hub import COMMIT, Hub

REPO = "artist/landscapes"
UNET = "unet/diffusion_pytorch_model.safetensors"
HALF = 4 * 64 * 1024


def starter_files() -> dict[str, bytes]:
    """What loading reads of the starter, without its card, notice and sample pictures."""
    index = "model_index.json"
    parts = [STARTER / name for name in json.loads((STARTER / index).read_text("utf-8"))]
    paths = [STARTER / index, *(path for part in parts if part.is_dir() for path in part.iterdir())]
    files = {path.relative_to(STARTER).as_posix(): path.read_bytes() for path in paths}
    return files | {UNET: files[UNET][: 2 * HALF]}  # long enough to break


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    hub = Hub(repos={REPO: starter_files()})
    server = hub.start()
    monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    yield hub
    server.shutdown()
    server.server_close()


def fetched(settings: Settings, **options: Any) -> Path:
    steps = download(ask(REPO, **options), settings)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def left_over(settings: Settings) -> list[str]:
    """What else lies where downloads are kept."""
    folder = settings.data_dir / "models"
    return [path.name for path in folder.glob("*")] if folder.is_dir() else []


def test_the_size_is_known_before_anything_comes(hub: Hub, settings: Settings) -> None:
    offer = ask(REPO)
    assert (offer.commit, offer.bytes) == (COMMIT, sum(map(len, hub.repos[REPO].values())))
    assert not any("resolve" in path for _, path in hub.asked)
    assert left_over(settings) == []


def test_a_download_is_whole_listed_and_used_in_place(hub: Hub, settings: Settings) -> None:
    hub.repos[REPO][UNET] = (STARTER / UNET).read_bytes()
    place = fetched(settings)
    for name, data in hub.repos[REPO].items():
        assert (place / name).read_bytes() == data
    assert left_over(settings) == [place.name]
    (model,) = Shelf(settings).list()
    assert (model.name, model.place, model.size, model.problem) == (REPO, place, 128, "")
    assert COMMIT in Shelf(settings).inspect(REPO).source


def test_only_data_of_the_parts_comes(hub: Hub, settings: Settings) -> None:
    wanted = set(hub.repos[REPO])
    hub.repos[REPO] |= {
        "unet/diffusion_pytorch_model.bin": b"pickle",
        "unet/diffusion_pytorch_model.fp16.safetensors": b"half",
        "unet/diffusion_pytorch_model.non_ema.safetensors": b"more",
        "unet/modelling.py": b"import os",
        "safety_checker/model.safetensors": b"not used",
        "v1-5-pruned.safetensors": b"all in one",
        "v1-5-pruned.ckpt": b"pickle",
        "pipeline.py": b"import os",
        ".gitattributes": b"x",
        "../outside.json": b"{}",
        "unet/..": b"{}",
        "LICENSE": b"Do as you like.",
    }
    assert {file.name for file in ask(REPO).files} == wanted | {"LICENSE"}
    assert {file.name for file in ask(REPO, files=["*"]).files}.isdisjoint(
        {"pipeline.py", "../outside.json", "v1-5-pruned.ckpt", "unet/modelling.py", "unet/.."}
    )


def test_half_precision_weights_come_where_there_are_no_others(hub: Hub) -> None:
    files = hub.repos[REPO]
    for name in [name for name in files if name.endswith(".safetensors")]:
        files[name.replace(".safetensors", ".fp16.safetensors")] = files.pop(name)
    assert sum(file.name.endswith(".fp16.safetensors") for file in ask(REPO).files) == 3


def test_a_short_break_is_mended_on_the_way(hub: Hub, settings: Settings) -> None:
    hub.cut[UNET] = [HALF]
    place = fetched(settings)
    assert (place / UNET).read_bytes() == hub.repos[REPO][UNET]
    assert hub.ranges == [f"{UNET} {HALF}"]


def test_a_line_that_breaks_half_way_lists_nothing_and_goes_on_next_time(
    hub: Hub, settings: Settings
) -> None:
    hub.cut[UNET] = [HALF, -1]
    with pytest.raises(SfumatoError, match=r"line broke.*goes on where it broke off"):
        fetched(settings)
    assert kept(settings) == ()
    assert Shelf(settings).list() == ()
    hub.ranges.clear()
    before = len(hub.asked)
    place = fetched(settings)
    assert (place / UNET).read_bytes() == hub.repos[REPO][UNET]
    assert hub.ranges == [f"{UNET} {HALF}"]
    assert not any("tokenizer" in path for _, path in hub.asked[before:]), "what was there came again"
    assert left_over(settings) == [place.name]


def test_stopping_half_way_leaves_nothing_listed(hub: Hub, settings: Settings) -> None:
    steps = download(ask(REPO), settings)
    next(steps)
    steps.close()
    assert kept(settings) == ()
    assert fetched(settings).is_dir()


@pytest.mark.parametrize("name", [UNET, "unet/config.json"])
def test_a_file_with_another_checksum_is_thrown_away(hub: Hub, settings: Settings, name: str) -> None:
    data = hub.repos[REPO][name]
    hub.swapped[name] = bytes([data[0] ^ 1]) + data[1:]
    with pytest.raises(ModelError, match=f"{name} is not what the hub said"):
        fetched(settings)
    assert kept(settings) == ()
    hub.swapped.clear()
    assert (fetched(settings) / name).read_bytes() == data


def test_a_disk_that_is_too_small_is_said_before_anything_comes(
    hub: Hub, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: _Usage())
    with pytest.raises(StorageError, match=r"0\.0 GB free"):
        fetched(settings)
    assert not any("resolve" in path for _, path in hub.asked)


class _Usage:
    free = 1000


def test_a_disk_that_fills_up_on_the_way_is_a_sentence(hub: Hub, settings: Settings) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.getsignal(signal.SIGXFSZ)
    assert before == signal.SIG_IGN  # Python's own choice; the write fails instead
    resource.setrlimit(resource.RLIMIT_FSIZE, (HALF, hard))  # the child inherits it
    try:
        with pytest.raises(StorageError, match=r"disk is full.*What has come is kept"):
            fetched(settings)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert kept(settings) == ()
    assert (fetched(settings) / UNET).read_bytes() == hub.repos[REPO][UNET]


@pytest.mark.parametrize(
    ("repo", "revision", "said"),
    [
        ("nobody/nothing", "main", "no model 'nobody/nothing'"),
        (REPO, "v9", "no revision 'v9'"),
        ("not a name/../x", "main", "no model 'not a name"),
    ],
)
def test_what_the_hub_does_not_have_is_a_sentence(hub: Hub, repo: str, revision: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        ask(repo, revision=revision)


def test_pickles_alone_are_not_downloaded(hub: Hub, settings: Settings) -> None:
    hub.repos[REPO] = {"model_index.json": b"{}", "unet/diffusion_pytorch_model.bin": b"x"}
    with pytest.raises(ModelError, match="pickled weights or code only"):
        ask(REPO)
    hub.repos[REPO] = {"README.md": b"hello"}
    with pytest.raises(ModelError, match="no model in diffusers form"):
        ask(REPO)


def test_without_a_network_it_is_a_sentence(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")  # nobody listens there
    with pytest.raises(SfumatoError, match="hub cannot be reached"):
        ask(REPO)
    assert left_over(settings) == []


def test_this_process_stays_offline() -> None:
    program = """
import os, socket
def never(*_): raise AssertionError("the network was used")
socket.socket.connect = never
from sfumato.workshop import go_offline
go_offline()
import sfumato.models.download, sfumato.models.shelf, sys
assert "huggingface_hub" not in sys.modules
from huggingface_hub import constants
assert constants.HF_HUB_OFFLINE and constants.HF_HUB_DISABLE_TELEMETRY
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_the_other_way_of_transfer_is_off_and_nothing_is_told(hub: Hub, settings: Settings) -> None:
    fetched(settings)
    asked = {path for _, path in hub.asked}
    assert not any("xet" in path or "telemetry" in path for path in asked)
    assert all(path.startswith(("/api/models/", f"/{REPO}/resolve/", "/cdn/")) for path in asked)
