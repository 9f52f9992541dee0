"""The name of what computes."""

from __future__ import annotations

from pathlib import Path

from sfumato.benchmark import hardware


def test_a_processor_goes_by_its_makers_name(tmp_path: Path) -> None:
    told = tmp_path / "cpuinfo"
    told.write_text("processor\t: 0\nmodel\t\t: 1\nmodel name\t: Fast  CPU @ 2 GHz\nmodel name\t: Other\n")
    assert hardware._model(told) == "Fast CPU @ 2 GHz"
    told.write_text("processor: 0\n")
    assert hardware._model(told) == ""
    assert hardware._model(tmp_path / "none") == ""
    assert hardware.processor("cpu")
