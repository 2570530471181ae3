"""Fingerprints adapter, tokenizer, chat template and configuration; recording and comparing share this code."""

from __future__ import annotations

import hashlib
import json
import re
import warnings
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import torch

from sft_ref.io.foreign import is_failure
from sft_ref.reference.fingerprints import digest
from sft_ref.reference.guards.dtypes import dtype_name
from sft_ref.reference.guards.names import plain

from .schema import TemplateFingerprint, TensorFingerprint, TokenizerFingerprint

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

SAMPLES = (
    "How many MB are there per 6 G?",
    " two  spaces, a tab\t and\n\na new line ",
    "Ω ½ 漢字 🙂 naïve",
    "def f(x):\n    return x ** 2  # 1e-05",
)
"""Texts that tokenizers are compared on."""

_CONVERSATIONS = (
    [{"role": "user", "content": "Hello?"}],
    [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "2 + 2?"}],
    [{"role": "user", "content": " a "}, {"role": "assistant", "content": " b "}, {"role": "user", "content": "c"}],
)

_SPECIAL = ("bos_token_id", "eos_token_id", "pad_token_id")

_SAMPLE = 8
"""Number of recorded values of an adapter tensor."""

_OF_EFFECT = (
    *("peft_type", "r", "lora_alpha", "rank_pattern", "alpha_pattern", "use_rslora", "use_dora", "fan_in_fan_out"),
    *("bias", "lora_bias", "target_modules", "exclude_modules", "layers_to_transform", "layers_pattern"),
    *("modules_to_save", "trainable_token_indices", "target_parameters"),
)
"""Keys of an adapter's configuration that determine its delta."""

_NOT_OF_COMPUTATION = frozenset(
    {"_name_or_path", "name_or_path", "transformers_version", "torch_dtype", "dtype", "architectures", "use_cache"}
    | {"_attn_implementation", "attn_implementation", "quantization_config", "return_dict", "output_attentions"}
    | {"bos_token_id", "eos_token_id", "pad_token_id", "vocab_size", "id2label", "label2id", "problem_type"}
    | {"output_hidden_states", "chunk_size_feed_forward", "is_encoder_decoder", "tie_word_embeddings"}
    | {"pretraining_tp", "initializer_range"}
    | {"attention_dropout", "hidden_dropout", "resid_pdrop", "attn_pdrop", "embd_pdrop"}
)
"""Keys of a base model's configuration that do not affect its outputs in evaluation mode."""

_NUMBER = re.compile(r"(?<=\.)\d+(?=\.)")


def fingerprint_tensor(tensor: torch.Tensor) -> TensorFingerprint:
    """Fingerprints an adapter tensor; equal values have equal hashes in every dtype."""
    values = tensor.detach().float().cpu().contiguous().reshape(-1)
    found = hashlib.sha256(values.view(torch.uint8).numpy().tobytes()).hexdigest()[:32]
    places = torch.linspace(0, len(values) - 1, _SAMPLE).long() if len(values) else torch.zeros(0).long()
    sample = [_finite(value) for value in values[places].tolist()]
    return TensorFingerprint(dtype_name(tensor), list(tensor.shape), found, _finite(values.norm().item()), sample)


def fingerprint_tensors(tensors: Mapping[str, torch.Tensor]) -> dict[str, TensorFingerprint]:
    """Fingerprints each adapter tensor, by name."""
    return {name: fingerprint_tensor(tensor) for name, tensor in sorted(tensors.items())}


def fingerprint_tokenizer(tokenizer: PreTrainedTokenizerBase) -> TokenizerFingerprint:
    """Fingerprints a tokenizer."""
    special = {name: getattr(tokenizer, name, None) for name in _SPECIAL}
    samples = [list(tokenizer(text)["input_ids"]) for text in SAMPLES]
    return TokenizerFingerprint(len(tokenizer), digest(tokenizer.get_vocab()), special, samples)


def fingerprint_template(template: object, tokenizer: PreTrainedTokenizerBase) -> TemplateFingerprint | None:
    """Fingerprints a chat template; returns None if there is none."""
    if not isinstance(template, (str, dict)) or not template:
        return None
    return TemplateFingerprint(digest(template), _render(template, tokenizer))


def _render(template: Any, tokenizer: Any) -> str | None:  # noqa: ANN401
    """Returns the SHA-256 of rendered conversations, with refused ones as None; None if all are refused."""
    texts: list[object] = []
    for conversation in _CONVERSATIONS:
        for begins in (False, True):
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    text = tokenizer.apply_chat_template(
                        conversation, chat_template=template, tokenize=False, add_generation_prompt=begins
                    )
            except BaseException as error:  # a template may raise anything
                if not is_failure(error):
                    raise
                text = None
            texts.append(text)
    return digest(texts) if any(text is not None for text in texts) else None


def lora_settings(config: Any) -> dict[str, Any]:  # noqa: ANN401  # a LoraConfig, or the table of its file
    """Returns the settings of an adapter's configuration that affect its delta, except unset ones."""
    table = config if isinstance(config, Mapping) else vars(config)
    found = {key: _plain_value(table.get(key)) for key in _OF_EFFECT}
    return {key: value for key, value in found.items() if value not in (None, False, {}, [], "none")}


def config_settings(config: Any) -> dict[str, Any]:  # noqa: ANN401  # a PreTrainedConfig
    """Returns the settings of a base model's configuration that affect its outputs."""
    table = json.loads(json.dumps(config.to_dict(), default=str))
    return {key: value for key, value in sorted(table.items()) if key not in _NOT_OF_COMPUTATION and value is not None}


def dtypes_by_layer(model: torch.nn.Module) -> dict[str, str]:
    """Returns the dtype of every tensor and float buffer; layers with equal dtypes share an entry."""
    found: dict[str, dict[str, str]] = {}
    for name, tensor in tensors_of(model):
        found.setdefault(_NUMBER.sub("*", name), {})[name] = dtype_name(tensor)
    compact: dict[str, str] = {}
    for shared, each in found.items():
        compact |= {shared: next(iter(each.values()))} if len(set(each.values())) == 1 else each
    return compact


def tensors_of(model: torch.nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    """Yields parameters and float buffers, with the wrappers of torch and peft removed from their names."""
    for name, tensor in model.named_parameters():
        yield plain(name), tensor
    for name, buffer in model.named_buffers():
        if buffer.is_floating_point():
            yield plain(name), buffer


def _plain_value(value: Any) -> Any:  # noqa: ANN401
    """Converts a value to its JSON form; the order of module names is irrelevant."""
    if isinstance(value, (set, frozenset, list, tuple)):
        return sorted(map(_plain_value, value), key=str)
    if isinstance(value, dict):
        return {str(key): _plain_value(each) for key, each in sorted(value.items())}
    if isinstance(value, (bool, int, float, str)) or value is None:
        return getattr(value, "value", value) if not isinstance(value, (bool, int, float)) else value
    return str(getattr(value, "value", value))


def _finite(value: float) -> float | None:
    return value if abs(value) < 1e30 else None  # noqa: PLR2004  # also false for NaN
