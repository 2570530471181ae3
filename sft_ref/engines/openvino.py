"""A merged model that OpenVINO computes and OpenVINO GenAI asks, with the interface of a model of transformers."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any

import msgspec
import torch
import transformers

from sft_ref.errors import EngineError
from sft_ref.io.foreign import foreign_files
from sft_ref.io.lora_config import AdapterConfig
from sft_ref.reference.bases.cache import in_cache
from sft_ref.reference.bases.find import fingerprint_base
from sft_ref.reference.fingerprints import digest, fingerprint_adapter

from . import int8, openvino_export
from .openvino_compiled import Compiled, properties

if TYPE_CHECKING:
    from transformers import GenerationConfig, PreTrainedModel

BATCH_TOKENS = 16_384
"""Tokens that are scheduled together, `max_num_batched_tokens`: all prompts at once. OpenVINO GenAI's own 256 take
them by and by, in more steps (docs/engines.md)."""

_KNOWN = {"max_new_tokens", "eos_token_id", "pad_token_id", "transformers_version"}
"""Settings of a continuation that are followed."""

KEPT = 4
"""Exported models that stay in the cache, which are as large as the model in float32."""

EXPORTED = "fp32+sdpa"
"""Policy that base and adapter are merged under before the export: float32, with the attention that OpenVINO knows."""


@dataclass(frozen=True)
class ExportKind:
    """What is exported, and what it is computed in.

    Attributes:
        weights: as `openvino_export.export` takes them.
        computes: in OpenVINO's word; keys and values are kept in it as well.
        coarsest: the dtype that rounds most.
    """

    weights: str
    computes: str
    coarsest: str


KINDS = {
    "fp32": ExportKind("fp32", "f32", "float32"),
    "bf16": ExportKind("fp32", "bf16", "bfloat16"),
    "int8": ExportKind("int8", "bf16", "bfloat16"),
}
"""By the word that follows ``openvino-`` in the name of a way to load."""


def check_installed() -> str:
    """The version of OpenVINO GenAI.

    Raises:
        EngineError: it is not installed.
    """
    try:
        return metadata.version("openvino-genai")
    except metadata.PackageNotFoundError as error:
        raise EngineError(
            "the engine openvino: openvino-genai is not installed; pip install 'sft-ref[openvino]'"
        ) from error


class OpenVinoModel(torch.nn.Module):
    """An exported model, asked as one of transformers is: `forward` for logits, `generate` for greedy continuations.

    Logits come from OpenVINO's plain computation, and continuations from continuous batching, whose attention is
    another kernel. Has no weights that torch could see.

    Args:
        folder: as `exported` gives it.
        kind: what it is computed in.
        generation_config: that the base brings.

    Raises:
        EngineError: OpenVINO GenAI is not installed, or cannot compute so here.
    """

    def __init__(self, folder: Path, kind: ExportKind, generation_config: GenerationConfig) -> None:
        super().__init__()
        self.version, self.properties = check_installed(), properties(kind.computes)
        self.folder, self.kind, self.generation_config = folder, kind, generation_config
        self.config = transformers.AutoConfig.from_pretrained(folder)
        self.place = torch.nn.Parameter(torch.empty(0), requires_grad=False)  # whose device is asked for
        self._compiled: Compiled | None = None
        self._pipeline: Any = None

    def __repr__(self) -> str:
        weights = "in 8 bits" if self.kind.weights == "int8" else "in float32"
        return f"OpenVINO GenAI {self.version}: merged in float32, stored {weights}, computed in {self.kind.computes}"

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor, position_ids: torch.Tensor
    ) -> SimpleNamespace:
        """Logits of each token, fp32 of shape (rows, tokens, vocabulary), as attribute `logits`."""
        self._compiled = self._compiled or Compiled(self.folder / openvino_export.MODEL, self.properties)
        self._compiled.begin()
        return SimpleNamespace(logits=self._compiled.go_on(input_ids, attention_mask, position_ids))

    def generate(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        generation_config: GenerationConfig,
        **_: object,  # a decoding loop for transformers
    ) -> torch.Tensor:
        """Prompts and what follows them, padded behind a row's end: int64 of shape (rows, prompt and new tokens).

        Args:
            input_ids: (rows, longest prompt), padded on the left.
            attention_mask: of the same shape.
            generation_config: the end tokens, the padding and the most new tokens are taken from it.

        Raises:
            EngineError: it asks for more than greedy continuations, or OpenVINO GenAI fails.
        """
        import openvino
        import openvino_genai

        _check_greedy(generation_config)
        settings = openvino_genai.GenerationConfig()
        settings.max_new_tokens, settings.do_sample = generation_config.max_new_tokens, False
        settings.stop_token_ids = set(_listed(generation_config.eos_token_id))
        prompts = [ids[seen.bool()].cpu() for ids, seen in zip(input_ids, attention_mask, strict=True)]
        with foreign_files(EngineError, "OpenVINO GenAI cannot answer"):
            given = [openvino.Tensor(ids[None].numpy()) for ids in prompts]
            found = self._batching().generate(given, [settings] * len(given))
            new = [torch.tensor(each.m_generation_ids[0], dtype=torch.int64) for each in found]
        if not all(map(len, new)):
            raise EngineError("OpenVINO GenAI left a prompt without an answer; ask fewer at a time, or free memory")
        filled = torch.nn.utils.rnn.pad_sequence(
            new, batch_first=True, padding_value=float(generation_config.pad_token_id or 0)
        )
        return torch.cat([input_ids, filled.to(input_ids.device)], 1)

    def _batching(self) -> Any:  # noqa: ANN401  # a ContinuousBatchingPipeline
        import openvino_genai

        if self._pipeline is None:
            scheduler = openvino_genai.SchedulerConfig()
            scheduler.max_num_batched_tokens = BATCH_TOKENS
            self._pipeline = openvino_genai.ContinuousBatchingPipeline(self.folder, scheduler, "CPU", self.properties)
        return self._pipeline


def exported(
    base: Path,
    config: AdapterConfig,
    tensors: Mapping[str, torch.Tensor],
    weights: str,
    merge: Callable[[], PreTrainedModel],
) -> Path:
    """The folder of an adapter with its base as OpenVINO reads it, from the cache where it is there.

    Args:
        base: folder of the base.
        config: of the adapter.
        tensors: of the adapter.
        weights: as `openvino_export.export` takes them.
        merge: gives base and adapter merged, in float32 and with torch's fused attention.

    Raises:
        EngineError: OpenVINO GenAI is not installed, or does not take the model.
        BaseModelError: the cache cannot be written.
    """
    version = check_installed()
    made_by = [version, torch.__version__, transformers.__version__, *map(_digest_of, (openvino_export, int8))]
    configured = msgspec.json.encode(config, order="deterministic").decode()
    parts = [fingerprint_base(base), configured, fingerprint_adapter(tensors), weights, made_by]
    name = f"openvino-{digest(parts)[:16]}"
    folder = in_cache(name, lambda scratch: openvino_export.export(merge(), scratch, weights=weights))
    with contextlib.suppress(OSError):  # a cache that others have made may be read-only
        os.utime(folder)
        others = sorted(folder.parent.glob("openvino-*"), key=lambda each: each.stat().st_mtime, reverse=True)
        for old in others[KEPT:]:
            shutil.rmtree(old)
    return folder


def _digest_of(module: ModuleType) -> str:
    return hashlib.sha256(Path(str(module.__file__)).read_bytes()).hexdigest()


def _check_greedy(config: GenerationConfig) -> None:
    """Raises where a setting asks for more; None, False and 1 are how one is left out."""
    given = {name: value for name, value in config.to_diff_dict().items() if name not in _KNOWN}
    unknown = [name for name, value in given.items() if value is True or value not in (None, False, 1)]
    if unknown:
        raise EngineError(
            f"the engine openvino continues greedily, without {', '.join(sorted(unknown))}; use --engine transformers"
        )


def _listed(value: int | list[int] | None) -> list[int]:
    return value if isinstance(value, list) else [] if value is None else [value]
