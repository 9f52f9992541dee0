"""The two metrics that need a network: how alike two pictures are built, and how well words fit a picture.

Any network of the right kind in a local folder will do, and its name goes into the table: figures of
different networks cannot be compared. Published tables used DINO ViT-B/8 and CLIP ViT-L/14.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from sfumato.benchmark.metrics import Picture
from sfumato.document.compositor import fingerprint
from sfumato.errors import ModelError
from sfumato.models.fingerprint import Fingerprints

if TYPE_CHECKING:
    from torch import Tensor

SIDE, LONGEST = 224, 480
"""Pixels of the shorter side a structure network sees, and the most of the longer one."""
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_REMEMBERED = 8
_READ = ("*.safetensors", "*.json", "*.txt")
R = TypeVar("R")


@dataclass(eq=False)
class _Memory:
    """Results of the latest pictures: a case's own is asked for by every pairing."""

    kept: dict[Any, Any] = field(default_factory=dict)

    def get(self, key: Any, make: Callable[[], R]) -> R:
        found = self.kept.pop(key) if key in self.kept else make()
        self.kept[key] = found
        while len(self.kept) > _REMEMBERED:
            del self.kept[next(iter(self.kept))]
        return found


@dataclass(eq=False)
class Structure:
    """Tumanyan et al., Splicing ViT Features, 2022: how alike the keys of a transformer's last block are."""

    name: str
    model: Any
    _memory: _Memory = field(default_factory=_Memory)

    def distance(self, a: Picture, b: Picture, *, as_published: bool) -> float:
        """Mean squared difference of the cosine self-similarities of two pictures, whole.

        `as_published` hands the network 0..255 where it expects 0..1, and shrinks without a filter: so do
        PIE-Bench's evaluation and all tables made with it.
        """
        first, second = (self._similarities(each, as_published) for each in (a, b))
        return float((first - second).square().mean())

    def _similarities(self, picture: Picture, as_published: bool) -> Tensor:
        key = fingerprint(picture), as_published
        return self._memory.get(key, lambda: self_similarity(self._keys(picture, as_published)))

    def _keys(self, picture: Picture, as_published: bool) -> Tensor:
        """(tokens, width): the keys of the last block, heads side by side, the class token among them."""
        import torch

        caught: list[Tensor] = []
        hook = _last_keys(self.model).register_forward_hook(lambda _module, _args, out: caught.append(out))
        try:
            with torch.no_grad():
                pixels = _prepared(picture, as_published).to(self.model.device)
                try:
                    self.model(pixel_values=pixels, interpolate_pos_encoding=True)
                except TypeError:  # DINOv2 always does
                    caught.clear()
                    self.model(pixel_values=pixels)
        finally:
            hook.remove()
        return caught[-1][0].double().cpu()


def _last_keys(model: Any) -> Any:
    """The module that makes the keys of the last block. Raises `ModelError` if it is of no eye."""
    from torch import nn

    found = [
        module
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and name.rpartition(".")[2] in ("k_proj", "key")
    ]
    if not found or "pixel_values" not in signature(model.forward).parameters:
        raise ModelError(
            f"{type(model).__name__} is no vision transformer whose keys can be found.",
            advice="Choose the folder of a ViT, a DINO or a DINOv2 model.",
        )
    return found[-1]


def self_similarity(keys: Tensor) -> Tensor:
    """Cosine of every key with every other: (t, d) to (t, t)."""
    lengths = keys.norm(dim=1, keepdim=True)
    return keys @ keys.T / (lengths @ lengths.T).clamp(min=1e-8)


def _prepared(picture: Picture, as_published: bool) -> Tensor:
    """(1, 3, h, w): shorter side 224 pixels, longer at most 480, ImageNet's mean and deviation."""
    import torch
    from torch.nn import functional

    pixels = torch.from_numpy(picture.astype(np.float32)).permute(2, 0, 1)[None]
    pixels = pixels if as_published else pixels / 255
    height, width = picture.shape[:2]
    size = _size_of(height, width)
    if size != (height, width):
        pixels = functional.interpolate(
            pixels, size, mode="bilinear", align_corners=False, antialias=not as_published
        )
    mean, std = (torch.tensor(each).view(1, 3, 1, 1) for each in (_MEAN, _STD))
    return (pixels - mean) / std


def _size_of(height: int, width: int) -> tuple[int, int]:
    """As torchvision's Resize, which the published code uses, rounds it."""
    short, long = SIDE, SIDE * max(height, width) // min(height, width)
    if long > LONGEST:
        short, long = max(1, LONGEST * short // long), LONGEST
    return (short, long) if height <= width else (long, short)


@dataclass(eq=False)
class Clip:
    """Hessel et al., CLIPScore, 2021, as torchmetrics has it: 100 max(cos(picture, words), 0)."""

    name: str
    model: Any
    tokenizer: Any
    images: Any
    _memory: _Memory = field(default_factory=_Memory)

    def similarity(self, picture: Picture, text: str) -> float:
        """How well words fit a picture; words beyond what the network reads are left out."""
        import torch

        with torch.no_grad():
            seen = self._memory.get(fingerprint(picture), lambda: self._seen(picture))
            said = self._memory.get(text, lambda: self._said(text))
            return max(100 * float((seen * said).sum()), 0.0)

    def _seen(self, picture: Picture) -> Tensor:
        from PIL import Image

        pixels = self.images(images=Image.fromarray(picture), return_tensors="pt")["pixel_values"]
        pooled = self.model.vision_model(pixel_values=pixels.to(self.model.device)).pooler_output
        return _unit(self.model.visual_projection(pooled))

    def _said(self, text: str) -> Tensor:
        longest = self.model.config.text_config.max_position_embeddings
        words = self.tokenizer([text], truncation=True, max_length=longest, return_tensors="pt")
        pooled = self.model.text_model(**words.to(self.model.device)).pooler_output
        return _unit(self.model.text_projection(pooled))


def _unit(features: Tensor) -> Tensor:
    return (features / features.norm(dim=-1, keepdim=True))[0].double().cpu()


def load_structure(folder: Path, device: str, cache_dir: Path) -> Structure:
    """A vision transformer from a transformers folder with safetensors. Raises `ModelError`."""
    from transformers import AutoModel

    with _explained(folder):
        model = _read(AutoModel, folder)
    model = _ready(getattr(model, "vision_model", model), device)
    _last_keys(model)
    return Structure(_name(folder, cache_dir), model)


def load_clip(folder: Path, device: str, cache_dir: Path) -> Clip:
    """A CLIP model with its tokenizer, from a transformers folder with safetensors. Raises `ModelError`."""
    from transformers import AutoTokenizer, CLIPImageProcessorPil, CLIPModel

    with _explained(folder):
        model = _read(CLIPModel, folder)
        tokenizer = AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
        images = CLIPImageProcessorPil.from_pretrained(str(folder), local_files_only=True)
    return Clip(_name(folder, cache_dir), _ready(model, device), tokenizer, images)


def _read(kind: Any, folder: Path) -> Any:
    """A network with all its weights. Raises `ValueError` if some are wanting: they would be random.

    The pooler is not looked at, and DINO comes without one.
    """
    import torch

    options = {"local_files_only": True, "use_safetensors": True, "dtype": torch.float32}
    model, told = kind.from_pretrained(str(folder), output_loading_info=True, **options)
    if missing := sorted(key for key in told["missing_keys"] if not key.startswith("pooler.")):
        raise ValueError(f"{len(missing)} weights are missing, the first is {missing[0]}")
    return model


def _ready(model: Any, device: str) -> Any:
    from sfumato.models.placement import choose_device

    return model.to(choose_device(device)).eval().requires_grad_(False)


def _name(folder: Path, cache_dir: Path) -> str:
    """The folder's name, and the start of a hash of what is in it."""
    files = {path.name: path for pattern in _READ for path in sorted(folder.glob(pattern))}
    digests = Fingerprints(cache_dir / "fingerprints.json").of(files)
    digest = next(each for each in digests if each is not None)
    return f"{folder.resolve().name} ({digest[:8]})"


@contextmanager
def _explained(folder: Path) -> Iterator[None]:
    """Turn what the library raises over bad folders into one sentence, and keep it quiet."""
    from safetensors import SafetensorError

    from sfumato.models.loading import quiet

    if not folder.is_dir():
        raise ModelError(f"There is no folder {folder}.")
    try:
        with quiet():
            yield
    except (OSError, ValueError, TypeError, KeyError, RuntimeError, SafetensorError) as error:
        raise ModelError(
            f"{folder} cannot be read as such a network: {' '.join(str(error).split())[:200]}",
            advice="It has to be a transformers folder with weights as safetensors.",
        ) from error
