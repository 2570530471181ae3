import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

checkpoint = "HuggingFaceTB/SmolLM2-360M-Instruct"

SYSTEM = "Convert units. Reply in <answer> tags."


class BaseLLM:
    def __init__(self, checkpoint=checkpoint):
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.tokenizer = AutoTokenizer.from_pretrained(checkpoint)
        self.model = AutoModelForCausalLM.from_pretrained(checkpoint).to(self.device)

    def format_prompt(self, question: str) -> str:
        messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": question}]
        return self.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)

    def parse_answer(self, answer: str) -> float:
        start = answer.rfind("<answer>")
        if start < 0:
            return float("nan")
        inside = answer[start + len("<answer>") :]
        end = inside.find("</answer>")
        if end >= 0:
            inside = inside[:end]
        try:
            return float(inside)
        except ValueError:
            return float("nan")

    def generate(self, prompt: str) -> str:
        return self.batched_generate([prompt])[0]

    @torch.inference_mode()
    def batched_generate(self, prompts, num_return_sequences=None, temperature=0):
        side, self.tokenizer.padding_side = self.tokenizer.padding_side, "left"
        inputs = self.tokenizer(prompts, padding=True, return_tensors="pt", add_special_tokens=False)
        self.tokenizer.padding_side = side
        inputs = {k: v.to(self.model.device) for k, v in inputs.items()}
        gen = {"max_new_tokens": 64, "pad_token_id": self.tokenizer.pad_token_id}
        if temperature > 0:
            gen.update(do_sample=True, temperature=temperature)
        else:
            gen["do_sample"] = False
        if num_return_sequences is not None:
            gen["num_return_sequences"] = num_return_sequences
        out = self.model.generate(**inputs, **gen)
        decoded = [
            self.tokenizer.decode(seq[inputs["input_ids"].shape[-1] :], skip_special_tokens=True).strip() for seq in out
        ]
        if num_return_sequences is None:
            return decoded
        n = num_return_sequences
        return [decoded[k : k + n] for k in range(0, len(decoded), n)]

    def answer(self, *questions) -> list[float]:
        generations = self.batched_generate([self.format_prompt(q) for q in questions])
        return [self.parse_answer(g) for g in generations]


def test_model():
    llm = BaseLLM()
    print(llm.generate(llm.format_prompt("How many cm is 2 m?")))
