"""Make the README's pictures anew, from the real program.

python packaging/pictures/make.py window          the window after an edit of a sample
python packaging/pictures/make.py before_after    each sample above its edit
python packaging/pictures/make.py methods [NAME]  for each method's page some samples above their edits by it
python packaging/pictures/make.py control_images  a photograph and what each preprocessor makes of it
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

HERE = Path(__file__).parent
SAMPLES = HERE.parents[1] / "resources" / "sfumato_resources" / "samples"
METHOD_PICTURES = HERE.parents[1] / "plugins" / "methods" / "pictures"
SIDE = 256


METHOD_SAMPLES = ("balloon.png", "tree.png", "tiger.png")
INVERTER_OF = {"ledits": "edit_friendly", "h_edit": "edit_friendly"}
"""The inversion a method was made for, where that is not the default."""


def entries() -> list[dict[str, str]]:
    return json.loads((SAMPLES / "index.json").read_text("utf-8"))


def edited(entry: dict[str, str], workshop: Any, **asked: Any) -> tuple[np.ndarray, np.ndarray]:
    """A sample and its edit, (H, W, 4) each."""
    from sfumato.cli.answers import run
    from sfumato.cli.options import settled
    from sfumato.document.compositor import flatten
    from sfumato.document.layers import Document, Layer
    from sfumato.files.images import open_image, open_mask
    from sfumato.method import Job, Recipe

    picture = open_image(SAMPLES / entry["file"])
    image, size = flatten(picture), (picture.width, picture.height)
    mask = open_mask(SAMPLES / entry["mask"], size) if "mask" in entry else None
    said = {name: entry[name] for name in ("source", "target", "instruction")}
    recipe = Recipe.model_validate({**said, **asked})
    recipe = settled(recipe, workshop.registry)
    outcome = run(Job(recipe=recipe, image=image, profile=picture.profile, mask=mask), workshop)
    layers = [Layer("", image), Layer("", outcome.patches[0], *outcome.box[:2])]
    return image, flatten(Document(*size, layers))


def column(before: np.ndarray, after: np.ndarray, side: int) -> np.ndarray:
    return np.concatenate([_square(before, side), _square(after, side)])


def before_after() -> None:
    from sfumato import compose

    workshop = compose.workshop()
    columns = [
        column(*edited(entry, workshop, editor=entry.get("editor", "p2p")), side=SIDE) for entry in entries()
    ]
    Image.fromarray(np.concatenate(columns, axis=1)).save(HERE / "before_after.png", optimize=True)


def methods(only: str | None) -> None:
    """Pictures for `plugins/methods/*.md`; what the built-in model cannot run is said and left out."""
    from sfumato import compose
    from sfumato.errors import SfumatoError
    from sfumato.method import Need

    workshop = compose.workshop()
    usual = [entry for entry in entries() if entry["file"] in METHOD_SAMPLES]
    masked = [entry for entry in entries() if "mask" in entry]
    for info in workshop.registry.describe().methods:
        if only not in (None, info.name):
            continue
        chosen = masked if Need.MASK in info.needs else usual
        try:
            columns = [
                column(*edited(entry, workshop, **_asked(info, entry)), side=SIDE // 2) for entry in chosen
            ]
        except SfumatoError as error:
            print(f"{info.name}: {error}")
            continue
        place = METHOD_PICTURES / f"{info.name}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        looks = info.needs & {Need.IMAGE, Need.CONTROL_IMAGE}
        if not looks and info.kind == "editor":  # from words: there is no before
            columns = [each[SIDE // 2 :] for each in columns]
        Image.fromarray(np.concatenate(columns, axis=1)).quantize(255).save(place, optimize=True)
        print(place.name)


def control_images() -> None:
    """A photograph and what each preprocessor makes of it."""
    from sfumato import compose
    from sfumato.document.compositor import flatten
    from sfumato.files.images import open_image
    from sfumato.preprocessor import control_picture

    picture = open_image(SAMPLES / "launch-pad.jpg")
    pixels = flatten(picture)
    makers = compose.workshop().registry.preprocessors.values()
    made = [control_picture(each, each.params(), pixels, picture.profile) for each in makers]
    row = np.concatenate([_square(each, SIDE // 2) for each in (pixels, *made)], axis=1)
    METHOD_PICTURES.mkdir(parents=True, exist_ok=True)
    Image.fromarray(row).quantize(255).save(METHOD_PICTURES / "control_images.png", optimize=True)


def _asked(info: Any, entry: dict[str, str]) -> dict[str, Any]:
    """The recipe that shows a method: an inverter with the editor it is for, an editor with its inverter."""
    from sfumato.method import Need
    from sfumato.prompts import compare, words

    if info.kind == "inverter":
        return {"inverter": info.name}
    if info.kind == "masker":
        return {"masker": info.name}
    asked: dict[str, Any] = {"editor": info.name}
    if info.name in INVERTER_OF:
        asked["inverter"] = INVERTER_OF[info.name]
    if Need.CONCEPTS in info.needs:
        pieces = [piece for piece in compare(entry["source"], entry["target"]) if piece.change != "kept"]
        come = " ".join(w.text for p in pieces for w in words(entry["target"])[slice(*p.target)])
        gone = " ".join(w.text for p in pieces for w in words(entry["source"])[slice(*p.source)])
        asked["concepts"] = ((come, 1.0), (gone, -1.0))
    return asked


def _square(pixels: np.ndarray, side: int) -> np.ndarray:
    picture = Image.fromarray(pixels).convert("RGB")
    return np.asarray(ImageOps.fit(picture, (side, side), Image.Resampling.LANCZOS))


def window(sample: str) -> None:
    from PySide6.QtCore import QTimer

    from sfumato import compose
    from sfumato_desktop import theme
    from sfumato_desktop.app import make_application, make_window
    from sfumato_desktop.samples import load_samples

    application = make_application([])
    shown = make_window(compose.chosen())
    theme.apply(application, "light")
    shown.set_theme("light")
    shown.resize(1366, 768)
    shown.show()
    shown.workbench.filing.open_sample(next(each for each in load_samples() if each.path.name == sample))
    shown.jobs.ready.connect(lambda *_: QTimer.singleShot(0, shown.panel.run))

    def finished(*_: object) -> None:
        QTimer.singleShot(500, lambda: (shown.grab().save(str(HERE / "window.png")), application.exit(0)))

    shown.jobs.finished.connect(finished)
    QTimer.singleShot(0, shown.jobs.start)
    application.exec()


if __name__ == "__main__":
    os.environ["QT_QPA_PLATFORM"] = "offscreen"
    with tempfile.TemporaryDirectory() as home:
        os.environ["SFUMATO_HOME"] = home
        if "before_after" in sys.argv:
            before_after()
        elif "methods" in sys.argv:
            methods(sys.argv[2] if len(sys.argv) > 2 else None)
        elif "control_images" in sys.argv:
            control_images()
        else:
            window("launch-pad.jpg")
