import re

import torch
from tqdm import tqdm
from transformers import AutoModelForCausalLM, AutoTokenizer

checkpoint = "HuggingFaceTB/SmolLM2-135M-Instruct"
NUMBER = re.compile(r"<answer>\s*([-+]?[0-9]*\.?[0-9]+(?:e[-+]?[0-9]+)?)\s*</answer>")


class BaseLLM:
    def __init__(self, checkpoint=checkpoint):
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.tokenizer = AutoTokenizer.from_pretrained(checkpoint, padding_side="left")
        self.model = AutoModelForCausalLM.from_pretrained(checkpoint, torch_dtype=torch.float32)
        self.model.to(self.device)

    def format_prompt(self, question):
        return "Question: " + question + "\nAnswer:"

    def parse_answer(self, answer):
        found = NUMBER.search(answer)
        if found is None:
            return float("nan")
        return float(found.group(1))

    def generate(self, prompt):
        return self.batched_generate([prompt])[0]

    def batched_generate(self, prompts, num_return_sequences=None, temperature=0):
        # similar lengths together means less padding; the results go back to where they came from
        order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
        results = [None] * len(prompts)
        for start in tqdm(range(0, len(order), 16), desc="generating"):
            chosen = order[start : start + 16]
            texts = self._run([prompts[i] for i in chosen], num_return_sequences or 1, temperature)
            for i, text in zip(chosen, texts):
                results[i] = text
        return results if num_return_sequences is not None else [r[0] for r in results]

    def _run(self, prompts, n, temperature):
        batch = self.tokenizer(prompts, padding=True, return_tensors="pt").to(self.device)
        sampling = dict(do_sample=True, temperature=temperature) if temperature else dict(do_sample=False)
        with torch.no_grad():
            ids = self.model.generate(
                input_ids=batch["input_ids"],
                attention_mask=batch["attention_mask"],
                max_new_tokens=48,
                num_return_sequences=n,
                **sampling,
            )
        ids = ids[:, batch["input_ids"].size(1) :].reshape(len(prompts), n, -1)
        return [self.tokenizer.batch_decode(row, skip_special_tokens=True) for row in ids]

    def answer(self, *questions):
        return list(map(self.parse_answer, self.batched_generate([self.format_prompt(q) for q in questions])))


def test_model():
    llm = BaseLLM()
    print(llm.generate("The cat sat on"))
