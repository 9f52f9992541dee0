"""Look a checkpoint over, whatever it is kept in, before anything of it is loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sfumato.events import ModelInfo
from sfumato.models import folder
from sfumato.models.catalogue import Checkpoint
from sfumato.models.family import model_info

if TYPE_CHECKING:
    from sfumato.models.single_file import SingleFile


def inspect(checkpoint: Checkpoint) -> folder.Folder | SingleFile:
    """Find out what a checkpoint holds. Raises `ModelError` for what cannot or must not be loaded."""
    if checkpoint.kind == "folder":
        return folder.inspect(checkpoint.folder)
    from sfumato.models import single_file  # it converts keys, for which torch is needed

    return single_file.inspect(checkpoint.folder)


def describe(checkpoint: Checkpoint) -> ModelInfo:
    """Describe a checkpoint without loading it. Raises `ModelError` as `inspect` does."""
    return model_info(inspect(checkpoint).configs, checkpoint)
