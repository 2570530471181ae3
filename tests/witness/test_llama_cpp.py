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


def parameters(file: Path) -> Any:
    """Of a server of that file on loopback, on any free port."""
    params = xllamacpp.CommonParams()
    params.model.path = str(file)
    params.n_ctx = 1024
    params.port = 0
    params.warmup = False
    return params


@pytest.mark.parametrize("name", WAYS)
def test_llama_cpp_is_told(name: str, trained_mixed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    verdict, load, template = WAYS[name]
    changes = {"tokenizer.chat_template": template} if template else {}
    with witnessed.no_warnings():
        file = gguf_files.write_model(tmp_path / "model.gguf", load(trained_mixed), TOY, changes)
    params = parameters(file)
    server = xllamacpp.Server(params)
    found = verify_endpoint(server.listening_address, trained_mixed)
    assert found.verdict == verdict, str(found)


@pytest.mark.parametrize(("is_exact", "verdict"), [(True, "trained model"), (False, "drift")])
def test_keys_and_values_in_fp16_are_drift(
    is_exact: bool, verdict: ServedVerdict, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    changes = {"tokenizer.chat_template": witnessed.TEMPLATE}
    with witnessed.no_warnings():
        params = parameters(gguf_files.write_model(tmp_path / "model.gguf", merged_in_fp32(trained), TOY, changes))
    if is_exact:
        params.cache_type_k = params.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
        params.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
    server = xllamacpp.Server(params)
    found = verify_endpoint(server.listening_address, trained)
    assert found.verdict == verdict, str(found)
    assert found.found.kinds == (set() if is_exact else {"precision"})
