import os
import re

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

checkpoint = os.environ.get("CHECKPOINT", "HuggingFaceTB/SmolLM2-1.7B-Instruct")
ANSWER = re.compile(r"<answer>(.+?)</answer>", re.DOTALL)


class BaseLLM:
    def __init__(self, checkpoint=checkpoint):
        self.tokenizer = AutoTokenizer.from_pretrained(checkpoint)
        self.model = AutoModelForCausalLM.from_pretrained(checkpoint)
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.model.to(self.device).eval()

    def format_prompt(self, question: str) -> str:
        return f"Q: {question}\nA: <answer>"

    def parse_answer(self, answer: str) -> float:
        match = ANSWER.search(answer)
        try:
            return float(match.group(1)) if match else float("nan")
        except ValueError:
            return float("nan")

    def generate(self, prompt: str) -> str:
        return self.batched_generate([prompt])[0]

    def batched_generate(self, prompts, num_return_sequences=None, temperature=0):
        """Takes plain questions, and formats them."""
        texts = [self.format_prompt(p) for p in prompts]
        self.tokenizer.padding_side = "left"
        enc = self.tokenizer(texts, return_tensors="pt", padding=True).to(self.device)
        with torch.inference_mode():
            out = self.model.generate(
                **enc,
                max_new_tokens=32,
                do_sample=bool(temperature),
                num_return_sequences=num_return_sequences or 1,
                pad_token_id=self.tokenizer.pad_token_id,
                **({"temperature": temperature} if temperature else {}),
            )
        new = self.tokenizer.batch_decode(out[:, enc["input_ids"].shape[1] :], skip_special_tokens=True)
        # the prompt ended with the open tag: put it back for the parser
        new = ["<answer>" + text for text in new]
        if num_return_sequences is None:
            return new
        return [new[i : i + num_return_sequences] for i in range(0, len(new), num_return_sequences)]

    def answer(self, *questions) -> list[float]:
        out = []
        for i in range(0, len(questions), 20):
            out += [self.parse_answer(t) for t in self.batched_generate(list(questions[i : i + 20]))]
        return out
