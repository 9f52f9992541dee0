"""One world for a module's tests, so that an inversion and an edit are made once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sfumato import compose
from tests.starter.editing import World


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SFUMATO_HOME", str(tmp_path_factory.mktemp("home")))
        yield World(compose.workshop(), tmp_path_factory.mktemp("edits"))
