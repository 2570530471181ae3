"""Records what a causal language model generates, row by row, and makes it write given answers.

One instrument for every recorder: the harness hooks it onto a model in process, and a copy of this file runs beside
foreign code. So it imports torch alone, in the syntax of Python 3.10. It sees token ids, attention masks, caches and
logits; it does not know who calls the model, nor how it is hooked.

Rows may be sorted, split, repeated and padded on either side, with a cache or without. A row is recognised by its
prompt, which may be fed in pieces, and then followed by the tokens that are fed back. Rows may leave the batch once
they have ended. Where rows cannot be told apart, `on_lost` is called.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

CERTAIN = 1000.0
"""Logit of a scripted token; all others get its negative. No temperature in use makes it uncertain, and fp16 holds it
also divided by a temperature of 0.05."""


@dataclass(frozen=True)
class Script:
    """What the model writes after one question.

    Attributes:
        question: prompts that contain it get this script.
        whole: ids of prompt and answer; a prompt that `whole` begins with is continued as `whole` is.
        target: ids to write after any other prompt.
        least: fewest ids of a prompt that is recognised by `whole`.
    """

    question: str
    whole: tuple[int, ...]
    target: tuple[int, ...]
    least: int = 0


@dataclass
class GeneratedRow:
    """One row that the model generates.

    Attributes:
        prompt_ids: ids that are fed before the first new token, without padding.
        question: index of the question that the prompt asks; None where it asks none.
        continues_cache: whether a cache held tokens before the prompt.
        in_pieces: whether the prompt is fed in several forwards, or one token at a time.
        new_token_ids: what was generated, padding after the end included. The last one is never fed back, so the
            likeliest stands for it.
        non_greedy: number of new tokens that were not the likeliest, special tokens left out.
        logits: by step, what the model itself gave for the next token, in fp32 on the CPU; only if asked for.
    """

    prompt_ids: list[int]
    question: int | None
    continues_cache: bool = False
    in_pieces: bool = False
    new_token_ids: list[int] = field(default_factory=list)
    non_greedy: int = 0
    logits: dict[int, torch.Tensor] = field(default_factory=dict)


@dataclass(eq=False)
class _Row:
    """A row of the current batch.

    Attributes:
        script: what it is to write, if anything.
        padding: number of positions behind its last token.
        place: of its next token among the logits; None where the logits do not hold it.
        likeliest: its next token, as far as the logits tell.
        forced: its next token, if no other can be chosen: another one that is fed belongs to the prompt.
    """

    generation: GeneratedRow
    script: tuple[int, ...] | None = None
    padding: int = 0
    place: int | None = None
    likeliest: int | None = None
    forced: int | None = None


class GenerationRecorder:
    """Follows the forwards of one model; call `before` and `after` around each one.

    Args:
        tokenizer: of the model.
        questions: what is asked; each generation gets the index of its own.
        keep_logits: whether generations keep their logits.
        on_lost: called with the reason where rows cannot be told apart; they then count as new generations.
    """

    def __init__(
        self,
        tokenizer: Any,  # noqa: ANN401  # of any version of transformers
        questions: Sequence[str] = (),
        *,
        keep_logits: bool = False,
        on_lost: Callable[[str], object] = lambda reason: None,
    ) -> None:
        self.tokenizer, self.keep_logits, self.on_lost = tokenizer, keep_logits, on_lost
        self.questions = [normalize(question) for question in questions]
        self.generations: list[GeneratedRow] = []
        self._special = {tokenizer.eos_token_id, *tokenizer.all_special_ids}
        self._rows: list[_Row] = []
        self._length = 0
        self._selected: list[int] | None = None

    def before(self, ids: torch.Tensor, mask: Any = None, cache: Any = None) -> None:  # noqa: ANN401
        """Takes the arguments of a forward.

        Args:
            ids: (rows, tokens).
            mask: attention mask, as `own_mask` takes it.
            cache: of any version of transformers; None where there is none.
        """
        past = cache_length(cache)
        mask = own_mask(ids, mask, past)
        fed = [row[kept].tolist() for row, kept in zip(ids, mask, strict=True)]
        self._watch(cache)
        rows = self._follow_cache(fed) if past and past == self._length else self._follow_text(fed)
        for row in self._rows:
            if row not in rows:
                self._close(row)
        self._rows = [row or self._begin(prompt, past) for row, prompt in zip(rows, fed, strict=True)]
        self._length = past + ids.shape[1]
        places = torch.arange(1, ids.shape[1] + 1, device=mask.device)
        for row, padding in zip(self._rows, (ids.shape[1] - (mask * places).amax(1)).tolist(), strict=True):
            row.padding = padding

    def after(self, logits: torch.Tensor) -> torch.Tensor:
        """Takes the logits of the forward, (rows, tokens, vocabulary) or (rows, vocabulary), and gives them back."""
        if len(logits) != len(self._rows):
            self.on_lost(f"the head is given {len(logits)} rows, and the model {len(self._rows)}")
            return logits
        each = logits if logits.dim() > 2 else logits.unsqueeze(1)  # noqa: PLR2004
        last = each.shape[1] - 1
        natural = torch.stack([row[max(0, last - own.padding)] for row, own in zip(each, self._rows, strict=True)])
        for number, (row, likeliest) in enumerate(zip(self._rows, natural.argmax(-1).tolist(), strict=True)):
            is_there = row.padding <= last  # else the row is padded on the right, and only the last place is asked for
            row.place, row.likeliest = last - row.padding if is_there else None, likeliest
            if self.keep_logits and is_there:
                generation = row.generation
                generation.logits[len(generation.new_token_ids)] = natural[number].detach().float().cpu()
        return logits

    def finish(self) -> list[GeneratedRow]:
        """Ends all rows; what was generated, in the order in which rows began."""
        for row in self._rows:
            self._close(row)
        self._rows, self._length = [], 0
        return self.generations

    def identify(self, prompt: Sequence[int]) -> tuple[int | None, tuple[int, ...] | None]:
        """Index of the question that a prompt asks, and the script for it: of several the last, others are examples."""
        return find_question(self.questions, self.decode(prompt)), None

    def decode(self, ids: Sequence[int]) -> str:
        """The text of ids, special tokens and spaces as they are."""
        return str(self.tokenizer.decode(list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False))

    def _begin(self, prompt: list[int], past: int) -> _Row:
        question, script = self.identify(prompt)
        generation = GeneratedRow(prompt, question, continues_cache=past > 0, in_pieces=self._may_go_on(prompt, past))
        self.generations.append(generation)
        return _Row(generation, script)

    def _may_go_on(self, prompt: Sequence[int], past: int) -> bool:
        """Whether a prompt may continue with the next token that is fed, since no prompt is a single token."""
        return len(prompt) <= 1 and not past

    def _feed(self, row: _Row, tokens: list[int]) -> None:
        generation = row.generation
        if self._continues_prompt(row, tokens):
            generation.in_pieces = True
            generation.prompt_ids += tokens
            generation.question, row.script = self.identify(generation.prompt_ids)
        else:
            is_other = len(tokens) == 1 and row.likeliest is not None and tokens[0] != row.likeliest
            generation.non_greedy += is_other and tokens[0] not in self._special
            generation.new_token_ids += tokens
        row.likeliest = row.forced = None

    def _continues_prompt(self, row: _Row, tokens: list[int]) -> bool:
        """Whether tokens that are fed belong to the prompt: several at once, or one that could not be chosen."""
        generation = row.generation
        if generation.new_token_ids or not tokens:
            return False
        if len(tokens) > 1 or not generation.prompt_ids:
            return True
        return generation.in_pieces and row.forced is not None and row.forced != tokens[0]

    def _close(self, row: _Row) -> None:
        if row.likeliest is not None:
            row.generation.new_token_ids.append(row.likeliest)

    def _follow_cache(self, fed: list[list[int]]) -> Sequence[_Row | None]:
        """Rows that a cache holds go on; those that have ended may be missing."""
        staying = self._find_staying([tokens[-1] if tokens else None for tokens in fed])
        if staying is None:
            self.on_lost(f"{len(self._rows)} rows became {len(fed)} inside a cache")
            return [None] * len(fed)
        rows = [self._rows[place] for place in staying]
        for row, tokens in zip(rows, fed, strict=True):
            self._feed(row, tokens)
        return rows

    def _find_staying(self, fed: list[int | None]) -> Sequence[int] | None:
        selected, self._selected = self._selected, None
        if selected is not None and len(selected) == len(fed):
            return selected
        if len(fed) == len(self._rows):
            return range(len(fed))
        staying: list[int] = []  # those that are fed what is likeliest, in their order
        for place, row in enumerate(self._rows):
            if len(staying) < len(fed) and row.likeliest == fed[len(staying)]:
                staying.append(place)
        if len(staying) == len(fed):
            return staying
        going = [place for place, row in enumerate(self._rows) if row.likeliest != self.tokenizer.eos_token_id]
        return going if len(going) == len(fed) else None

    def _follow_text(self, fed: list[list[int]]) -> Sequence[_Row | None]:
        """Without a cache, a row goes on that is fed its own ids and one more."""
        waiting: dict[tuple[int, ...], list[_Row]] = {}
        for row in self._rows:
            waiting.setdefault((*row.generation.prompt_ids, *row.generation.new_token_ids), []).append(row)
        rows: list[_Row | None] = []
        for tokens in fed:
            same = waiting.get(tuple(tokens[:-1]))
            rows.append(same.pop(0) if same else None)
            if same is not None and rows[-1] is not None:
                self._feed(rows[-1], tokens[-1:])
        return rows

    def _watch(self, cache: Any) -> None:  # noqa: ANN401
        """Notes which rows stay, when rows leave a cache that tells it."""
        select = getattr(cache, "batch_select_indices", None)
        if select is None or "batch_select_indices" in getattr(cache, "__dict__", ()):
            return

        def select_and_note(indices: torch.Tensor) -> Any:  # noqa: ANN401
            self._selected = indices.tolist()
            return select(indices)

        cache.batch_select_indices = select_and_note


class ScriptedModel(GenerationRecorder):
    """A recorder that makes the model write scripts; a prompt without a script is left alone.

    Slicing, stopping, order and decoding are thereby tested exactly, whatever the weights.

    Args:
        tokenizer: of the model.
        scripts: a question each; the index of a generation's question is that of its script.
        strict: whether a script stands at each row's next token alone, which shows who reads the logits of padding,
            begins again after its end, which shows who does not stop. Else it stands at every position, and the end is
            repeated.
        keep_nan: whether logits that are not all finite stay as they are. Else a script is written whatever the model
            computes, and what follows generation is tested alone.
        keep_logits, on_lost: as `GenerationRecorder` takes them. Logits are kept as the model gave them.
        sought: the question whose prompt is all that is wanted; what the model writes after it does not matter.

    While a prompt is fed in pieces, a token that it does not hold is written: it is fed back where the prompt ends.
    """

    def __init__(
        self,
        tokenizer: Any,  # noqa: ANN401
        scripts: Sequence[Script],
        *,
        strict: bool = False,
        keep_nan: bool = False,
        keep_logits: bool = False,
        sought: str = "",
        on_lost: Callable[[str], object] = lambda reason: None,
    ) -> None:
        questions = [script.question for script in scripts]
        super().__init__(tokenizer, questions, keep_logits=keep_logits, on_lost=on_lost)
        self.scripts, self.strict, self.keep_nan, self.sought = list(scripts), strict, keep_nan, sought
        self._marker: int | None = None

    def after(self, logits: torch.Tensor) -> torch.Tensor:
        """As the recorder, but gives back logits under which scripted rows are certain to go on as scripted."""
        logits = super().after(logits)
        written = logits.clone()
        each = written if logits.dim() > 2 else written.unsqueeze(1)  # noqa: PLR2004
        for number, row in enumerate(self._rows):
            next_token = self._next_token(row, logits.shape[-1])
            if next_token is None or number >= len(each) or (self.strict and row.place is None):
                continue
            row.likeliest = row.forced = next_token
            places = slice(None) if row.place is None or not self.strict else slice(row.place, row.place + 1)
            own = each[number, places].clone()
            each[number, places] = -CERTAIN
            each[number, places, next_token] = CERTAIN
            if self.keep_nan and not own.isfinite().all():
                each[number, places] = own
        return written

    def _may_go_on(self, prompt: Sequence[int], past: int) -> bool:
        return bool(self.sought) or super()._may_go_on(prompt, past)

    def _next_token(self, row: _Row, vocabulary: int) -> int | None:
        """What a row is to write; None where it is left alone."""
        step, script, prompt = len(row.generation.new_token_ids), row.script, row.generation.prompt_ids
        is_read = bool(self.scripts or self.sought)
        if is_read and row.generation.in_pieces and not step and (script is None or self._is_beginning(prompt)):
            self._marker = self._marker or self._choose_marker(vocabulary)
            return self._marker
        if script is None:
            return None
        return script[step % len(script) if self.strict else min(step, len(script) - 1)]

    def _choose_marker(self, vocabulary: int) -> int:
        """A token that neither a script nor the question holds."""
        held = self._special.union(*(script.whole for script in self.scripts))
        held |= {*self.tokenizer(self.sought, add_special_tokens=False)["input_ids"]}
        return max(set(range(min(vocabulary, len(self.tokenizer)))) - held)

    def _is_beginning(self, prompt: Sequence[int]) -> bool:
        """Whether ids are the beginning of a prompt that a script knows."""
        return any(
            tuple(prompt) == script.whole[: len(prompt)] and len(prompt) < script.least for script in self.scripts
        )

    def identify(self, prompt: Sequence[int]) -> tuple[int | None, tuple[int, ...] | None]:
        """Index of the script for a prompt, and what it writes after it."""
        ids = tuple(prompt)
        for number, script in enumerate(self.scripts):
            if script.whole[: len(ids)] == ids and len(ids) >= script.least:
                return number, self._end(self._skip_end(script.whole[len(ids) :]))
        text = self.decode(ids)
        found = find_question(self.questions, text)
        if found is None:
            return None, None
        script = self.scripts[found]
        whole = self.decode(script.whole)
        if len(ids) >= script.least and whole.startswith(text):  # the same text in other tokens
            rest = self.tokenizer(whole[len(text) :], add_special_tokens=False)["input_ids"]
            return found, self._end(self._skip_end(tuple(rest)))
        return found, self._end(script.target)

    def _skip_end(self, ids: tuple[int, ...]) -> tuple[int, ...]:
        """Without an end of sequence that training has before the answer: generation would end there."""
        at = next((n for n, token in enumerate(ids) if token != self.tokenizer.eos_token_id), len(ids))
        return ids[at:]

    def _end(self, ids: tuple[int, ...]) -> tuple[int, ...]:
        end = self.tokenizer.eos_token_id
        return ids if ids[-1:] == (end,) else (*ids, end)


def normalize(text: str) -> str:
    """A question without the mark that it ends with, in lower case and with single spaces."""
    return " ".join(text.lower().split()).rstrip("?.! ")


def find_question(questions: Sequence[str], text: str) -> int | None:
    """Index of the normalized question that a text contains last, of those that end alike the longest."""
    flat = " ".join(text.lower().split())
    ends = []
    for number, question in enumerate(questions):
        at = flat.rfind(question)
        while at > 0 and question[:1].isdigit() and flat[at - 1].isdigit():  # within a longer number
            at = flat.rfind(question, 0, at + len(question) - 1)
        if question and at >= 0:
            ends.append((at + len(question), len(question), -number))
    return -max(ends)[2] if ends else None


def own_mask(ids: torch.Tensor, mask: Any, past: int = 0) -> torch.Tensor:  # noqa: ANN401
    """Which of the ids of a forward are attended to, bool of their shape; all where no mask tells.

    Args:
        ids: (rows, tokens).
        mask: attention mask, or one for each kind of layer; of two dimensions, or of four, (rows, 1, tokens, keys),
            where a token that does not attend to itself is padding. It may also cover `past` tokens of a cache, and
            places that are not yet filled.
        past: number of tokens in the cache.
    """
    if isinstance(mask, dict):
        mask = next(iter(mask.values()), None)
    every = torch.ones_like(ids, dtype=torch.bool)
    if not isinstance(mask, torch.Tensor) or mask.dim() not in (2, 4):
        return every
    begin = max(0, min(past, mask.shape[-1] - ids.shape[1]))
    own = mask[..., begin : begin + ids.shape[1]]
    if own.dim() > ids.dim():
        own = own[:, 0, -ids.shape[1] :].diagonal(dim1=1, dim2=2)
        own = own == 0 if own.is_floating_point() else own  # then what is masked has a large negative number
    return own.bool() if own.shape == ids.shape else every


def cache_length(cache: Any) -> int:  # noqa: ANN401
    """Number of tokens that a cache of any version of transformers holds; 0 where that cannot be told."""
    if cache is None:
        return 0
    try:
        return int(cache.get_seq_length() if hasattr(cache, "get_seq_length") else cache[0][0].shape[-2])
    except (TypeError, IndexError, AttributeError):
        return 0
