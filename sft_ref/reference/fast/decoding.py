"""Speed only: a decoding loop for `generate` of transformers that removes finished rows from the batch.

`generate` prepares everything else: budget, end tokens, penalties, cache. Its own loop keeps computing finished rows
until the longest row ends. Independent of prompts and precision.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import transformers
from packaging.version import Version

from .head import head_inputs_selected

if TYPE_CHECKING:
    from transformers import GenerationConfig, LogitsProcessorList, PreTrainedModel, StoppingCriteriaList


def decode(
    model: PreTrainedModel,
    input_ids: torch.Tensor,
    *,
    logits_processor: LogitsProcessorList,
    stopping_criteria: StoppingCriteriaList,
    generation_config: GenerationConfig,
    **prepared: Any,  # noqa: ANN401  # generate omits arguments named here but not in its own loop
) -> torch.Tensor:
    """Returns greedy or sampled completions; called by `generate(custom_generate=decode)` of transformers.

    Args:
        model: the model inside peft's wrapper.
        input_ids: token ids of the prompts, (rows, longest prompt), padded on the left.
        logits_processor: maps the scores of the next token to new scores.
        stopping_criteria: decides which rows have ended.
        generation_config: settings, prepared by `generate`.
        prepared: among others `past_key_values`, an empty cache that grows, and `attention_mask`, (rows, longest
            prompt), which is None if no prompt is padded.

    Returns:
        int64 of shape (rows, prompt and new tokens): prompts, new tokens, and padding after a row's end.
    """
    cache, mask = prepared["past_key_values"], prepared.get("attention_mask")
    mask = torch.ones_like(input_ids) if mask is None else mask
    ids: Any = input_ids  # int64, annotated as LongTensor by the library
    fed = input_ids
    rows = torch.arange(len(ids), device=ids.device)
    longest, padding = int(generation_config.max_length or 0), int(generation_config.pad_token_id or 0)
    whole: torch.Tensor = ids.new_full((len(ids), longest), padding)
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    going = torch.ones_like(rows, dtype=torch.bool)
    with head_inputs_selected(model, torch.Tensor.contiguous):
        while True:
            output: Any = model(
                input_ids=fed,
                attention_mask=mask,
                position_ids=positions,
                past_key_values=cache,
                use_cache=True,
                logits_to_keep=1,
            )
            scores = logits_processor(ids, output.logits[:, -1].float())
            fed = _choose(scores, sample=bool(generation_config.do_sample)).masked_fill(~going[:, None], padding)
            ids = torch.cat([ids, fed], 1)
            whole[rows, : ids.shape[1]] = ids
            going = going & ~stopping_criteria(ids, None)
            if not going.any():
                return whole[:, : int(ids.shape[1])]
            if not going.all() and not len(logits_processor):  # some are bound to the original rows
                cache.batch_select_indices(going.nonzero().flatten())
                ids, fed, mask, positions, rows = ids[going], fed[going], mask[going], positions[going], rows[going]
                going = going[going]
            mask = torch.cat([mask, mask.new_ones(len(mask), 1)], 1)
            positions = positions[:, -1:] + 1


def _choose(scores: torch.Tensor, *, sample: bool) -> torch.Tensor:
    """Chooses the next token of each row, (rows, 1)."""
    return scores.softmax(-1).multinomial(1) if sample else scores.max(-1, keepdim=True).indices


LOOP = {"custom_generate": decode} if Version(transformers.__version__) >= Version("4.57") else {}
"""Arguments of `generate`; versions before 4.57 accept no loop and keep computing finished rows."""
