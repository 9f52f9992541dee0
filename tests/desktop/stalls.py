"""How long the window stops answering while the engine works: `python -m tests.desktop.stalls`.

A 5 ms timer runs in the real window, offscreen, while the real engine imports torch, loads the starter
model and runs two edits. A stall is the gap between two ticks beyond the 5 ms, by the wall clock; its
processor time is what the whole process used meanwhile, which tells a busy machine
from a busy program.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections import defaultdict
from typing import Any

PERIOD = 0.005


def main() -> None:
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    with tempfile.TemporaryDirectory() as home:
        os.environ["SFUMATO_HOME"] = home
        report(measure())


def measure() -> dict[str, list[tuple[float, float]]]:
    """For each phase the stalls over one period as (wall, processor) seconds."""
    from PySide6.QtCore import Qt, QTimer

    from sfumato import compose
    from sfumato_desktop.app import make_application, make_window
    from sfumato_desktop.samples import load_samples

    application = make_application([])
    window = make_window(compose.chosen())
    window.show()
    window.workbench.filing.open_sample(load_samples()[0])
    stalls: dict[str, list[tuple[float, float]]] = defaultdict(list)
    now = {"phase": "imports", "wall": time.perf_counter(), "cpu": time.process_time(), "edits": 0}

    def tick() -> None:
        wall, cpu = time.perf_counter(), time.process_time()
        late = wall - now["wall"] - PERIOD
        if late > PERIOD:
            stalls[now["phase"]].append((late, cpu - now["cpu"]))
        now.update(wall=wall, cpu=cpu)

    def next_edit(*_: Any) -> None:
        now["edits"] += 1
        if now["edits"] > 2:
            application.exit(0)
            return
        now["phase"] = f"edit {now['edits']}"
        QTimer.singleShot(200, window.panel.run)

    timer = QTimer(timerType=Qt.TimerType.PreciseTimer)
    timer.timeout.connect(tick)
    timer.start(int(PERIOD * 1000))
    window.jobs.ready.connect(next_edit)
    window.jobs.finished.connect(next_edit)
    QTimer.singleShot(0, window.jobs.start)
    application.exec()
    window.jobs.close()
    return stalls


def report(stalls: dict[str, list[tuple[float, float]]]) -> None:
    heads = "phase", "longest wall", "longest cpu", "over 50 ms", "over 100 ms", "over 350 ms"
    print("{:10}{:>14}{:>13}{:>12}{:>13}{:>13}".format(*heads))
    for phase, seen in stalls.items():
        walls, cpus = zip(*seen, strict=True)
        over = [sum(wall > limit for wall in walls) for limit in (0.05, 0.1, 0.35)]
        counts = f"{over[0]:12}{over[1]:13}{over[2]:13}"
        print(f"{phase:10}{1000 * max(walls):11.0f} ms{1000 * max(cpus):10.0f} ms{counts}")


if __name__ == "__main__":
    main()
