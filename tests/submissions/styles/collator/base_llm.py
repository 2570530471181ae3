import math
from typing import List, Optional

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

checkpoint = "HuggingFaceTB/SmolLM2-360M-Instruct"


class BaseLLM:
    def __init__(self, checkpoint: str = checkpoint):
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.tokenizer = AutoTokenizer.from_pretrained(checkpoint)
        self.model = AutoModelForCausalLM.from_pretrained(checkpoint, torch_dtype=torch.float32).to(self.device)

    def format_prompt(self, question: str) -> str:
        # open the tag ourselves, so that the model can only go on with a number
        return question.strip() + " <answer>"

    def parse_answer(self, answer: str) -> float:
        text = answer.split("</answer>")[0]
        text = text.split("<answer>")[-1].strip().replace(",", "")
        try:
            value = float(text)
        except ValueError:
            return math.nan
        return value if math.isfinite(value) else math.nan

    def generate(self, prompt: str) -> str:
        inputs = self.tokenizer(prompt, return_tensors="pt").to(self.device)
        with torch.inference_mode():
            out = self.model.generate(
                **inputs, max_new_tokens=40, do_sample=False, pad_token_id=self.tokenizer.eos_token_id
            )
        return self.tokenizer.decode(out[0, inputs.input_ids.shape[1] :], skip_special_tokens=True)

    def batched_generate(
        self, prompts: List[str], num_return_sequences: Optional[int] = None, temperature: float = 0
    ):
        inputs = self.tokenizer(prompts, padding=True, padding_side="left", return_tensors="pt").to(self.device)
        n = 1 if num_return_sequences is None else num_return_sequences
        with torch.inference_mode():
            out = self.model.generate(
                **inputs,
                max_new_tokens=40,
                do_sample=temperature > 0,
                temperature=temperature if temperature > 0 else None,
                num_return_sequences=n,
                pad_token_id=self.tokenizer.eos_token_id,
            )
        texts = self.tokenizer.batch_decode(out[:, inputs.input_ids.shape[1] :], skip_special_tokens=True)
        if num_return_sequences is None:
            return texts
        return [texts[i * n : (i + 1) * n] for i in range(len(prompts))]

    def answer(self, *questions: str) -> List[float]:
        answers = []
        for i in range(0, len(questions), 64):
            prompts = [self.format_prompt(q) for q in questions[i : i + 64]]
            answers.extend(self.parse_answer(text) for text in self.batched_generate(prompts))
        return answers


def test_model():
    print(BaseLLM().answer("How many meters are there in 5 km?"))
