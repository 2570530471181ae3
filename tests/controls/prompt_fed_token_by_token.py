"""Generation feeds the prompt to a cache, one token at a time, as simple loops on small machines do."""

from collections.abc import Sequence
from pathlib import Path

import torch
from mutation import Control
from plain_loop import NEW_TOKENS, PLAIN, Answers, PlainLoop
from transformers import DynamicCache

END = 2


class TokenByToken(Answers):
    @torch.no_grad()
    def _generate(self, questions: Sequence[str], each: int, temperature: float) -> list[list[str]]:
        return [[self._complete(question, temperature) for _ in range(each)] for question in questions]

    def _complete(self, question: str, temperature: float) -> str:
        prompt = self.tokenizer.encode(self.how.convention.prompt(question), add_special_tokens=False)
        cache, new, waiting = DynamicCache(), list[int](), list(prompt)
        while waiting:
            ids = torch.tensor([[waiting.pop(0)]])
            logits = self.model(input_ids=ids, past_key_values=cache, use_cache=True).logits[0, -1]
            if not waiting and len(new) < NEW_TOKENS and END not in new:
                likely = (logits / temperature).softmax(-1).multinomial(1) if temperature else logits.argmax()
                new.append(int(likely))
                waiting = [] if new[-1] == END else new[-1:]
        return str(self.tokenizer.decode(new, skip_special_tokens=True))


class Fed(PlainLoop):
    def load(self, folder: Path) -> Answers:
        loaded = super().load(folder)
        return TokenByToken(loaded.model, loaded.tokenizer, self)


CONTROL = Control(
    "prompt_fed_token_by_token",
    "the prompt is fed to a cache, one token at a time",
    lambda: Fed("prompt_fed_token_by_token", convention=PLAIN),
)
