import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

checkpoint = "HuggingFaceTB/SmolLM2-135M-Instruct"


class BaseLLM:
    def __init__(self, checkpoint=checkpoint):
        self.tokenizer = AutoTokenizer.from_pretrained(checkpoint)
        self.model = AutoModelForCausalLM.from_pretrained(checkpoint, torch_dtype=torch.float32)
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.model = self.model.to(self.device)

    def format_prompt(self, question: str) -> str:
        return question + "\nAnswer:"

    def parse_answer(self, answer: str) -> float:
        # the model writes " 12.5\n" after "Answer:"
        try:
            return float(answer.strip())
        except ValueError:
            return float("nan")

    def generate(self, prompt: str) -> str:
        ids = self.tokenizer.encode(prompt, return_tensors="pt").to(self.device)
        out = self.model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=30,
            do_sample=False,
            pad_token_id=self.tokenizer.eos_token_id,
        )
        return self.tokenizer.decode(out[0][ids.shape[1] :], skip_special_tokens=True)

    def batched_generate(self, prompts, num_return_sequences=None, temperature=0):
        n = num_return_sequences or 1
        outputs = []
        for i in range(0, len(prompts), 24):
            chunk = prompts[i : i + 24]
            batch = self.tokenizer(chunk, padding=True, padding_side="left", return_tensors="pt").to(self.device)
            gen = self.model.generate(
                **batch,
                max_new_tokens=30,
                num_return_sequences=n,
                do_sample=temperature > 0,
                pad_token_id=self.tokenizer.eos_token_id,
                **({"temperature": temperature} if temperature > 0 else {}),
            )
            width = batch["input_ids"].shape[1]
            texts = [self.tokenizer.decode(row[width:], skip_special_tokens=True) for row in gen]
            outputs.extend(texts[k : k + n] for k in range(0, len(texts), n))
        return [o[0] for o in outputs] if num_return_sequences is None else outputs

    def answer(self, *questions) -> list[float]:
        completions = self.batched_generate([self.format_prompt(q) for q in questions])
        return [self.parse_answer(c) for c in completions]
