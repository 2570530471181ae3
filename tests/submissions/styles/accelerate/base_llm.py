import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, StoppingCriteria, StoppingCriteriaList

checkpoint = "HuggingFaceTB/SmolLM2-360M-Instruct"


class StopOnNewline(StoppingCriteria):
    def __init__(self, tokenizer, start):
        self.tokenizer, self.start = tokenizer, start

    def __call__(self, input_ids, scores, **kwargs):
        done = ["\n" in self.tokenizer.decode(row[self.start :]) for row in input_ids]
        return torch.tensor(done, device=input_ids.device)


class BaseLLM:
    def __init__(self, checkpoint=checkpoint):
        self.tokenizer = AutoTokenizer.from_pretrained(checkpoint)
        self.tokenizer.pad_token = self.tokenizer.eos_token
        self.model = AutoModelForCausalLM.from_pretrained(checkpoint)
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.model.to(self.device)

    def format_prompt(self, question):
        return "### Question:\n" + question.lower() + "\n\n### Answer:\n"

    def parse_answer(self, answer):
        if "####" not in answer:
            return float("nan")
        text = answer.split("####")[-1].strip().split("\n")[0].replace(",", "")
        try:
            return float(text)
        except ValueError:
            return float("nan")

    def generate(self, prompt):
        return self.batched_generate([prompt])[0]

    def batched_generate(self, prompts, num_return_sequences=None, temperature=0):
        out = []
        for i in range(0, len(prompts), 32):
            out.extend(self._gen(prompts[i : i + 32], num_return_sequences, temperature))
        return out

    @torch.no_grad()
    def _gen(self, prompts, n, temperature):
        self.tokenizer.padding_side = "left"
        x = self.tokenizer(prompts, return_tensors="pt", padding=True).to(self.device)
        start = x["input_ids"].shape[1]
        extra = dict(do_sample=True, temperature=temperature) if temperature else dict(do_sample=False)
        y = self.model.generate(
            **x,
            max_new_tokens=60,
            num_return_sequences=n or 1,
            stopping_criteria=StoppingCriteriaList([StopOnNewline(self.tokenizer, start)]),
            pad_token_id=self.tokenizer.eos_token_id,
            **extra,
        )
        texts = self.tokenizer.batch_decode(y[:, start:], skip_special_tokens=True)
        return texts if n is None else [texts[i : i + n] for i in range(0, len(texts), n)]

    def answer(self, *questions):
        return [self.parse_answer(t) for t in self.batched_generate([self.format_prompt(q) for q in questions])]
