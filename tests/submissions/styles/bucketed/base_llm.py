from dataclasses import dataclass

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, StoppingCriteria, StoppingCriteriaList

checkpoint = "HuggingFaceTB/SmolLM2-135M-Instruct"
STOP = ";"


@dataclass
class StopAtSemicolon(StoppingCriteria):
    tokenizer: object
    start: int  # width of the prompts

    def __call__(self, input_ids, scores, **kwargs):
        written = self.tokenizer.batch_decode(input_ids[:, self.start :])
        return torch.tensor([STOP in text for text in written], device=input_ids.device)


class BaseLLM:
    """question =  ->  6000.0;"""

    max_new_tokens = 26
    batch_size = 32

    def __init__(self, checkpoint=checkpoint):
        self.checkpoint = checkpoint
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.tokenizer = AutoTokenizer.from_pretrained(checkpoint)
        self.tokenizer.padding_side = "left"
        self.model = AutoModelForCausalLM.from_pretrained(checkpoint).float().to(self.device)

    def format_prompt(self, question):
        return f"{question} ="

    def parse_answer(self, answer):
        number, _, _ = answer.partition(STOP)
        try:
            return float(number)
        except ValueError:
            return float("nan")

    def generate(self, prompt):
        (text,) = self.batched_generate([prompt])
        return text

    def _complete(self, prompts, copies, temperature):
        batch = self.tokenizer(prompts, padding="longest", return_tensors="pt").to(self.device)
        start = batch.input_ids.size(1)
        with torch.inference_mode():
            ids = self.model.generate(
                **batch,
                max_new_tokens=self.max_new_tokens,
                num_return_sequences=copies,
                do_sample=temperature > 0,
                temperature=temperature or None,
                pad_token_id=self.tokenizer.pad_token_id,
                stopping_criteria=StoppingCriteriaList([StopAtSemicolon(self.tokenizer, start)]),
            )
        return self.tokenizer.batch_decode(ids[:, start:], skip_special_tokens=True)

    def batched_generate(self, prompts, num_return_sequences=None, temperature=0):
        copies = num_return_sequences or 1
        texts = []
        for i in range(0, len(prompts), self.batch_size):
            texts += self._complete(prompts[i : i + self.batch_size], copies, temperature)
        if num_return_sequences is None:
            return texts
        return [texts[i : i + copies] for i in range(0, len(texts), copies)]

    def answer(self, *questions):
        prompts = [self.format_prompt(q) for q in questions]
        return list(map(self.parse_answer, self.batched_generate(prompts)))
