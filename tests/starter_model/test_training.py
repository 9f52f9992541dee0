"""Training can be stopped, killed or starved at any moment, and goes on from there."""

import errno
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from starter_model.config import WorkerSettings
from starter_model.state import read_tensors, write_tensors, write_whole
from starter_model.supervision import train
from starter_model.training import Run, warm_start
from torch import Tensor, nn

from sfumato.errors import InputError, SfumatoError, StorageError

pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
WORKERS = WorkerSettings(count=2, save_seconds=1000, check_views=10**9)


@pytest.mark.parametrize("own_session", [True, False])
def test_only_a_session_of_its_own_is_made_to_give_way(tmp_path: Path, own_session: bool) -> None:
    (tmp_path / "autogroup").write_text("/autogroup-7 nice 0")
    code = (
        "from pathlib import Path; from starter_model import supervision;"
        f"supervision.AUTOGROUP = Path({str(tmp_path / 'autogroup')!r}); supervision.let_sessions_pass()"
    )
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "packaging")}
    subprocess.run([sys.executable, "-c", code], env=env, start_new_session=own_session, check=True)
    said = (tmp_path / "autogroup").read_text()
    assert said == ("19" if own_session else "/autogroup-7 nice 0")


class Line:
    """Learns y = 2x + 1; `trouble` is called at every step of worker 1."""

    name = "line"

    def __init__(self, views: int, trouble=lambda step: None) -> None:
        self.views, self.rate, self.keep, self.trouble, self.calls = views, 0.1, 0.9, trouble, 0
        torch.manual_seed(0)
        self.model = nn.Linear(1, 1)

    def loss(self, rng: np.random.Generator, worker: int, progress: float) -> tuple[Tensor, int]:
        self.calls += 1
        if worker == 1:
            self.trouble(self.calls)
        x = torch.from_numpy(rng.random((4, 1), dtype=np.float32))
        return (self.model(x) - (2 * x + 1)).square().mean(), 4

    def check(self) -> dict[str, float]:
        return {"slope": self.model.weight.item()}


def run(folder: Path, task: Line, workers: WorkerSettings = WORKERS) -> Run:
    return Run(task, folder, workers, seed=3)


def test_two_workers_learn_and_the_average_is_what_is_checked(tmp_path: Path) -> None:
    found = run(tmp_path, Line(3200))
    assert train(found).views == 3200
    assert found.check()["slope"] == pytest.approx(2, abs=0.2)


def test_a_resumed_run_ends_where_an_unbroken_one_does(tmp_path: Path) -> None:
    for name in ("whole", "parts"):
        (tmp_path / name).mkdir()
    train(run(tmp_path / "whole", Line(400)))
    broken = Line(400)
    first = run(tmp_path / "parts", broken)
    threading.Timer(0.3, lambda: first.stop.fill_(1)).start()
    broken.trouble = lambda step: time.sleep(0.02)
    reached = train(first).views
    assert 0 < reached < 400
    assert train(run(tmp_path / "parts", Line(400))).views == 400
    one, other = (read_tensors(tmp_path / name / "state.safetensors")[0] for name in ("whole", "parts"))
    for name in one:
        torch.testing.assert_close(one[name], other[name], rtol=1e-5, atol=1e-6)


def test_sigterm_saves_and_ends(tmp_path: Path) -> None:
    found = run(tmp_path, Line(10**7))
    threading.Timer(0.5, lambda: os.kill(os.getpid(), signal.SIGTERM)).start()
    clock = train(found)
    assert 0 < clock.views < 10**7
    assert run(tmp_path, Line(10**7)).clock.views == clock.views


def test_a_killed_worker_is_noticed_and_the_state_saved(tmp_path: Path) -> None:
    def die(step: int) -> None:
        if step == 5:
            os.kill(os.getpid(), signal.SIGKILL)

    with pytest.raises(SfumatoError, match="ended unexpectedly") as caught:
        train(run(tmp_path, Line(10**7, die)))
    assert "goes on from there" in caught.value.advice
    again = run(tmp_path, Line(10**7))
    assert again.resumed
    assert again.clock.step == 4


def test_a_full_disk_is_one_sentence_and_keeps_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_whole(tmp_path / "state", b"old")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="the disk is full"):
        write_whole(tmp_path / "state", b"new")
    assert (tmp_path / "state").read_bytes() == b"old"
    assert not list(tmp_path.glob("*.part"))
    with pytest.raises(SfumatoError, match="the disk is full"):
        train(run(tmp_path, Line(40)))


def test_time_ends_a_run(tmp_path: Path) -> None:
    assert train(run(tmp_path, Line(10**7)), 0.5).views < 10**7


def test_a_lost_state_is_made_good_by_committed_weights(tmp_path: Path) -> None:
    file, note = tmp_path / "weights.safetensors", tmp_path / "training.json"
    save_file({"weight": torch.tensor([[1.5]]).half(), "bias": torch.tensor([0.5]).half()}, file)
    note.write_text('{"views": 320, "minutes": 9, "line": {"views": 320, "minutes": 2}}')
    found = run(tmp_path, Line(400))
    assert warm_start(found, {"": file}, note) == 320
    assert found.clock.seconds == 120
    assert found.task.model.weight.item() == 1.5
    assert float(found.weights.average[0]) == 1.5
    assert not found.weights.first.any()
    assert run(tmp_path, Line(400)).resumed  # finished ones can be measured without any training
    assert train(found).views == 400
    assert warm_start(run(tmp_path, Line(400)), {"": file}, note) == 0  # there is a state now


def test_weights_of_another_shape_are_not_taken(tmp_path: Path) -> None:
    file, note = tmp_path / "weights.safetensors", tmp_path / "training.json"
    save_file({"weight": torch.zeros(2, 2), "bias": torch.zeros(1)}, file)
    note.write_text('{"views": 320}')
    assert warm_start(run(tmp_path, Line(400)), {"": file}, note) == 0


def test_a_damaged_state_is_named(tmp_path: Path) -> None:
    (tmp_path / "state.safetensors").write_bytes(b"\x10" * 40)
    with pytest.raises(InputError, match="damaged"):
        run(tmp_path, Line(400))


def test_a_state_of_another_shape_is_refused(tmp_path: Path) -> None:
    write_tensors(tmp_path / "state.safetensors", {"flat": torch.zeros(5)}, {})
    with pytest.raises(InputError, match="another shape"):
        run(tmp_path, Line(400))
