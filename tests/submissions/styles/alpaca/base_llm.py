import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from .decoding import complete
from .texts import number_in, prompt_of

checkpoint = "HuggingFaceTB/SmolLM2-360M-Instruct"
BATCH = 20


class BaseLLM:
    def __init__(self, checkpoint=checkpoint):
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.tokenizer = AutoTokenizer.from_pretrained(checkpoint)
        self.model = AutoModelForCausalLM.from_pretrained(checkpoint, dtype=torch.float32).to(self.device)

    def format_prompt(self, question):
        return prompt_of(question)

    def parse_answer(self, answer):
        return number_in(answer)

    def generate(self, prompt):
        return complete(self.model, self.tokenizer, [prompt])[0]

    def batched_generate(self, prompts, num_return_sequences=None, temperature=0):
        if num_return_sequences is not None:
            repeated = [p for p in prompts for _ in range(num_return_sequences)]
            flat = self.batched_generate(repeated, None, temperature)
            return [flat[i : i + num_return_sequences] for i in range(0, len(flat), num_return_sequences)]
        # short ones with short ones: less padding. Put back into the caller's order at the end.
        order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
        completions = [""] * len(prompts)
        for k in range(0, len(order), BATCH):
            chosen = order[k : k + BATCH]
            texts = complete(self.model, self.tokenizer, [prompts[i] for i in chosen], temperature=temperature)
            for i, text in zip(chosen, texts):
                completions[i] = text
        return completions

    def answer(self, *questions):
        return [self.parse_answer(c) for c in self.batched_generate([self.format_prompt(q) for q in questions])]
