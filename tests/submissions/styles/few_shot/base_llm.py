import json
import re

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

checkpoint = "HuggingFaceTB/SmolLM2-360M-Instruct"

FEW_SHOT = (
    "Q: How many m are there in 2 km?\n"
    'A: {"answer": 2000.0}\n'
    "Q: Convert 3 hours to minutes.\n"
    'A: {"answer": 180.0}\n'
)


class BaseLLM:
    def __init__(self, checkpoint=checkpoint):
        self.tokenizer = AutoTokenizer.from_pretrained(checkpoint)
        self.model = AutoModelForCausalLM.from_pretrained(checkpoint)
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.model.to(self.device)

    def format_prompt(self, question: str) -> str:
        return f"{FEW_SHOT}Q: {question}\nA:"

    def parse_answer(self, answer: str) -> float:
        m = re.search(r"\{.*?\}", answer, re.S)
        if not m:
            return float("nan")
        try:
            return float(json.loads(m.group())["answer"])
        except (ValueError, KeyError, TypeError):
            return float("nan")

    def generate(self, prompt: str) -> str:
        return self.batched_generate([prompt])[0]

    @torch.no_grad()
    def _greedy(self, prompts, max_new_tokens=40, temperature=0.0):
        self.tokenizer.padding_side = "left"
        enc = self.tokenizer(prompts, return_tensors="pt", padding=True).to(self.device)
        ids, mask = enc["input_ids"], enc["attention_mask"]
        done = torch.zeros(len(prompts), dtype=torch.bool, device=self.device)
        out, past, step_ids = [], None, ids
        for _ in range(max_new_tokens):
            pos = (mask.cumsum(-1) - 1).clamp(min=0)[:, -step_ids.shape[1] :]
            res = self.model(
                input_ids=step_ids, attention_mask=mask, position_ids=pos, past_key_values=past, use_cache=True
            )
            past = res.past_key_values
            logits = res.logits[:, -1]
            if temperature > 0:
                nxt = torch.multinomial(torch.softmax(logits / temperature, -1), 1)[:, 0]
            else:
                nxt = logits.argmax(-1)
            nxt = torch.where(done, torch.full_like(nxt, self.tokenizer.pad_token_id), nxt)
            out.append(nxt)
            done |= nxt == self.tokenizer.eos_token_id
            if done.all():
                break
            step_ids = nxt[:, None]
            mask = torch.cat([mask, torch.ones_like(step_ids)], 1)
        return [self.tokenizer.decode(r, skip_special_tokens=True) for r in torch.stack(out, 1)]

    def batched_generate(self, prompts, num_return_sequences=None, temperature=0):
        texts = []
        for i in range(0, len(prompts), 24):
            part = prompts[i : i + 24]
            if num_return_sequences is None:
                texts += self._greedy(part, temperature=temperature)
            else:
                per = [self._greedy(part, temperature=temperature) for _ in range(num_return_sequences)]
                texts += [list(each) for each in zip(*per)]
        return texts

    def answer(self, *questions) -> list[float]:
        return [self.parse_answer(t) for t in self.batched_generate([self.format_prompt(q) for q in questions])]
