"""What passes the library's boundaries when questions are answered, and scripts for the model to say."""

import torch

CERTAIN = 1e4
"""Logit of a scripted token, the others' being as much below zero; fp16 can hold it."""


class GenerationRecorder:
    """Follows the forwards of the base's class while questions are answered.

    Attributes:
        generations: a row of a generation each: ids of its prompt, those that the model said after it, and how many
            of these were not the likeliest (`non_greedy`); `continues_cache` where a cache held what stood before them.
        scripts: list of (question, ids of the whole text to be said, ids to say where the prompt is another text).
    """

    def __init__(self, tokenizer):
        self.tokenizer = tokenizer
        self.model = None
        self.generations, self.scripts = [], []
        self._ids, self._rows, self._say, self._last, self._best = None, [], [], [], []

    def reset(self, scripts=()):
        """Forgets what was heard; from now on scripted prompts are answered as scripted."""
        self.finish()
        generations, self.generations, self.scripts = self.generations, [], list(scripts)
        return generations

    def before(self, model, ids, mask, past):
        """A forward begins: the next token of a generation, or a new one."""
        self.model = model
        ids = ids.detach().cpu()
        if self._ids is not None and past and len(ids) < len(self._rows):
            self._leave(ids[:, -1].tolist())
        same = self._ids is not None and len(ids) == len(self._rows)
        if same and past:
            self._go_on(ids[:, -1:].tolist(), torch.cat([self._ids, ids[:, -1:]], dim=1))
        elif same and ids.shape[1] == self._ids.shape[1] + 1 and torch.equal(ids[:, :-1], self._ids):
            self._go_on(ids[:, -1:].tolist(), ids)
        else:
            self.finish()
            self._begin(ids, mask, past)

    def _leave(self, fed):
        """Drops rows that have ended and left the batch: those fed are the others, in their order."""
        staying = []
        for row, token in enumerate(self._last):
            if len(staying) < len(fed) and token == fed[len(staying)]:
                staying.append(row)
        if len(staying) == len(fed):
            for row in set(range(len(self._rows))) - set(staying):
                self._rows[row]["new_token_ids"].append(self._last[row])
            self._ids = self._ids[staying]
            self._rows, self._say, self._best = (
                [each[row] for row in staying] for each in (self._rows, self._say, self._best)
            )

    def _begin(self, ids, mask, past):
        if mask is None or mask.dim() != ids.dim():
            mask = torch.ones_like(ids)
        mask = mask.detach().cpu()[:, -ids.shape[1] :].bool()
        self._ids, self._rows, self._say = ids, [], []
        for row, kept in zip(ids, mask):
            prompt = row[kept].tolist()
            self._rows.append(
                {"prompt_ids": prompt, "new_token_ids": [], "non_greedy": 0, "continues_cache": bool(past)}
            )
            self._say.append(self._script(prompt))
        self.generations += self._rows

    def _script(self, prompt):
        if not self.scripts:
            return None
        for _, whole, _ in self.scripts:
            if whole[: len(prompt)] == prompt:
                return self._sayable(whole[len(prompt) :])
        text = self.tokenizer.decode(prompt)
        flat = _flat(text)
        found = [(flat.rfind(_flat(each[0])), each) for each in self.scripts if _flat(each[0]) in flat]
        if not found:
            return None
        # of several the last is asked, those before it are examples
        _, (_, whole, target) = max(found, key=lambda each: (each[0] + len(_flat(each[1][0])), len(each[1][0])))
        written = self.tokenizer.decode(whole)
        if written.startswith(text):  # the same text in other tokens
            return self._sayable(self.tokenizer(written[len(text) :], add_special_tokens=False)["input_ids"])
        return target

    def _sayable(self, ids):
        """Without the end of sequence that training may have before the answer: generation would end there."""
        at = 0
        while at < len(ids) and ids[at] == self.tokenizer.eos_token_id:
            at += 1
        return list(ids[at:])

    def _go_on(self, tokens, ids):
        self._ids = ids
        for number, (row, (token,)) in enumerate(zip(self._rows, tokens)):
            best = self._best[number] if number < len(self._best) else token
            if token not in (best, self.tokenizer.eos_token_id) and token not in self.tokenizer.all_special_ids:
                row["non_greedy"] += 1
            row["new_token_ids"].append(token)

    def after(self, output):
        """A forward ends: scripts put words into its mouth."""
        logits = output.logits
        for row, (heard, script) in enumerate(zip(self._rows, self._say)):
            if script is None or row >= len(logits):
                continue
            said = len(heard["new_token_ids"])
            token = script[said] if said < len(script) else self.tokenizer.eos_token_id
            logits[row] = -CERTAIN
            logits[row, ..., token] = CERTAIN
        self._last = self._best = logits[:, -1].argmax(-1).tolist() if logits.dim() > 2 else []  # noqa: PLR2004
        return output

    def finish(self):
        """The last token of a generation is never fed back; greedily it is the likeliest."""
        for row, token in zip(self._rows, self._last):
            row["new_token_ids"].append(token)
        self._ids, self._rows, self._say, self._last, self._best = None, [], [], [], []


def _flat(text):
    """Text whatever its case and spaces."""
    return " ".join(text.lower().split())


def cached(past):
    """Whether a cache of any version holds tokens."""
    if past is None:
        return False
    if hasattr(past, "get_seq_length"):
        return int(past.get_seq_length()) > 0
    try:
        return len(past) > 0 and past[0][0].shape[-2] > 0
    except (TypeError, IndexError, AttributeError):
        return False
