"""Runs a merged model with OpenVINO and OpenVINO GenAI, with the interface of a model of transformers."""

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
"""Tokens that are scheduled together, `max_num_batched_tokens`: enough for all prompts at once. OpenVINO GenAI's
default of 256 takes more steps (docs/engines.md)."""

_KNOWN = {"max_new_tokens", "eos_token_id", "pad_token_id", "transformers_version"}
"""Generation settings that the engine supports."""

KEPT = 4
"""Number of exported models kept in the cache; each is as large as the model in float32."""

EXPORTED = "fp32+sdpa"
"""Policy under which base and adapter are merged for the export: float32, with the attention that OpenVINO supports."""


@dataclass(frozen=True)
class ExportKind:
    """A format of exported weights, and the precision in which the model computes.

    Attributes:
        weights: format of the weights, as `openvino_export.export` takes it.
        computes: compute precision in OpenVINO's notation, also used for keys and values.
        coarsest: name of the dtype that rounds most.
    """

    weights: str
    computes: str
    coarsest: str


KINDS = {
    "fp32": ExportKind("fp32", "f32", "float32"),
    "bf16": ExportKind("fp32", "bf16", "bfloat16"),
    "int8": ExportKind("int8", "bf16", "bfloat16"),
}
"""Export kinds by the part of a load name that follows ``openvino-``."""


def check_installed() -> str:
    """Returns the version of OpenVINO GenAI.

    Raises:
        EngineError: OpenVINO GenAI is not installed.
    """
    try:
        return metadata.version("openvino-genai")
    except metadata.PackageNotFoundError as error:
        raise EngineError(
            "the engine openvino: openvino-genai is not installed; pip install 'sft-ref[openvino]'"
        ) from error


class OpenVinoModel(torch.nn.Module):
    """An exported model with the interface of transformers: `forward` for logits, `generate` for greedy completions.

    Logits come from OpenVINO's plain inference, and completions from continuous batching, whose attention is another
    kernel. The model has no weights that torch can see.

    Args:
        folder: folder of the exported model, as `exported` returns it.
        kind: format of the weights and compute precision.
        generation_config: generation settings of the base.

    Raises:
        EngineError: OpenVINO GenAI is not installed, or does not support this precision on this machine.
    """

    def __init__(self, folder: Path, kind: ExportKind, generation_config: GenerationConfig) -> None:
        super().__init__()
        self.version, self.properties = check_installed(), properties(kind.computes)
        self.folder, self.kind, self.generation_config = folder, kind, generation_config
        self.config = transformers.AutoConfig.from_pretrained(folder)
        self.place = torch.nn.Parameter(torch.empty(0), requires_grad=False)  # callers read the model's device from it
        self._compiled: Compiled | None = None
        self._pipeline: Any = None

    def __repr__(self) -> str:
        weights = "in 8 bits" if self.kind.weights == "int8" else "in float32"
        return f"OpenVINO GenAI {self.version}: merged in float32, stored {weights}, computed in {self.kind.computes}"

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor, position_ids: torch.Tensor
    ) -> SimpleNamespace:
        """Returns the logits of each token, fp32 of shape (rows, tokens, vocabulary), as attribute `logits`."""
        self._compiled = self._compiled or Compiled(self.folder / openvino_export.MODEL, self.properties)
        self._compiled.begin()
        return SimpleNamespace(logits=self._compiled.go_on(input_ids, attention_mask, position_ids))

    def generate(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        generation_config: GenerationConfig,
        **_: object,  # such as a decoding loop for transformers
    ) -> torch.Tensor:
        """Returns prompts with their completions, padded on the right: int64 of shape (rows, prompt and new tokens).

        Args:
            input_ids: token ids of the prompts, (rows, longest prompt), padded on the left.
            attention_mask: attention mask of the same shape.
            generation_config: source of the end tokens, the padding token and the largest number of new tokens.

        Raises:
            EngineError: the settings ask for more than greedy decoding, or OpenVINO GenAI fails.
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
            raise EngineError("OpenVINO GenAI left a prompt without an answer; give fewer questions, or free memory")
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
    """Returns the folder of an adapter merged with its base and exported to OpenVINO; uses the cache if possible.

    Args:
        base: folder of the base.
        config: configuration of the adapter.
        tensors: tensors of the adapter.
        weights: format of the weights, as `openvino_export.export` takes it.
        merge: function that returns base and adapter merged, in float32 and with torch's fused attention.

    Raises:
        EngineError: OpenVINO GenAI is not installed, or cannot run the model.
        BaseModelError: the cache cannot be written.
    """
    version = check_installed()
    made_by = [version, torch.__version__, transformers.__version__, *map(_digest_of, (openvino_export, int8))]
    configured = msgspec.json.encode(config, order="deterministic").decode()
    parts = [fingerprint_base(base), configured, fingerprint_adapter(tensors), weights, made_by]
    name = f"openvino-{digest(parts)[:16]}"
    folder = in_cache(name, lambda scratch: openvino_export.export(merge(), scratch, weights=weights))
    with contextlib.suppress(OSError):  # a cache of another user may be read-only
        os.utime(folder)
        others = sorted(folder.parent.glob("openvino-*"), key=lambda each: each.stat().st_mtime, reverse=True)
        for old in others[KEPT:]:
            shutil.rmtree(old)
    return folder


def _digest_of(module: ModuleType) -> str:
    return hashlib.sha256(Path(str(module.__file__)).read_bytes()).hexdigest()


def _check_greedy(config: GenerationConfig) -> None:
    """Raises if a setting asks for more than greedy decoding; a setting of None, False or 1 is off."""
    given = {name: value for name, value in config.to_diff_dict().items() if name not in _KNOWN}
    unknown = [name for name, value in given.items() if value is True or value not in (None, False, 1)]
    if unknown:
        raise EngineError(
            f"the engine openvino decodes greedily, without {', '.join(sorted(unknown))}; use --engine transformers"
        )


def _listed(value: int | list[int] | None) -> list[int]:
    return value if isinstance(value, list) else [] if value is None else [value]
