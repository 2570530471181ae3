"""A language model that answers questions: from prompts to completions to numbers.

Independent of training, and of the source of an adapter.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, overload

import torch
from transformers import GenerationConfig

from sft_ref.reference.bases.checks import check_vocabulary
from sft_ref.reference.bases.find import DEFAULT_BASE, find_base
from sft_ref.reference.fast.batches import batches_by_length
from sft_ref.reference.fast.decoding import LOOP
from sft_ref.reference.guards.surroundings import isolated

from . import prompt
from .models import computing, load_model, load_tokenizer
from .precision import Policy, check_can_compute, choose_policy, find_device

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

MAX_NEW_TOKENS = 32
"""1e15 takes 18 digits and signs, the closing tag three tokens and the end token one; the rest is margin."""


class BaseLLM:
    """A base model with its tokenizer, in one policy.

    Args:
        checkpoint: base model, as `bases.find.find_base` takes it.
        use_fp32_for_training: whether to use fp32 weights and the device's default compute dtype, from which training
            and the loading of an adapter start. Without it, the base is for inference only.
        torch_dtype: dtype to store and compute in, for all versions of transformers.
        policy: a policy, which replaces the two arguments above.
        device: device of the model; the accelerator by default.

    Raises:
        BaseModelError: the base is not available.
        PrecisionError: the keywords contradict each other, or the policy cannot run on this device.
    """

    model: Any  # PreTrainedModel, or PeftModel with an adapter
    tokenizer: PreTrainedTokenizerBase

    def __init__(
        self,
        checkpoint: str = DEFAULT_BASE,
        use_fp32_for_training: bool = False,
        torch_dtype: torch.dtype | str | None = None,
        *,
        policy: Policy | None = None,
        device: torch.device | str | None = None,
    ) -> None:
        self.device = torch.device(device) if device else find_device()
        self.policy = policy or choose_policy(
            self.device, use_fp32_for_training=use_fp32_for_training, torch_dtype=torch_dtype
        )
        check_can_compute(self.policy, self.device)
        self.checkpoint, self.max_new_tokens = checkpoint, MAX_NEW_TOKENS
        folder = find_base(checkpoint)
        with isolated(self.device):
            self.model = load_model(folder, self.policy)
            self.tokenizer = load_tokenizer(folder)
            check_vocabulary(self.tokenizer, self.model, folder)
            self.model.to(self.device).eval()
        # else `generate` would take unset options, such as penalties and sampling, from the base's own configuration
        self.model.generation_config = GenerationConfig()

    def format_prompt(self, question: str) -> str:
        """See `sft_ref.format_prompt`."""
        return prompt.format_prompt(question)

    def parse_answer(self, text: str) -> float:
        """See `sft_ref.parse_answer`."""
        return prompt.parse_answer(text)

    def generate(self, prompt: str) -> str:
        """Returns the greedy completion of one prompt, without the prompt."""
        return self.batched_generate([prompt])[0]

    @overload
    def batched_generate(
        self, prompts: Sequence[str], num_return_sequences: None = None, temperature: float = 0
    ) -> list[str]: ...
    @overload
    def batched_generate(
        self, prompts: Sequence[str], num_return_sequences: int, temperature: float = 0
    ) -> list[list[str]]: ...
    def batched_generate(
        self, prompts: Sequence[str], num_return_sequences: int | None = None, temperature: float = 0
    ) -> list[str] | list[list[str]]:
        """Returns completions in the order of the prompts, without the prompts and special tokens.

        Args:
            prompts: texts exactly as the model reads them; see `format_prompt`.
            num_return_sequences: completions per prompt. None returns a flat list, any number (even 1) a list of lists.
            temperature: 0 decodes greedily; larger values sample tokens.
        """
        each = 1 if num_return_sequences is None else num_return_sequences
        if temperature < 0 or each < 1:
            raise ValueError(f"temperature {temperature} must be at least 0, num_return_sequences {each} at least 1")
        if each > 1 and temperature == 0:
            raise ValueError("several completions of one prompt are equal when greedy; give a temperature above 0")
        completions: list[list[str]] = [[] for _ in prompts]
        with torch.inference_mode(), computing(self.model, self.policy):
            for batch in batches_by_length(prompts, self.tokenizer, each=each, new_tokens=self.max_new_tokens):
                texts = self._complete([prompts[i] for i in batch], each, temperature)
                for place, i in enumerate(batch):
                    completions[i] = texts[place * each : (place + 1) * each]
        return completions if num_return_sequences is not None else [texts[0] for texts in completions]

    def _complete(self, prompts: list[str], each: int, temperature: float) -> list[str]:
        batch = self.tokenizer(prompts, padding=True, padding_side="left", return_tensors="pt").to(self.device)
        sampling = {"do_sample": True, "temperature": temperature} if temperature > 0 else {"do_sample": False}
        ids = self.model.generate(
            **batch,
            generation_config=GenerationConfig(
                max_new_tokens=self.max_new_tokens,
                num_return_sequences=each,
                eos_token_id=self.tokenizer.eos_token_id,
                pad_token_id=self.tokenizer.pad_token_id,
                **sampling,
            ),
            **LOOP,
        )
        return self.tokenizer.batch_decode(ids[:, batch["input_ids"].shape[1] :], skip_special_tokens=True)

    def answer(self, *questions: str) -> list[float]:
        """Returns the model's number for each question; NaN if its completion has none."""
        return [self.parse_answer(text) for text in self.batched_generate([*map(self.format_prompt, questions)])]
