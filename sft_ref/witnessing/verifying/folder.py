"""Compares the files in a folder, and the model as loaded by peft, with the record in the folder."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from sft_ref.errors import AdapterError, BaseModelError, SftRefError
from sft_ref.harness.recorders.folder.expected import RefusedError, peft_refusals, put_adapter
from sft_ref.harness.recorders.folder.files import find_files
from sft_ref.harness.recorders.folder.loading import load_base
from sft_ref.harness.recorders.folder.tensors.streaming import StoredTensors
from sft_ref.harness.recorders.folder.tokenizers import load_tokenizer_of
from sft_ref.io.base_config import read_config as read_base_config
from sft_ref.io.foreign import foreign_files
from sft_ref.io.lora_config import CONFIG, AdapterConfig, base_of, read_lora, read_table
from sft_ref.io.reading import UnreadableError
from sft_ref.io.tensor_headers import READABLE
from sft_ref.reference.bases.find import find_base
from sft_ref.reference.precision import Policy
from sft_ref.witnessing.record.fingerprints import fingerprint_tensor, lora_settings
from sft_ref.witnessing.record.layers import is_of_adapter
from sft_ref.witnessing.record.probes import as_trained
from sft_ref.witnessing.record.schema import StoredRecord, TensorFingerprint, read_stored

from .adapters import compare_lora, compare_tensors
from .result import RecordDifference, Verification, in_order, join
from .tokenizers import compare_template, compare_tokenizer
from .verify import verify_loaded


def verify_folder(folder: Path, base: str | None = None) -> Verification:
    """Compares an adapter folder with its record: files and tokenizer first, then the loaded model.

    No code from the folder is executed. Differences in the files are found without the base model's weights.

    Args:
        folder: folder with the adapter and its record.
        base: the adapter's base model; None takes the one in the configuration.

    Raises:
        AdapterError: there is no readable record, or no adapter.
        BaseModelError: the base model is not available, and the files are as recorded.
    """
    stored = read_stored(folder)
    try:
        table = read_table(folder)
    except UnreadableError as error:
        raise AdapterError(f"{folder}: {error}; give the folder of an adapter") from error
    named = base or base_of(table) or stored.record.base
    tensors: dict[str, torch.Tensor] = {}
    artifact = Verification(in_order(_compare_files(stored, folder, table, tensors)), ("artifact",))
    tokens = _compare_tokenizer(stored, folder, base)
    first = join(artifact, tokens)
    if not tensors:
        return join(first, Verification((), (), notes=("the adapter cannot be read: it is not loaded",)))
    try:
        model = _load(stored, folder, named, tensors, fetch=base is not None)
    except (AdapterError, BaseModelError, RefusedError) as error:
        if first.ok:
            raise error if isinstance(error, SftRefError) else AdapterError(f"{folder}: {error}") from error
        return join(first, Verification((), (), notes=(f"it is not loaded: {error}",)))
    device = next(model.parameters()).device
    with as_trained(device, stored.record.precision.autocast):
        loaded = verify_loaded(stored, model, None)
    return join(first, loaded)


def _compare_files(
    stored: StoredRecord, folder: Path, table: dict[str, Any], tensors: dict[str, torch.Tensor]
) -> Iterator[RecordDifference]:
    """Reports differences of the files; adds the tensors to `tensors` if they can be read."""
    yield from compare_lora(stored.record, lora_settings(table), "artifact", CONFIG)
    files = find_files(folder)
    headers = files.headers or {}
    damage = files.damage or ("" if files.weights else "there is no file of tensors")
    if any(header.dtype not in READABLE for header in headers.values()):
        damage = "it holds tensors that are not floating-point numbers"
    if not damage:
        try:
            found: dict[str, TensorFingerprint] = {}
            for name, tensor in StoredTensors(headers).items():
                tensors[name], found[name] = tensor, fingerprint_tensor(tensor)
        except UnreadableError as error:
            damage = str(error)
            tensors.clear()
    if damage:
        yield RecordDifference("artifact", f"its tensors cannot be read: {damage}", "copy the folder again")
        return
    yield from compare_tensors(stored.record, found, "artifact", "the file")


def _compare_tokenizer(stored: StoredRecord, folder: Path, base: str | None) -> Verification:
    if stored.record.tokenizer is None:
        return Verification((), (), notes=("the record has no tokenizer: the tokenizer is not compared",))
    try:
        found = load_tokenizer_of(folder, base)
        with foreign_files(BaseModelError, f"{folder}: its tokenizer does not work"):
            differences = [
                *compare_tokenizer(stored.record, found.tokenizer),
                *compare_template(stored.record, found.template, found.tokenizer),
            ]
    except BaseModelError as error:
        return Verification(
            (RecordDifference("tokenizer", f"it cannot be loaded ({error})", "save the tokenizer beside the adapter"),),
            ("tokenizer", "template"),
        )
    return Verification(in_order(differences), ("tokenizer", "template"))


def _load(
    stored: StoredRecord, folder: Path, named: str | None, tensors: dict[str, torch.Tensor], *, fetch: bool
) -> Any:  # noqa: ANN401
    """Loads the base model as trained, with the folder's adapter, by peft.

    Raises:
        AdapterError: the adapter's configuration cannot be used, or no base model is named.
        BaseModelError: the base model is not available.
        RefusedError: peft refuses to load the adapter.
    """
    from peft import set_peft_model_state_dict

    if named is None:
        raise AdapterError(f"{folder}: names no base; give --base")
    config = read_lora(folder)
    trained = stored.record.precision
    policy = Policy("recorded", _known(trained.base), "float32", None, "", attention=_attention(trained.attention))
    base = find_base(named, fetch=fetch)
    model = load_base(base, _rows(base, tensors), policy)
    peft_model = _put(model, config, tensors)
    with peft_refusals(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        set_peft_model_state_dict(peft_model, dict(tensors))
    return peft_model.eval()


def _put(model: Any, config: AdapterConfig, tensors: dict[str, torch.Tensor]) -> Any:  # noqa: ANN401
    """Adds an empty adapter in the dtype of the file, so that loading does not round."""
    peft_model = put_adapter(model, config)
    dtype = next(iter(tensors.values())).dtype
    for name, parameter in peft_model.named_parameters():
        if is_of_adapter(name):
            parameter.data = parameter.data.to(dtype)
    return peft_model


def _rows(base: Path, tensors: dict[str, torch.Tensor]) -> int:
    """Returns the number of embedding rows: those in the file if it contains an embedding, else the base model's."""
    own = [t.shape[0] for name, t in tensors.items() if name.endswith(("embed_tokens.weight", "lm_head.weight"))]
    return max(own) if own else int(read_base_config(base).get_text_config().vocab_size)


def _known(dtype: str) -> str:
    return dtype if dtype in {"float32", "float16", "bfloat16"} else "float32"


def _attention(backend: str | None) -> str:
    """Returns the recorded backend if it is a built-in one: a record must not name code to download."""
    return backend if backend in {"eager", "sdpa"} else "sdpa"
