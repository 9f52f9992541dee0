"""Edits and benchmarks on Ray clusters: a worker is killed, the run is stopped, the cluster is another's."""

from __future__ import annotations

import csv
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from PIL import Image

pytest.importorskip("ray")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

SFUMATO = (sys.executable, "-c", "from sfumato.cli import main; main()")
PROMPTS = ("--source", "a red apple", "--target", "a green apple", "--steps", "20")


@pytest.fixture(autouse=True)
def pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))  # where Ray keeps a token
    Path("in").mkdir()
    for seed in range(4):
        coarse = np.random.default_rng(seed).integers(0, 256, (8, 9, 3), np.uint8)
        Image.fromarray(coarse).resize((144, 128), Image.Resampling.BICUBIC).save(f"in/{seed}.png")


def begin(*words: str) -> subprocess.Popen[str]:
    return sfumato("edit", "in", "--threads", "1", *PROMPTS, *words)


def sfumato(*words: str) -> subprocess.Popen[str]:
    return subprocess.Popen([*SFUMATO, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def working(run: subprocess.Popen[Any]) -> list[psutil.Process]:
    """The workers of a run that are at a task; Ray names them after it."""
    found = psutil.Process(run.pid).children(recursive=True)
    return [
        each
        for each in found
        if each.status() != psutil.STATUS_ZOMBIE and each.cmdline()[:1] == ["ray::done"]
    ]


def out(folder: str) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(Path(folder).glob("*.png"))}


@pytest.fixture
def head(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A cluster of two processors that runs already: its address and its first process.

    Its folder is its own, so that "auto" finds this one and nobody else's is touched.
    """
    place = tempfile.mkdtemp(prefix="ray-", dir="/tmp")  # short: there are sockets in it
    monkeypatch.setenv("RAY_TMPDIR", place)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    own = "--node-ip-address=127.0.0.1", "--num-cpus=2", "--include-dashboard=false", "--disable-usage-stats"
    ray = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block", f"--port={port}", *own]
    first = subprocess.Popen(ray, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not listens(port):
        assert first.poll() is None
        time.sleep(0.2)
    yield f"127.0.0.1:{port}", first
    end(first)
    shutil.rmtree(place, ignore_errors=True)


@pytest.fixture
def cluster(head: tuple[str, subprocess.Popen[bytes]]) -> str:
    return head[0]


def listens(port: int) -> bool:
    with socket.socket() as knocking:
        return knocking.connect_ex(("127.0.0.1", port)) == 0


def end(first: subprocess.Popen[bytes]) -> None:
    """Kill it and all that it has begun, as a power cut would."""
    alive = psutil.Process(first.pid).children(recursive=True) if first.poll() is None else []
    for each in (*alive, first):
        with suppress(psutil.NoSuchProcess):
            each.kill()
    first.wait()


def test_a_killed_worker_loses_nothing_and_the_bits_are_the_same() -> None:
    run = begin("-o", "there", "--ray", "local")
    while len(workers := working(run)) < 2:
        assert run.poll() is None
        time.sleep(0.1)
    time.sleep(1)
    workers[0].kill()
    said, errors = run.communicate()
    print(said, errors)
    assert run.returncode == 0, errors
    assert said.splitlines()[-1] == "4 of 4 edited."
    assert "killed while executing a task" in said + errors, "Ray says that it lost one"

    run = begin("-o", "here")
    assert run.communicate()[0].splitlines()[-1] == "4 of 4 edited."
    assert out("here") == out("there")
    run = begin("-o", "there", "--ray", "local")
    assert run.communicate()[0] == "0 of 4 edited, 4 were already there.\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_keeps_what_was_finished_and_the_same_command_does_the_rest(number: signal.Signals) -> None:
    run = begin("-o", "there", "--ray", "local")
    while not out("there"):  # nor is there a folder at first
        assert run.poll() is None
        time.sleep(0.1)
    run.send_signal(number)
    said, errors = run.communicate(timeout=60)
    assert run.returncode == 130, errors
    assert "Traceback" not in errors
    assert "Stopped; what was finished is kept." in errors
    made = len(out("there"))
    assert said.splitlines()[-1] == f"{made} of 4 edited, {4 - made} not begun or not finished."
    again, was = begin("-o", "there", "--ray", "local"), "was" if made == 1 else "were"
    assert again.communicate()[0].splitlines()[-1] == f"{4 - made} of 4 edited, {made} {was} already there."


def test_a_cluster_that_runs_already_is_used_and_left_running(cluster: str) -> None:
    for address in (cluster, "auto"):
        run = begin("-o", "there", "--ray", address, "--overwrite")
        said, errors = run.communicate()
        assert run.returncode == 0, errors
    assert said == "0 of 4 edited, 4 were already there.\n"
    run = begin("-o", "here")
    run.communicate()
    assert out("here") == out("there")


def test_a_head_that_dies_is_told_and_no_other_is_begun(
    head: tuple[str, subprocess.Popen[bytes]],
) -> None:
    run = begin("-o", "there", "--ray", head[0])
    while not out("there"):  # nor is there a folder at first
        assert run.poll() is None
        time.sleep(0.1)
    end(head[1])
    said, errors = run.communicate(timeout=60)
    assert run.returncode == 1
    assert "The connection to the Ray cluster was lost (" in errors
    assert "Traceback" not in errors
    made = len(out("there"))
    assert said.splitlines()[-1] == f"{made} of 4 edited, {4 - made} not begun or not finished."
    assert not Path(".ray").exists(), "Ray keeps a token there when it begins a cluster"


def test_a_benchmark_there_has_the_figures_and_bits_of_one_here() -> None:
    words = ("bench", "edits", "--pairing", "direct+p2p", "--cases", "3", "--steps", "4", "--threads", "1")
    told = []
    for name, *more in (("here",), ("there", "--ray", "local")):
        run = sfumato(*words, "-o", name, *more)
        said, errors = run.communicate()
        assert run.returncode == 0, errors
        assert "6 edits were made now." in said
        with Path(name, "cases.csv").open(encoding="utf-8") as file:
            rows = [
                {key: cell for key, cell in row.items() if "seconds" not in key}
                for row in csv.DictReader(file)
            ]
        pictures = {path.relative_to(name): path.read_bytes() for path in Path(name, "pictures").rglob("*.*")}
        told.append([sorted(rows, key=lambda row: (row["pairing"], row["case"])), pictures])
    assert told[0] == told[1]
