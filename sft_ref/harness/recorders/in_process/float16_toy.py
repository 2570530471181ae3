"""The toy base model with a configuration that names float16, to test whether an implementation follows it."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

from sft_ref.io.base_config import CONFIG
from sft_ref.reference.bases import find
from sft_ref.reference.bases.find import find_base


@contextlib.contextmanager
def float16_toy(folder: Path) -> Iterator[None]:
    """Replaces the toy within the block by a copy in a subfolder of `folder` whose configuration names float16."""
    twin = Path(shutil.copytree(find_base("toy"), folder / "float16_base"))
    config = json.loads((twin / CONFIG).read_text(encoding="utf-8"))
    config.pop("dtype", None)
    (twin / CONFIG).write_text(json.dumps(config | {"torch_dtype": "float16"}), encoding="utf-8")
    with mock.patch.object(find, "TOY", twin):
        yield
