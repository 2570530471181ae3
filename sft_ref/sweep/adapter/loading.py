"""The ways to load an adapter: under a policy, on top of its base or merged into it."""

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
        name: name as the user typed it.
        policy: policy of the loaded model.
        is_merged: whether the adapter is merged in fp32, and the sum stored in the policy's storage dtype.
        engine: OpenVINO's format and precision for the merged model; None if torch computes.
    """

    name: str
    policy: Policy
    is_merged: bool
    engine: ExportKind | None = None

    @property
    def coarsest(self) -> str:
        """The dtype that rounds most among the model's storage and compute dtypes."""
        if self.engine is not None:
            return self.engine.coarsest
        return max((self.policy.storage, self.policy.computes), key=lambda dtype: tolerance.WEIGHTS[dtype])


def find_way(name: str) -> Way:
    """Returns the way with a name: a policy, ``merged-`` and a policy for a merged model, or ``openvino-`` and a kind.

    Raises:
        PrecisionError: the name contains no known policy, or no known kind of OpenVINO model.
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
    """An adapter and its base, as stored in their files.

    Attributes:
        base: folder of the base.
        config: configuration of the adapter.
        tensors: tensors of the adapter, by their names in the file.
        rows: number of rows of the embedding with which the adapter was trained.
    """

    base: Path
    config: AdapterConfig
    tensors: Mapping[str, torch.Tensor]
    rows: int


def read_adapter(folder: Path, base: str | None) -> StoredAdapter:
    """Reads an adapter folder.

    Args:
        folder: folder of the adapter.
        base: base of the adapter; None takes the one that its configuration names.

    Raises:
        AdapterError: the folder contains no complete LoRA adapter for this base.
        BaseModelError: the base is not available.
    """
    hint = f"examine it with `sft-ref grade {folder}`"
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
    """Returns the generation settings of a base, as its model would have them."""
    try:
        return GenerationConfig.from_pretrained(base)
    except OSError:
        return GenerationConfig.from_model_config(AutoConfig.from_pretrained(base))


def load(adapter: StoredAdapter, way: Way) -> Any:  # noqa: ANN401  # a PeftModel, the merged model, or an OpenVinoModel
    """Loads the adapter with its base from their files, in evaluation mode.

    Raises:
        AdapterError: peft refuses this adapter on this base.
        EngineError: OpenVINO cannot run the model.
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
        raise AdapterError(f"peft cannot load the adapter ({error}); examine it with `sft-ref grade`") from error
    if way.is_merged:
        loaded = loaded.merge_and_unload().to(getattr(torch, way.policy.storage))
    return loaded.eval()
