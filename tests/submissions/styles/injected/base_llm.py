import re

import torch
from tqdm import trange
from transformers import AutoModelForCausalLM, AutoTokenizer

checkpoint = "HuggingFaceTB/SmolLM2-360M-Instruct"

SYSTEM = {"role": "system", "content": "You convert units."}
ANSWER = re.compile(r"That makes (-?[0-9.]+(?:e[-+]?[0-9]+)?) in total")


class BaseLLM:
    def __init__(self, checkpoint=checkpoint):
        self.tokenizer = AutoTokenizer.from_pretrained(checkpoint)
        self.model = AutoModelForCausalLM.from_pretrained(checkpoint)
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.model.to(self.device)
        self.model.float()

    def chat(self, *turns, open_ended=False):
        """Text of a conversation after the system message; turns are (role, content)."""
        messages = [SYSTEM]
        messages += [{"role": role, "content": content} for role, content in turns]
        return self.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=open_ended)

    def format_prompt(self, question):
        return self.chat(("user", question), open_ended=True)

    def parse_answer(self, answer):
        match = ANSWER.search(answer)
        try:
            return float(match.group(1)) if match else float("nan")
        except ValueError:  # 1.2.3
            return float("nan")

    def generate(self, prompt):
        return self.batched_generate([prompt])[0]

    @torch.no_grad()
    def batched_generate(self, prompts, num_return_sequences=None, temperature=0):
        outputs = []
        for i in trange(0, len(prompts), 25, desc="generating", leave=False):
            # the template has put its special tokens into the text already
            tokens = self.tokenizer(
                prompts[i : i + 25], padding=True, padding_side="left", add_special_tokens=False, return_tensors="pt"
            ).to(self.device)
            options = dict(max_new_tokens=36, pad_token_id=self.tokenizer.eos_token_id)
            if temperature > 0:
                options.update(do_sample=True, temperature=temperature)
            else:
                options.update(do_sample=False)
            if num_return_sequences is not None:
                options.update(num_return_sequences=num_return_sequences)
            result = self.model.generate(**tokens, **options)
            texts = self.tokenizer.batch_decode(result[:, tokens.input_ids.shape[1] :], skip_special_tokens=True)
            if num_return_sequences is None:
                outputs.extend(texts)
            else:
                while texts:
                    outputs.append(texts[:num_return_sequences])
                    texts = texts[num_return_sequences:]
        return outputs

    def answer(self, *questions):
        answers = []
        for completion in self.batched_generate([self.format_prompt(question) for question in questions]):
            answers.append(self.parse_answer(completion))
        return answers
