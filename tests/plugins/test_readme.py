"""The example in plugins/README.md is executed: it registers, has a form, and edits."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest
import torch

from sfumato.params import controls
from sfumato_plugins.direct import Direct
from tests.tiny import drain

README = (Path(__file__).parents[2] / "plugins" / "README.md").read_text("utf-8")


(CODE,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Any:
    path = tmp_path_factory.mktemp("plugin") / "halfway.py"
    path.write_text(CODE, "utf-8")
    spec = spec_from_file_location("halfway", path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules["halfway"] = module
    spec.loader.exec_module(module)
    (method,) = module.register_editors()
    yield method
    del sys.modules["halfway"]


def test_it_has_a_form(example: Any) -> None:
    (amount,) = controls(example.params)
    assert (amount.label, amount.minimum, amount.maximum, amount.default) == ("Amount", 0, 1, 0.5)
    assert amount.help == "How far to go from the first prompt to the second."


def test_it_edits(example: Any, tiny_model: Any, tiny_request: Callable[..., Any]) -> None:
    inversion = drain(Direct().invert(tiny_request(), tiny_model))
    edits = [
        drain(example.edit(tiny_request(params=example.params(amount=amount)), inversion, tiny_model)).latents
        for amount in (0.0, 0.5)
    ]
    assert not torch.equal(edits[0], edits[1])


def test_it_is_short() -> None:
    assert len([line for line in CODE.splitlines() if line.strip()]) < 50
