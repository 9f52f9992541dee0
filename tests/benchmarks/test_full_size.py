"""Stable Diffusion 1.5 at full size with random weights; by name: `pytest -m slow tests/benchmarks -s`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from PIL import Image
from transformers import CLIPTextConfig, CLIPTextModel

from tests.checkpoints import SD_BLOCKS, TOKENIZER, Tiny

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

WORDS = 49408
MOST_MEMORY = 9.0
"""GB a run may take at its largest: 4.2 of weights in float32, and what a decode of 512 pixels holds."""
RUN = """
import atexit, resource, sys
def tell():
    print("PEAK", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, file=sys.stderr, flush=True)
atexit.register(tell)
from sfumato.cli import main
sys.argv = ["sfumato", *sys.argv[1:]]
main()
"""


def stable_diffusion() -> Tiny:
    """The published configuration; float16, as checkpoints are kept."""
    torch.manual_seed(0)
    unet = UNet2DConditionModel(
        sample_size=64,
        block_out_channels=(320, 640, 1280, 1280),
        cross_attention_dim=768,
        attention_head_dim=8,
        **SD_BLOCKS,
    )
    vae = AutoencoderKL(
        block_out_channels=(128, 256, 512, 512),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=2,
        latent_channels=4,
    )
    text = CLIPTextConfig(
        hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12
    )
    return Tiny({"unet": unet.half(), "vae": vae.half(), "text_encoder": CLIPTextModel(text).half()})


def widened_tokenizer(target: Path) -> None:
    """A tokenizer with as many words as CLIP's, of which the starter's are the ones in use."""
    words = json.loads((TOKENIZER / "vocab.json").read_text())
    used = [word for word in words if not word.startswith("<|")]
    filled = [*used, *(f"<|{k}|>" for k in range(len(used), WORDS - 2)), "<|startoftext|>", "<|endoftext|>"]
    target.mkdir(exist_ok=True)
    (target / "vocab.json").write_text(json.dumps({word: k for k, word in enumerate(filled)}))
    (target / "merges.txt").write_text((TOKENIZER / "merges.txt").read_text())
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (target / name).unlink(missing_ok=True)


def test_a_full_size_model_edits_in_the_memory_it_is_said_to_need(tmp_path: Path) -> None:
    model = stable_diffusion().save_file(tmp_path / "full-size.safetensors", original=True)
    widened_tokenizer(tmp_path / "tokenizer")
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    Image.fromarray(pixels).resize((512, 512)).save(tmp_path / "in.png")
    began = time.perf_counter()
    done = subprocess.run(
        [
            *(sys.executable, "-c", RUN, "edit", "in.png", "--target", "a cat", "--method", "ddim_naive"),
            *("--steps", "2", "--model", str(model), "-o", "out.png"),
        ],
        cwd=tmp_path,
        env=os.environ | {"SFUMATO_HOME": str(tmp_path / "home")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    peak = int(done.stderr.rpartition("PEAK ")[2]) / 1e9
    seconds = time.perf_counter() - began
    size = model.stat().st_size / 1e9
    print(f"\nfile {size:.2f} GB, peak {peak:.2f} GB, {seconds:.0f} s for an edit of two steps")
    with Image.open(tmp_path / "out.png") as made:
        assert made.size == (512, 512)
    assert peak < MOST_MEMORY
