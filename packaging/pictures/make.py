"""Make the README's pictures anew, from the real program.

python packaging/pictures/make.py window          the window after an edit of a sample
python packaging/pictures/make.py before_after    each sample above its edit
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

HERE = Path(__file__).parent
SAMPLES = HERE.parents[1] / "resources" / "sfumato_resources" / "samples"
SIDE = 256


def before_after() -> None:
    from sfumato import compose
    from sfumato.cli.answers import run
    from sfumato.document.compositor import flatten
    from sfumato.document.layers import Document, Layer
    from sfumato.files.images import open_image, open_mask
    from sfumato.method import Job, Recipe

    workshop = compose.workshop()
    columns = []
    for entry in json.loads((SAMPLES / "index.json").read_text("utf-8")):
        picture = open_image(SAMPLES / entry["file"])
        image, size = flatten(picture), (picture.width, picture.height)
        mask = open_mask(SAMPLES / entry["mask"], size) if "mask" in entry else None
        recipe = Recipe(source=entry["source"], target=entry["target"], editor=entry.get("editor", "p2p"))
        job = Job(recipe=recipe, image=image, profile=picture.profile, mask=mask)
        outcome = run(job, workshop)
        layers = [Layer("", image), Layer("", outcome.patches[0], *outcome.box[:2])]
        columns.append(np.concatenate([_square(image), _square(flatten(Document(*size, layers)))]))
    Image.fromarray(np.concatenate(columns, axis=1)).save(HERE / "before_after.png", optimize=True)


def _square(pixels: np.ndarray) -> np.ndarray:
    return np.asarray(
        ImageOps.fit(Image.fromarray(pixels).convert("RGB"), (SIDE, SIDE), Image.Resampling.LANCZOS)
    )


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
        else:
            window("launch-pad.jpg")
