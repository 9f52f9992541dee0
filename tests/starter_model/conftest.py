"""A world of seven words drawn here, so that the recipe runs end to end without network or artwork."""

import hashlib
import io
import sys
import tarfile
from pathlib import Path

import pytest
import torch
from PIL import Image, ImageDraw

sys.path.insert(0, str(Path(__file__).parents[2] / "packaging"))

from starter_model import artwork, diffusion_stage, vae_stage
from starter_model.artwork import Sprites
from starter_model.concepts import concepts
from starter_model.config import Settings, read_settings
from starter_model.diffusion_stage import train_diffusion
from starter_model.evaluate_stage import export_model
from starter_model.judge_stage import train_judge
from starter_model.sources import prepare_data
from starter_model.vae_stage import freeze_vae, train_vae

FILL = {
    "apple": "#e02030",
    "cat": "#e0a020",
    "dog": "#906040",
    "car": "#d02828",
    "balloon": "#e01828",
    "heart": "#f02040",
    "tree": "#30a040",
}


def draw(word: str) -> bytes:
    """A drawing as the package has them: 256-pixel RGBA WebP."""
    picture = Image.new("RGBA", (256, 256))
    pen = ImageDraw.Draw(picture)
    corners = 3 + sorted(FILL).index(word) if word in FILL else 12
    pen.regular_polygon((128, 128, 110), corners, fill=FILL.get(word, "#555577"))
    pen.ellipse((100, 90, 130, 120), fill="#202020")
    content = io.BytesIO()
    picture.save(content, "WEBP", lossless=True)
    return content.getvalue()


def pack(archive: Path) -> None:
    """An archive laid out as npm's."""
    with tarfile.open(archive, "w:gz") as package:
        for code, word in [(concepts()[word].code, word) for word in FILL] + [("1f4a0", "other")]:
            content = draw(word)
            member = tarfile.TarInfo(f"package/assets/{code}.webp")
            member.size = len(content)
            package.addfile(member, io.BytesIO(content))


@pytest.fixture(scope="session")
def tiny() -> Settings:
    """The settings of the end-to-end run."""
    torch.set_num_threads(1)
    return read_settings(Path(__file__).with_name("tiny.toml"))


@pytest.fixture(scope="session")
def state(tmp_path_factory: pytest.TempPathFactory, tiny: Settings) -> Path:
    """A state folder whose data stage has run."""
    folder = tmp_path_factory.mktemp("state")
    (folder / "data").mkdir()
    archive = folder / "data" / artwork.ARCHIVE
    pack(archive)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(artwork, "SHA256", hashlib.sha256(archive.read_bytes()).hexdigest())
        prepare_data(folder, tiny)
    return folder


@pytest.fixture(scope="session")
def sprites(state: Path) -> Sprites:
    """The drawings of the tiny world."""
    return Sprites.load(state / "data")


@pytest.fixture(scope="session")
def starter(state: Path, tiny: Settings) -> Path:
    """The state with a starter trained from nothing and exported, and a judge."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vae_stage, "weights_folder", lambda: state / "none")
        patch.setattr(diffusion_stage, "shipped", lambda: state / "none")
        train_vae(state, tiny, 60, "cpu")
        freeze_vae(state, tiny, None)
        train_diffusion(state, tiny, 60, "cpu")
        export_model(state, tiny)
    train_judge(state, tiny, 60)
    return state
