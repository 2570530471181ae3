"""Speed only: a decoding loop for `generate` of transformers in which rows that have ended leave the batch.

`generate` prepares everything else: budget, end tokens, penalties, cache. Its own loop goes on computing rows that have
ended until the longest one has. Knows nothing of prompts or precision.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import transformers
from packaging.version import Version

from .head import head_fed

if TYPE_CHECKING:
    from transformers import GenerationConfig, LogitsProcessorList, PreTrainedModel, StoppingCriteriaList


def decode(
    model: PreTrainedModel,
    input_ids: torch.Tensor,
    *,
    logits_processor: LogitsProcessorList,
    stopping_criteria: StoppingCriteriaList,
    generation_config: GenerationConfig,
    **prepared: Any,  # noqa: ANN401  # generate takes away what is named here and not in its own loop
) -> torch.Tensor:
    """Greedy or sampled continuations, as `generate(custom_generate=decode)` of transformers calls it.

    Args:
        model: the model inside peft's wrapper.
        input_ids: (rows, longest prompt), padded on the left.
        logits_processor: from scores of the next token to scores.
        stopping_criteria: tells which rows have ended.
        generation_config: settings, prepared by `generate`.
        prepared: among others `past_key_values`, an empty cache that grows, and `attention_mask`, (rows, longest
            prompt), which is None where no prompt is padded.

    Returns:
        int64 of shape (rows, prompt and new tokens): prompts, new tokens, and padding after a row's end.
    """
    cache, mask = prepared["past_key_values"], prepared.get("attention_mask")
    mask = torch.ones_like(input_ids) if mask is None else mask
    ids: Any = input_ids  # int64, which the library's annotations call a LongTensor
    fed = input_ids
    rows = torch.arange(len(ids), device=ids.device)
    longest, padding = int(generation_config.max_length or 0), int(generation_config.pad_token_id or 0)
    whole: torch.Tensor = ids.new_full((len(ids), longest), padding)
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    with head_fed(model, torch.Tensor.contiguous):
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
            fed = _choose(scores, sample=bool(generation_config.do_sample))
            ids = torch.cat([ids, fed], 1)
            whole[rows, : ids.shape[1]] = ids
            going = ~stopping_criteria(ids, None)
            if not going.any():
                return whole[:, : int(ids.shape[1])]
            if not going.all() and not len(logits_processor):  # some remember the rows that they were made for
                cache.batch_select_indices(going.nonzero().flatten())
                ids, fed, mask, positions, rows = ids[going], fed[going], mask[going], positions[going], rows[going]
            mask = torch.cat([mask, mask.new_ones(len(mask), 1)], 1)
            positions = positions[:, -1:] + 1


def _choose(scores: torch.Tensor, *, sample: bool) -> torch.Tensor:
    """The next token of each row, (rows, 1)."""
    return scores.softmax(-1).multinomial(1) if sample else scores.max(-1, keepdim=True).indices


LOOP = {"custom_generate": decode} if Version(transformers.__version__) >= Version("4.57") else {}
"""Arguments of `generate`; before 4.57 it takes no loop, and goes on computing rows that have ended."""
