"""Fixtures everybody shares.

`tiny_model` is a real U-Net, VAE and text encoder of the architecture Stable Diffusion has, a thousand times
smaller, with random weights: what is asserted on it is algebra, never picture quality. It is built once and
must come back from every test as it went in; `tiny_model` checks that no attention processor was left behind.
No test reaches the network.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ["HF_HUB_CACHE"] = "/nonexistent"  # what this machine has downloaded is no part of any test


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    connect = socket.socket.connect

    def local_only(self: socket.socket, address: Any) -> None:
        if self.family == socket.AF_UNIX:
            return connect(self, address)
        raise AssertionError(f"a test tried to reach {address}")

    monkeypatch.setattr(socket.socket, "connect", local_only)


@pytest.fixture(scope="session")
def _tiny_model() -> Any:
    from tests.tiny import tiny_model

    return tiny_model()


@pytest.fixture(scope="session")
def _tiny_instruct_model() -> Any:
    from tests.tiny import tiny_model

    return tiny_model(instructions=True)


@contextmanager
def _lent(model: Any) -> Iterator[Any]:
    """A shared model that must come back as it went."""
    before = dict(model.unet.attn_processors)
    model.stop.clear()
    yield model
    model.stop.clear()
    assert model.unet.attn_processors == before, "an attention processor was left behind"
    assert not any(module._forward_hooks for module in model.unet.modules()), "a hook was left behind"


@pytest.fixture
def tiny_model(_tiny_model: Any) -> Iterator[Any]:
    """A `Model` of random weights: 32-pixel pictures, 16x16 latents, context length 16."""
    with _lent(_tiny_model) as model:
        yield model


@pytest.fixture
def tiny_instruct_model(_tiny_instruct_model: Any) -> Iterator[Any]:
    """The same with 8 input channels, as InstructPix2Pix has."""
    with _lent(_tiny_instruct_model) as model:
        yield model


@pytest.fixture
def tiny_request(tiny_model: Any) -> Callable[..., Any]:
    """Make an `EditRequest` for `tiny_model`; keywords override."""
    from tests.tiny import tiny_request

    return lambda **changes: tiny_request(tiny_model, **changes)
