"""The tokenizer: CLIP's byte-pair encoding, trained until every word of the world is one token."""

from __future__ import annotations

import json
from collections import Counter
from itertools import pairwise
from pathlib import Path

from transformers import CLIPTokenizer

from starter_model.captions import SIZE_WORDS
from starter_model.concepts import concepts
from starter_model.recolour import COLOURS
from starter_model.state import write_whole
from starter_model.world import BACKGROUNDS

START, END = "<|startoftext|>", "<|endoftext|>"
LENGTH = 32
SMALL_WORDS = (
    "a an the and of on in at left right behind beside with to is not no one two nothing "
    "picture icon photo image drawing background grey light dark bright"
)
ORDERS = (  # what instructions are made of; the instructed sibling shares this vocabulary
    "make turn into put it move remove take away add replace change colour color smaller bigger small big "
    "mark pixels draw circle around leave rest unchanged noise blur watermark from sharper clean up next "
    "swap give more less paint middle centre center"
)


def words() -> list[str]:
    """Every word that gets a token of its own, sorted."""
    phrases = [*concepts(), *COLOURS, *BACKGROUNDS, SMALL_WORDS, ORDERS]
    for sizes in SIZE_WORDS.values():
        phrases.extend(sizes)
    return sorted({word for phrase in phrases for word in phrase.split()})


def byte_letters() -> list[str]:
    """GPT-2's printable stand-ins for the 256 bytes, in their published order."""
    kept = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    return [chr(b) for b in kept] + [chr(256 + n) for n in range(256 - len(kept))]


def merge(pieces: tuple[str, ...], pair: tuple[str, str]) -> tuple[str, ...]:
    """The pieces with every occurrence of the pair joined."""
    joined: list[str] = []
    for piece in pieces:
        if joined and (joined[-1], piece) == pair:
            joined[-1] += piece
        else:
            joined.append(piece)
    return tuple(joined)


def learn_merges(known: list[str]) -> list[tuple[str, str]]:
    """Byte-pair merges, most frequent first, until each word is one piece (its last letter carries </w>)."""
    spelled = [(*word[:-1], word[-1] + "</w>") for word in known]
    merges: list[tuple[str, str]] = []
    while True:
        pairs = Counter(pair for pieces in spelled for pair in pairwise(pieces))
        if not pairs:
            return merges
        best = max(sorted(pairs), key=lambda pair: pairs[pair])
        merges.append(best)
        spelled = [merge(pieces, best) for pieces in spelled]


def write_tokenizer(folder: Path) -> CLIPTokenizer:
    """Write vocab.json, merges.txt and what CLIPTokenizer saves beside them; returns the tokenizer."""
    letters = byte_letters()
    merges = learn_merges(words())
    tokens = [
        *letters,
        *(letter + "</w>" for letter in letters),
        *dict.fromkeys(a + b for a, b in merges),
        START,
        END,
    ]
    vocab = {token: index for index, token in enumerate(tokens)}
    lines = "\n".join(["#version: 0.2", *(f"{a} {b}" for a, b in merges)]) + "\n"
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / "vocab.json", json.dumps(vocab, ensure_ascii=False).encode())
    write_whole(folder / "merges.txt", lines.encode())
    tokenizer = CLIPTokenizer(
        str(folder / "vocab.json"),
        str(folder / "merges.txt"),
        bos_token=START,
        eos_token=END,
        pad_token=END,
        unk_token=END,
        model_max_length=LENGTH,
    )
    tokenizer.save_pretrained(folder)
    return tokenizer
