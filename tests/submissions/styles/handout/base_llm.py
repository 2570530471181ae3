import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

checkpoint = "HuggingFaceTB/SmolLM2-360M-Instruct"
device = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"


class BaseLLM:
    def __init__(self, checkpoint=checkpoint):
        self.tokenizer = AutoTokenizer.from_pretrained(checkpoint)
        self.model = AutoModelForCausalLM.from_pretrained(checkpoint).to(device)
        self.device = device

    def format_prompt(self, question: str) -> str:
        return question

    def parse_answer(self, answer: str) -> float:
        """<answer>12.5</answer> -> 12.5, NaN if there is nothing to read"""
        try:
            return float(answer.split("<answer>")[1].split("</answer>")[0])
        except (IndexError, ValueError):
            return float("nan")

    def generate(self, prompt: str) -> str:
        return self.batched_generate([prompt])[0]

    def batched_generate(
        self, prompts: list[str], num_return_sequences: int | None = None, temperature: float = 0
    ) -> list[str] | list[list[str]]:
        n = num_return_sequences or 1
        texts = []
        for start in range(0, len(prompts), 32):
            texts += self._generate_chunk(prompts[start : start + 32], n, temperature)
        if num_return_sequences is None:
            return texts
        return [texts[i : i + n] for i in range(0, len(texts), n)]

    @torch.no_grad()
    def _generate_chunk(self, prompts, n, temperature):
        self.tokenizer.padding_side = "left"
        inputs = self.tokenizer(prompts, padding=True, return_tensors="pt").to(self.device)
        kwargs = {"do_sample": True, "temperature": temperature} if temperature > 0 else {"do_sample": False}
        out = self.model.generate(
            **inputs,
            max_new_tokens=50,
            num_return_sequences=n,
            eos_token_id=self.tokenizer.eos_token_id,
            pad_token_id=self.tokenizer.pad_token_id,
            **kwargs,
        )
        new_tokens = out[:, inputs["input_ids"].shape[1] :]
        return self.tokenizer.batch_decode(new_tokens, skip_special_tokens=True)

    def answer(self, *questions) -> list[float]:
        prompts = [self.format_prompt(q) for q in questions]
        return [self.parse_answer(g) for g in self.batched_generate(prompts)]


def test_model():
    llm = BaseLLM()
    for question in ("How many grams are there in 3 kg?", "Convert 2 hours to minutes."):
        print(question, "->", llm.generate(question))


if __name__ == "__main__":
    from fire import Fire

    Fire({"test": test_model})
