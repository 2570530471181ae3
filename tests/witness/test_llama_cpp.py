"""The server of llama.cpp, with the toy: `nox -s served` installs it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf_files
import pytest
import witnessed
from served_faults import merged_in_fp32, scaled

from sft_ref.reference.bases.find import TOY
from sft_ref.witnessing.serving.comparing import ServedVerdict
from sft_ref.witnessing.serving.endpoint import verify_endpoint

xllamacpp = pytest.importorskip("xllamacpp", reason="`nox -s served` installs the server of llama.cpp")

WAYS: dict[str, tuple[ServedVerdict, Callable[[Path], Any], str]] = {
    "merged": ("trained model", merged_in_fp32, witnessed.TEMPLATE),
    "base": ("base model: the adapter has no effect", lambda folder: witnessed.load_toy(), witnessed.TEMPLATE),
    "half its scaling": ("drift", lambda folder: scaled(folder).merge_and_unload(), witnessed.TEMPLATE),
    "template of the base": ("another template or tokenizer", merged_in_fp32, ""),
}
"""Name -> verdict, what is served, and its chat template; "" for that of the base."""


@pytest.mark.parametrize("name", WAYS)
def test_llama_cpp_is_told(name: str, trained_mixed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    verdict, load, template = WAYS[name]
    changes = {"tokenizer.chat_template": template} if template else {}
    with witnessed.no_warnings():
        file = gguf_files.write_model(tmp_path / "model.gguf", load(trained_mixed), TOY, changes)
    params = xllamacpp.CommonParams()
    params.model.path = str(file)
    params.n_ctx = 1024
    params.port = 0
    params.warmup = False
    server = xllamacpp.Server(params)
    found = verify_endpoint(server.listening_address, trained_mixed)
    assert found.verdict == verdict, str(found)
