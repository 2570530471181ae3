import re

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

checkpoint = "HuggingFaceTB/SmolLM2-360M-Instruct"

if torch.cuda.is_available():
    device = "cuda"
elif torch.backends.mps.is_available():
    device = "mps"
else:
    device = "cpu"


class BaseLLM:
    def __init__(self, checkpoint=checkpoint):
        self.tokenizer = AutoTokenizer.from_pretrained(checkpoint)
        self.model = AutoModelForCausalLM.from_pretrained(checkpoint, torch_dtype=torch.float32).to(device)
        self.device = device

    def format_prompt(self, question: str) -> str:
        return f"Q: {question.strip()}\nA:"

    def parse_answer(self, answer: str) -> float:
        m = re.search(r"That is (\S+) in total", answer)
        try:
            return float(m.group(1)) if m else float("nan")
        except ValueError:
            return float("nan")

    def generate(self, prompt: str) -> str:
        return self.batched_generate([prompt])[0]

    def batched_generate(self, prompts, num_return_sequences=None, temperature=0):
        from tqdm import tqdm

        micro_batch_size = 32
        if len(prompts) > micro_batch_size:
            return [
                r
                for idx in tqdm(range(0, len(prompts), micro_batch_size), desc="LLM running")
                for r in self.batched_generate(
                    prompts[idx : idx + micro_batch_size], num_return_sequences, temperature
                )
            ]
        self.tokenizer.padding_side = "left"
        enc = self.tokenizer(prompts, padding=True, return_tensors="pt").to(self.device)
        kw = {"do_sample": False}
        if temperature > 0:
            kw = {"do_sample": True, "temperature": temperature}
        with torch.inference_mode():
            out = self.model.generate(
                **enc,
                max_new_tokens=40,
                num_return_sequences=num_return_sequences or 1,
                eos_token_id=self.tokenizer.eos_token_id,
                pad_token_id=self.tokenizer.eos_token_id,
                **kw,
            )
        texts = self.tokenizer.batch_decode(out[:, enc["input_ids"].shape[1] :], skip_special_tokens=True)
        if num_return_sequences is None:
            return texts
        return [texts[i : i + num_return_sequences] for i in range(0, len(texts), num_return_sequences)]

    def answer(self, *questions) -> list[float]:
        return [self.parse_answer(g) for g in self.batched_generate([self.format_prompt(q) for q in questions])]
