"""What `test_cluster.py` runs in a process of its own: Ray opens sockets, and stays."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from sfumato.errors import SfumatoError
from sfumato.many.crew import LOCAL, Crew
from sfumato.many.spreading import spread
from sfumato.many.worker import Done
from tests.chores import chore, noted, opened


def crew(ray: str, **choices: Any) -> Crew:
    return Crew(processes=2, ray=ray, choices=choices, opener=opened)  # type: ignore[arg-type]


def main(folder: Path) -> None:
    for address in ("nonsense", "127.0.0.1:1", "ray://127.0.0.1:1", "auto"):
        try:
            list(spread({"a": "fine"}, chore, crew(address)))
        except SfumatoError as error:
            print(f"{address} {error}")
    import ray

    # Kept open between the two runs; `spread` alone would start one for each.
    with_two = {"num_cpus": 2, "include_dashboard": False, "log_to_driver": False}
    ray.init(address=LOCAL, _node_ip_address="127.0.0.1", **with_two)
    tasks = {name: (name, str(folder)) for name in ("first", "mortal", "second", "third")}
    for each in spread(tasks, noted, crew(LOCAL)):
        print(each.key, each.result if isinstance(each, Done) else each.sentence)
    many: dict[str, Any] = {"a": "fine", "b": "die", "c": "fail", "d": "bug", "e": "unpicklable"}
    for each in spread(many | {"f": lambda: "cannot be sent either"}, chore, crew(LOCAL)):
        print(each.key, each.result if isinstance(each, Done) else each.sentence)
        if not isinstance(each, Done) and each.details:
            print(f"{each.key}-details {each.details.splitlines()[-1]}")
    assert ray.is_initialized(), "a cluster that was open stays open"
    try:
        list(spread({"a": "fine"}, chore, crew(LOCAL, threads=3)))
    except SfumatoError as error:
        print(f"crowd {error}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
