"""The ways to load an adapter: under a policy, beside its base or merged into it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from transformers import AutoConfig, GenerationConfig

from sft_ref.engines.openvino import EXPORTED, KINDS, ExportKind, OpenVinoModel, check_installed, exported
from sft_ref.errors import AdapterError, PrecisionError
from sft_ref.harness.core import tolerance
from sft_ref.harness.recorders.folder.expected import RefusedError, find_expected
from sft_ref.harness.recorders.folder.files import find_files
from sft_ref.harness.recorders.folder.loading import attach, load_base
from sft_ref.harness.recorders.folder.tensors.streaming import StoredTensors
from sft_ref.io.lora_config import AdapterConfig, ConfigError, base_of, read_config, read_table, why_not_judged
from sft_ref.io.reading import UnreadableError
from sft_ref.reference.bases.find import find_base
from sft_ref.reference.precision import POLICIES, Policy, find_policy

if TYPE_CHECKING:
    from collections.abc import Mapping

MERGED, OPENVINO = "merged-", "openvino-"


@dataclass(frozen=True)
class Way:
    """One way to load: ``bf16``, ``fp32+sdpa``, ``merged-bf16``, ``openvino-int8``.

    Attributes:
        name: as the user wrote it.
        policy: of the loaded model.
        is_merged: whether the adapter is merged in fp32, and the sum stored as the policy says.
        engine: what OpenVINO computes the merged model in; None where torch does.
    """

    name: str
    policy: Policy
    is_merged: bool
    engine: ExportKind | None = None

    @property
    def coarsest(self) -> str:
        """The dtype that rounds most, of those that the model stores and computes in."""
        if self.engine is not None:
            return self.engine.coarsest
        return max((self.policy.storage, self.policy.computes), key=lambda dtype: tolerance.WEIGHTS[dtype])


def find_way(name: str) -> Way:
    """The way of that name: a policy, with ``merged-`` before it for a merged model, or a kind behind ``openvino-``.

    Raises:
        PrecisionError: the name holds no policy, or no kind of OpenVINO's.
        EngineError: OpenVINO GenAI is not installed.
    """
    if name.startswith(OPENVINO):
        if (kind := name.removeprefix(OPENVINO)) not in KINDS:
            raise PrecisionError(f"--load {name}: choose {OPENVINO}{f', {OPENVINO}'.join(KINDS)}")
        check_installed()
        return Way(name, find_policy(EXPORTED), is_merged=True, engine=KINDS[kind])
    try:
        return Way(name, find_policy(name.removeprefix(MERGED)), name.startswith(MERGED))
    except PrecisionError as error:
        raise PrecisionError(
            f"--load {name}: {error}; for a merged model write {MERGED} before a policy, or"
            f" {OPENVINO} before one of {', '.join(KINDS)}"
        ) from error


@dataclass(frozen=True)
class StoredAdapter:
    """An adapter and its base, as their files have them.

    Attributes:
        base: folder of the base.
        config: of the adapter.
        tensors: of the adapter, by their names in the file.
        rows: of the embedding that the adapter was trained with.
    """

    base: Path
    config: AdapterConfig
    tensors: Mapping[str, torch.Tensor]
    rows: int


def read_adapter(folder: Path, base: str | None) -> StoredAdapter:
    """Reads an adapter folder.

    Args:
        folder: of the adapter.
        base: of the adapter; None takes the one that its configuration names.

    Raises:
        AdapterError: the folder holds no whole LoRA adapter for this base.
        BaseModelError: the base is not at hand.
    """
    hint = f"`sft-ref grade {folder}` examines it"
    try:
        table = read_table(folder)
        if reason := why_not_judged(table):
            raise AdapterError(f"{folder}: {reason}; give a LoRA adapter")
        config = read_config(table)
    except (UnreadableError, ConfigError) as error:
        raise AdapterError(f"{folder}: its configuration cannot be used ({error}); {hint}") from error
    named = base or base_of(table)
    if named is None:
        raise AdapterError(f"{folder}: its configuration names no base; give --base")
    base_folder = find_base(named, fetch=base is not None)
    files = find_files(folder)
    if files.damage or files.missing or not files.headers:
        raise AdapterError(f"{folder}: its tensors cannot be read; {hint}")
    try:
        expected = find_expected(base_folder, config, files.headers)
    except RefusedError as error:
        raise AdapterError(f"{folder}: does not fit its base ({error}); {hint}") from error
    return StoredAdapter(base_folder, config, dict(StoredTensors(files.headers)), expected.rows)


def _generation_config(base: Path) -> GenerationConfig:
    """The settings that a base brings, as its model has them."""
    try:
        return GenerationConfig.from_pretrained(base)
    except OSError:
        return GenerationConfig.from_model_config(AutoConfig.from_pretrained(base))


def load(adapter: StoredAdapter, way: Way) -> Any:  # noqa: ANN401  # a PeftModel, the merged model, or an OpenVinoModel
    """The adapter with its base, loaded from their files, in evaluation mode.

    Raises:
        AdapterError: peft refuses the two together.
        EngineError: OpenVINO does not take the model.
    """
    if way.engine is not None:
        merge = partial(load, adapter, replace(way, engine=None))
        folder = exported(adapter.base, adapter.config, adapter.tensors, way.engine.weights, merge)
        return OpenVinoModel(folder, way.engine, _generation_config(adapter.base)).eval()
    stored = replace(POLICIES["fp32"], attention=way.policy.attention) if way.is_merged else way.policy
    model = load_base(adapter.base, adapter.rows, stored)
    dtype = getattr(torch, stored.adapter)
    try:
        loaded: Any = attach(model, adapter.tensors, adapter.config, dtype)
    except RefusedError as error:
        raise AdapterError(f"peft does not load the adapter ({error}); `sft-ref grade` examines it") from error
    if way.is_merged:
        loaded = loaded.merge_and_unload().to(getattr(torch, way.policy.storage))
    return loaded.eval()
