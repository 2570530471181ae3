"""Builds a local hub cache in which all hub ids resolve to one base model, so that code runs unchanged and offline.

The layout is that of huggingface_hub's cache: `models--OWNER--NAME/refs/main` and `snapshots/REVISION/`.
"""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Iterable
from pathlib import Path

from sft_ref.errors import BaseModelError
from sft_ref.io.base_config import CONFIG
from sft_ref.io.plain_files import LeftOut, open_file, walk

FAMILY = tuple(f"HuggingFaceTB/SmolLM2-{size}{kind}" for size in ("135M", "360M", "1.7B") for kind in ("", "-Instruct"))
FILES = "files"
"""The folder of the cache that contains the actual files."""
SUFFIXES = frozenset({".py", ".json", ".toml", ".yaml", ".yml", ".env", ".cfg", ".ini", ".sh"})
MOST = 200
"""Maximum number of ids in the cache, those in the shallowest files first; real code names a few."""
LARGEST = 2**20
"""Maximum size of a file that is searched for ids, in bytes; larger files are data."""
ID = re.compile(r"(?<![\w./\\@-])([A-Za-z0-9][\w.-]{0,95})/([A-Za-z0-9][\w.-]{0,95})(?![\w/\\{-])")
MODEL = re.compile(
    r"\d[mb](?![a-z])|smol|llama|qwen|gpt|gemma|phi|mistral|mixtral|opt-|bloom|pythia|falcon|olmo|granite|stablelm"
    r"|deepseek|instruct|chat",
    re.IGNORECASE,
)
"""A size (135M, 1.7b) or a family: it distinguishes the name of a model from a path or a media type."""


def make_hub(cache: Path, base: Path, ids: Iterable[str]) -> None:
    """Builds a cache in which every id has the files of one base model; `HF_HUB_CACHE` makes readers use it.

    The files are copied once, and linked within the cache, so that the cache can be mounted elsewhere.

    Args:
        cache: a folder that does not exist yet.
        base: a folder with a config, weights and a tokenizer.
        ids: hub ids, as `owner/name`.

    Raises:
        BaseModelError: the base model has no config.json.
    """
    if not (base / CONFIG).is_file():
        raise BaseModelError(f"base {base} holds no config.json; give the folder of a model")
    files = cache / FILES
    files.mkdir(parents=True)
    for path in base.iterdir():
        if path.is_file():
            shutil.copyfile(path, files / path.name)
    for name in ids:
        model = cache / f"models--{name.replace('/', '--')}"
        revision = hashlib.sha1(name.encode(), usedforsecurity=False).hexdigest()  # as long as a commit hash
        snapshot = model / "snapshots" / revision
        snapshot.mkdir(parents=True)
        for path in files.iterdir():
            (snapshot / path.name).symlink_to(Path("../../..") / FILES / path.name)
        (model / "refs").mkdir()
        (model / "refs" / "main").write_text(revision, encoding="ascii")


def ids_in(source: Path) -> set[str]:
    """Finds the hub ids in a submission's code and settings, and adds the SmolLM2 family.

    Args:
        source: the folder of the submission. A text that begins with the name of one of its folders is a path, not an
            id.
    """
    entries = [entry for listed in walk(source, LeftOut()) for entry in listed]
    folders = {entry.parts[-1] for entry in entries if entry.kind == "folder"} | {source.name}
    found = dict.fromkeys(FAMILY)
    for entry in entries:
        path = Path(entry.parts[-1])
        if entry.kind != "file" or entry.size > LARGEST:
            continue
        if path.suffix.lower() not in SUFFIXES and path.name != ".env":
            continue
        with open_file(source, entry.parts) as file:
            text = file.read(LARGEST).decode(errors="replace")
        for owner, name in ID.findall(text):
            if len(found) < MOST and _is_model(owner, name, folders):
                found[f"{owner}/{name}"] = None
    return set(found)


def _is_model(owner: str, name: str, folders: set[str]) -> bool:
    plain = owner not in folders and Path(name).suffix.lower() not in SUFFIXES | {".txt", ".md", ".safetensors", ".bin"}
    return plain and MODEL.search(name) is not None and not name.endswith((".", "-"))
