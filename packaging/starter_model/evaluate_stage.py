"""The `evaluate` and `export` stages: measure the model as it will ship, write it with its card."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from sfumato.errors import InputError
from sfumato.models.wishes import FILE
from starter_model.artwork import Sprites
from starter_model.card import History, card
from starter_model.config import Settings
from starter_model.diffusion import Painter
from starter_model.diffusion_stage import diffusion_run, frozen_vae
from starter_model.export import assemble, hashes, weights_size
from starter_model.judge_stage import trained_judge
from starter_model.measures import (
    Bench,
    measure_inversion,
    measure_prompts,
    measure_sizes,
    measure_speed,
    measure_vae,
    measure_words,
)
from starter_model.sampling import Parts
from starter_model.sheets import write_sheet
from starter_model.sources import chosen
from starter_model.state import write_json, write_whole
from starter_model.swaps import measure_swaps

Figures = dict[str, Any]
SWAPS = (
    ("a red apple on the grass", "a green apple on the grass"),
    ("a cat on the grass", "a cat on the beach"),
    ("a cat in the snow", "a dog in the snow"),
    ("a yellow car at night", "a blue car at night"),
    ("a cat and a balloon on a white background", "a dog and a balloon on a white background"),
)

EDITORS = {
    "p2p": {"inverter": "edit_friendly"},
    "h_edit": {"inverter": "edit_friendly"},
    "plug_and_play": {"inverter": "edit_friendly"},
    "ledits": {"inverter": "edit_friendly", "threshold": 0.3, "guidance": 5.0},
    "pix2pix_zero": {"inverter": "edit_friendly", "amount": 0.4},
    "controlnet": {"inverter": "edit_friendly", "network": "starter_control"},
}
"""What editors begin with: things are large here, and defaults made for photographs change too little; the
inversion that the benchmark's table is best with; and there is one ControlNet for this model."""


@dataclass(frozen=True)
class Report:
    """Figures of one model's weights in STATE/evaluate, kept as they are found; of other weights none."""

    folder: Path
    weights: str
    """A digest of the weights the figures are of."""

    @classmethod
    def of(cls, state: Path, model: Path) -> Report:
        """The report of a pipeline folder."""
        told = json.dumps(hashes(model), sort_keys=True)
        return cls(state / "evaluate", hashlib.sha256(told.encode()).hexdigest())

    @property
    def figures(self) -> Figures:
        """What was found so far."""
        file = self.folder / "report.json"
        kept = json.loads(file.read_text()) if file.exists() else {}
        return kept["figures"] if kept.get("weights") == self.weights else {}

    @property
    def sheets(self) -> list[Path]:
        """The pictures that go with the figures."""
        return sorted(self.folder.glob("*.png")) if self.figures else []

    def add(self, name: str, found: Figures) -> None:
        """Keep a group's figures; `name` stands for it, so that it is not measured again."""
        rounded = {
            key: round(value, 4) if isinstance(value, float) else value for key, value in found.items()
        }
        figures = {**self.figures, **rounded, f"{name}_measured": True}
        told = {"weights": self.weights, "figures": figures}
        write_json(self.folder / "report.json", told)

    def has(self, name: str) -> bool:
        """Whether a group was measured."""
        return f"{name}_measured" in self.figures


def wishes(settings: Settings) -> Figures:
    """What the program should begin edits with: as the card measures it, and `EDITORS`."""
    own = settings.evaluation
    return {"steps": own.steps, "guidance": own.guidance, "solver": "ddim", "editors": EDITORS}


def export_model(folder: Path, settings: Settings, out: Path | None = None) -> Path:
    """The averaged weights as a pipeline folder with card and notice, by default STATE/export."""
    out = out or folder / "export"
    run = diffusion_run(folder, settings, "cpu")
    if not run.resumed:
        raise InputError("No denoiser has been trained yet.", advice="Run: python -m starter_model diffusion")
    run.use(run.weights.average)
    painter = run.task.model
    assert isinstance(painter, Painter)
    assemble(out, painter, frozen_vae(folder), settings.diffusion)
    write_json(out / FILE, wishes(settings))
    vae = json.loads((frozen_vae(folder) / "training.json").read_text())
    stages = {
        "vae": {"views": vae["views"], "minutes": vae["minutes"]},
        "diffusion": {"views": run.clock.views, "minutes": run.clock.seconds / 60},
    }
    report = Report.of(folder, out)
    for sheet in report.sheets:
        write_whole(out / "samples" / sheet.name, sheet.read_bytes())
    note = {"views": run.clock.views, **stages}
    write_json(out / "training.json", note)
    history = History(stages, tuple(logged(folder / "diffusion" / "log.jsonl")))
    text = card(report.figures, history, hashes(out), [sheet.name for sheet in report.sheets])
    write_whole(out / "MODEL_CARD.md", text.encode())
    return out


def logged(log: Path) -> Iterator[dict[str, float]]:
    """The held-out measures of a stage, in the order they were taken."""
    for line in log.read_text().splitlines() if log.exists() else ():
        yield json.loads(line)


def groups(
    bench: Bench, folder: Path, *, photographs: bool, sides: tuple[int, ...]
) -> dict[str, Callable[[], Figures]]:
    """Every figure of the card, in groups; what may fail and what is wanted most comes first."""
    place = folder / "evaluate"

    def prompts() -> Figures:
        figures, pictures, said = measure_prompts(bench)
        write_sheet(place / "grid.png", pictures, said)
        return figures

    def swaps() -> Figures:
        figures, strip = measure_swaps(bench, folder / "export", place / "store")
        write_sheet(place / "edits.png", strip, columns=len(strip) // 3)
        return figures

    def inversion() -> Figures:
        figures, strip = measure_inversion(bench)
        write_sheet(place / "inversion.png", strip, columns=len(strip) // 3)
        return figures

    def words() -> Figures:
        share, wrong = measure_words(bench)
        return {"every_word": share, "words_wrong": wrong}

    def word_swap() -> Figures:
        said = [word for pair in zip(*SWAPS, strict=True) for word in pair]
        made = bench.paint(said, [*range(len(SWAPS))] * 2)
        write_sheet(place / "word_swap.png", made, said, columns=len(SWAPS))
        return {}

    return {
        "vae": lambda: measure_vae(bench, photographs=photographs),
        "inversion": inversion,
        "word_swap": word_swap,
        "prompts": prompts,
        "swaps": swaps,
        "words": words,
        "sizes": lambda: measure_sizes(bench, sides),
        "speed": lambda: measure_speed(bench),
    }


def evaluate(folder: Path, settings: Settings) -> Figures:
    """Measure STATE/export (made anew) into STATE/evaluate; a group that was measured is not measured again.

    Raises `InputError` where the judge is not finished.
    """
    judge, judged = trained_judge(folder)
    model = export_model(folder, settings)
    torch.set_num_threads(settings.workers.count)
    report = Report.of(folder, model)
    sprites, words = Sprites.load(folder / "data"), tuple(chosen(settings))
    bench = Bench(Parts.load(model), judge, sprites, words, settings.evaluation)
    megabytes = weights_size(model) / 1e6
    report.add("judge", {f"judge_{name}": value for name, value in judged.items()} | {"megabytes": megabytes})
    photographs, sides = bool(settings.vae.photographs), settings.diffusion.sizes[1:]
    for name, found in groups(bench, folder, photographs=photographs, sides=sides).items():
        if not report.has(name):
            report.add(name, found())
            print(f"evaluate: {name} measured", flush=True)
    export_model(folder, settings)
    print(json.dumps(report.figures))
    return report.figures
