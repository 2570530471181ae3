import math

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

checkpoint = "HuggingFaceTB/SmolLM2-360M-Instruct"
END = "<|endoftext|>"


def pick_device():
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("cpu")


class BaseLLM:
    def __init__(self, checkpoint=checkpoint):
        self.device = pick_device()
        self.tokenizer = AutoTokenizer.from_pretrained(checkpoint)
        self.model = AutoModelForCausalLM.from_pretrained(checkpoint, torch_dtype=torch.float32)
        self.model.to(self.device).eval().requires_grad_(False)
        self.end = self.tokenizer.convert_tokens_to_ids(END)

    def format_prompt(self, question):
        return question + " ->"

    def parse_answer(self, answer):
        _, _, rest = answer.partition("<answer>")
        number, closed, _ = rest.partition("</answer>")
        try:
            return float(number) if closed else math.nan
        except ValueError:
            return math.nan

    def generate(self, prompt):
        return self.batched_generate([prompt])[0]

    def batched_generate(self, prompts, num_return_sequences=None, temperature=0):
        n = num_return_sequences or 1
        out = []
        for s in range(0, len(prompts), 50):
            repeated = [p for p in prompts[s : s + 50] for _ in range(n)]
            out.extend(self.decode(repeated, temperature))
        return out if num_return_sequences is None else [out[i : i + n] for i in range(0, len(out), n)]

    @torch.no_grad()
    def decode(self, prompts, temperature, limit=32):
        """one forward for the prompts, then one per token with the cache"""
        rows = [self.tokenizer.encode(p) for p in prompts]
        width = max(map(len, rows))
        ids = torch.tensor([[self.end] * (width - len(r)) + r for r in rows], device=self.device)
        mask = torch.tensor([[0] * (width - len(r)) + [1] * len(r) for r in rows], device=self.device)
        position = (mask.cumsum(1) - 1).clamp(min=0)
        cache, chosen = None, []
        done = torch.zeros(len(rows), dtype=torch.bool, device=self.device)
        for _ in range(limit):
            out = self.model(
                input_ids=ids, attention_mask=mask, position_ids=position, past_key_values=cache, use_cache=True
            )
            cache = out.past_key_values
            logits = out.logits[:, -1].float()
            if temperature:
                token = torch.multinomial(torch.softmax(logits / temperature, -1), 1).squeeze(1)
            else:
                token = logits.argmax(-1)
            token = torch.where(done, self.end, token)
            chosen.append(token)
            done |= token == self.end
            if done.all():
                break
            ids = token[:, None]
            mask = torch.cat([mask, mask.new_ones(len(rows), 1)], 1)
            position = mask.sum(1, keepdim=True) - 1
        texts = []
        for row in torch.stack(chosen, 1).tolist():
            row = row[: row.index(self.end)] if self.end in row else row
            texts.append(self.tokenizer.decode(row))
        return texts

    def answer(self, *questions):
        return [self.parse_answer(t) for t in self.batched_generate([self.format_prompt(q) for q in questions])]
