import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

checkpoint = "HuggingFaceTB/SmolLM2-360M-Instruct"

device = "cuda" if torch.cuda.is_available() else "cpu"

PROMPT = """### Human: {question}
### Assistant:"""


class BaseLLM:
    def __init__(self, checkpoint=checkpoint):
        self.tokenizer = AutoTokenizer.from_pretrained(checkpoint)
        self.tokenizer.pad_token = self.tokenizer.eos_token
        self.model = AutoModelForCausalLM.from_pretrained(checkpoint, torch_dtype=torch.float32).to(device)
        self.device = device

    def format_prompt(self, question: str) -> str:
        return PROMPT.format(question=question)

    def parse_answer(self, answer: str) -> float:
        answer = answer.split("<answer>")[-1].split("</answer>")[0]
        try:
            return float(answer.strip())
        except ValueError:
            return float("nan")

    def generate(self, prompt: str) -> str:
        return self.batched_generate([prompt])[0]

    def batched_generate(self, prompts, num_return_sequences=None, temperature=0):
        self.tokenizer.padding_side = "left"
        results = []
        bs = 20
        for i in range(0, len(prompts), bs):
            inputs = self.tokenizer(prompts[i : i + bs], return_tensors="pt", padding=True).to(device)
            outputs = self.model.generate(
                **inputs,
                max_new_tokens=50,
                do_sample=temperature > 0,
                temperature=temperature if temperature > 0 else None,
                num_return_sequences=num_return_sequences or 1,
                pad_token_id=self.tokenizer.eos_token_id,
            )
            # remove the prompt
            outputs = outputs[:, inputs.input_ids.shape[1] :]
            results.extend(self.tokenizer.batch_decode(outputs, skip_special_tokens=True))
        if num_return_sequences is not None:
            k = num_return_sequences
            results = [results[i * k : (i + 1) * k] for i in range(len(prompts))]
        return results

    def answer(self, *questions):
        return [self.parse_answer(x) for x in self.batched_generate([self.format_prompt(q) for q in questions])]
