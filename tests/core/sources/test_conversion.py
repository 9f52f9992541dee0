"""Pickles are opened by a confined child alone: weights come through, payloads are never run."""

from __future__ import annotations

import importlib
import json
import os
import pickle
import runpy
import shutil
import subprocess
import sys
import timeit
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from sfumato.errors import InputError, ModelError
from sfumato.models.conversion import convert
from sfumato.models.shelf import Origin, Shelf
from sfumato.settings import Settings
from tests.core.sources.conftest import STARTER


class Call:
    """Unpickles by calling a function."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


def payloads(marker: Path) -> dict[str, Any]:
    """Ways to run something when a pickle is opened; each makes the marker if it gets through."""
    touch = f"touch {marker}"
    python = f"open({str(marker)!r}, 'w')"
    script = marker.with_name("payload.py")
    script.write_text(python)
    return {
        "os.system": Call(os.system, touch),
        "os.spawnlp": Call(os.spawnlp, os.P_WAIT, "touch", "touch", str(marker)),
        "os.open": Call(os.open, str(marker), os.O_CREAT),
        "os.mkdir": Call(os.mkdir, str(marker)),
        "os.symlink": Call(os.symlink, "/", str(marker)),
        "subprocess.call": Call(subprocess.call, ["touch", str(marker)]),
        "subprocess.Popen": Call(subprocess.getoutput, touch),
        "runpy": Call(runpy.run_path, str(script)),
        "builtins.eval": Call(eval, python),
        "builtins.exec": Call(exec, python),
        "builtins.open": Call(open, str(marker), "w"),
        "import": Call(importlib.import_module, "payload"),
        "pathlib": Call(Path.write_text, marker, "boom"),
        "shutil": Call(shutil.copyfile, str(script), str(marker)),
        "timeit": Call(timeit.timeit, python, "pass", timeit.default_timer, 1),
        "numpy": Call(np.save, str(marker), np.zeros(1)),
        "numpy.memmap": Call(np.memmap, str(marker), "uint8", "w+", 0, (1,)),
        "torch.save": Call(torch.save, 1, str(marker)),
        "torch.hub": Call(partial(torch.hub.load, source="local"), str(marker.parent), "boom"),
        "pickle": Call(pickle.loads, pickle.dumps(Call(os.system, touch))),
    }


@pytest.fixture
def marker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "payload"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    marker = folder / "marker"
    (folder / "hubconf.py").write_text(f"def boom(*_): open({str(marker)!r}, 'w')")
    return marker


def made(marker: Path) -> bool:
    """Whether something was made, and clear it away."""
    found = [path for path in marker.parent.glob("marker*") if path.exists() or path.is_symlink()]
    for path in found:
        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
    sys.modules.pop("payload", None)
    return bool(found)


def checkpoints(marker: Path) -> dict[str, Path]:
    """Each payload among weights, in torch's own form and as a bare pickle."""
    paths = {}
    for number, (name, payload) in enumerate(payloads(marker).items()):
        paths[name] = marker.with_name(f"{number}.ckpt")
        contents = {"state_dict": {"w": torch.ones(2), "x": payload}}
        if number % 2:
            torch.save(contents, paths[name])
        else:
            paths[name].write_bytes(pickle.dumps(contents, protocol=2))
    return paths


def test_no_payload_is_run(marker: Path) -> None:
    paths = checkpoints(marker)
    assert len(paths) >= 20
    program = """
import json, sys
from pathlib import Path
from sfumato.models.unpickling import confine, tensors_of
confine(1_000_000)
for path in sys.argv[1:]:
    try:
        print(json.dumps(["read", sorted(tensors_of(Path(path)))]), flush=True)
    except Exception as error:
        print(json.dumps(["refused", str(error)]), flush=True)
"""
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, paths.values())], capture_output=True, text=True, check=True
    )
    answers = dict(zip(paths, map(json.loads, done.stdout.splitlines()), strict=True))
    assert not made(marker)
    assert {name: how for name, (how, _) in answers.items()} == dict.fromkeys(paths, "refused")


@pytest.mark.filterwarnings("ignore")
def test_each_payload_would_run_in_an_open_door(marker: Path) -> None:
    """Else the test above could not fail."""
    for name, payload in payloads(marker).items():
        try:
            pickle.loads(pickle.dumps(payload))
        except Exception as error:
            print(name, error)
        assert made(marker), f"{name} does nothing"


def test_the_child_gives_up_network_programs_and_memory() -> None:
    program = """
import os, socket, subprocess, torch
from sfumato.models.unpickling import confine
confine(1_000_000)
def refused(call):
    try:
        call()
    except (PermissionError, RuntimeError, MemoryError):
        return
    raise SystemExit(f"{call} went through")
refused(lambda: socket.socket())
refused(lambda: subprocess.run(["true"]))
refused(lambda: os.system("true"))
refused(os.fork)
refused(lambda: torch.zeros(4 * 1024**3, dtype=torch.uint8))
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def left(settings: Settings) -> list[str]:
    folder = settings.data_dir / "models"
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_a_payload_is_refused_by_name_and_leaves_nothing(settings: Settings, marker: Path) -> None:
    path = checkpoints(marker)["os.spawnlp"]
    with pytest.raises(ModelError, match=r"more than weights \(it asks for os\.spawnlp\)") as told:
        convert(path, settings)
    assert "\n" not in str(told.value)
    assert not made(marker)
    assert left(settings) == []


def test_weights_come_through_whole(settings: Settings, tmp_path: Path) -> None:
    weights = {"a.weight": torch.randn(3, 4), "b": torch.arange(5), "half": torch.randn(4).half()}
    weights["tied"] = weights["a.weight"]
    path = tmp_path / "old.ckpt"
    torch.save({"state_dict": weights, "global_step": 7, "optimizer": [torch.ones(1)]}, path)
    place = convert(path, settings)
    assert place == settings.data_dir / "models" / "old.safetensors"
    read = load_file(place)
    assert read.keys() == weights.keys()
    assert all(torch.equal(read[name], weights[name]) for name in weights)
    assert left(settings) == ["old.safetensors"]
    (model,) = Shelf(settings).list()
    assert (model.place, model.origin) == (place, Origin.OWN)
    with pytest.raises(InputError, match="there already"):
        convert(path, settings)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "cannot be read"),
        (b"\x80\x02}q\x00", "more than weights|cannot be read"),
        (pickle.dumps({"a": 1}, protocol=2), "cannot be read"),
    ],
)
def test_a_damaged_checkpoint_is_a_sentence(
    settings: Settings, tmp_path: Path, data: bytes, said: str
) -> None:
    (tmp_path / "bad.ckpt").write_bytes(data)
    with pytest.raises(ModelError, match=said):
        convert(tmp_path / "bad.ckpt", settings)
    assert left(settings) == []


def test_a_truncated_checkpoint_is_a_sentence(settings: Settings, tmp_path: Path) -> None:
    path = tmp_path / "cut.ckpt"
    torch.save({"state_dict": {"w": torch.randn(1000)}}, path)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(ModelError, match=r"cut\.ckpt cannot be read"):
        convert(path, settings)


def test_a_folder_of_pickles_becomes_a_model(settings: Settings, tmp_path: Path) -> None:
    folder = tmp_path / "old-model"
    shutil.copytree(STARTER, folder)
    for part, name in (("vae", "diffusion_pytorch_model"), ("text_encoder", "pytorch_model")):
        (safe,) = (folder / part).glob("*.safetensors")
        torch.save(load_file(safe), folder / part / f"{name}.bin")
        safe.unlink()
    place = convert(folder, settings)
    (model,) = Shelf(settings).list()
    assert (model.place, model.problem, model.size) == (place, "", 128)
    assert (folder / "vae" / "diffusion_pytorch_model.bin").is_file()


def test_what_is_no_pickle_is_not_converted(settings: Settings, tmp_path: Path) -> None:
    for name in ("gone.ckpt", "model.safetensors"):
        if "gone" not in name:
            (tmp_path / name).write_bytes(b"x")
        with pytest.raises(InputError, match="no pickled checkpoint"):
            convert(tmp_path / name, settings)
