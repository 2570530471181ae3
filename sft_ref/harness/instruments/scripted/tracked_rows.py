"""Records the rows that a model generates.

It receives token ids, attention masks, caches and logits, independent of the calling code and the kind of hook.

Rows may be sorted, split, repeated and padded on either side, with or without a cache. A row is recognised by its
prompt, which may be fed in pieces, and then tracked by the tokens that are fed back. Rows may leave the batch once they
have ended. If rows cannot be told apart, change places (beam search), or are fed tokens that are drafted and then
verified (speculative decoding), `on_untrackable` is called.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from .model_inputs import cache_length, own_mask
from .questions import find_question, normalize

_BEAMS = "the rows of the cache change places: several completions of a prompt are searched together (beam search)"
_DRAFTED = "several new tokens are fed at once: they are drafted, and verified by the model"


@dataclass(frozen=True)
class Script:
    """The text that the model writes after one question.

    Attributes:
        question: prompts that contain it get this script.
        whole: ids of prompt and answer; a prompt that is a prefix of `whole` is continued with the rest of it.
        target: ids to write after any other prompt.
        least: minimum number of ids of a prompt that is recognised by `whole`.
        third: script of every third row of a batch with this question, as a sample may differ; None if all are alike.
    """

    question: str
    whole: tuple[int, ...]
    target: tuple[int, ...]
    least: int = 0
    third: Script | None = None


@dataclass
class GeneratedRow:
    """One row that the model generates.

    Attributes:
        prompt_ids: ids fed before the first new token, without padding.
        question: index of the question that the prompt asks; None if it asks none.
        continues_cache: whether a cache held tokens before the prompt.
        in_pieces: whether the prompt is fed in several forward passes, or one token at a time.
        new_token_ids: generated ids, including padding after the end. The last one is never fed back, so the most
            likely token is recorded for it.
        non_greedy: number of new tokens that were not the most likely ones, special tokens excluded.
        log_probs: log probability of each new token by the model's own logits, in nat; NaN if they were not observed.
        logits: maps each step to the model's own logits of the next token, in fp32 on the CPU; empty unless requested.
    """

    prompt_ids: list[int]
    question: int | None
    continues_cache: bool = False
    in_pieces: bool = False
    new_token_ids: list[int] = field(default_factory=list)
    non_greedy: int = 0
    log_probs: list[float] = field(default_factory=list)
    logits: dict[int, torch.Tensor] = field(default_factory=dict)


@dataclass(eq=False)
class TrackedRow:
    """A row of the current batch.

    Attributes:
        script: ids that the row has to write, if any.
        padding: number of positions after its last token.
        place: position of its next token in the logits; None if the logits do not contain it.
        natural: the model's own logits of its next token; None if they were not observed.
        likeliest: its most likely next token according to these logits.
        forced: its next token if the script allows no other; a different token that is fed next belongs to the prompt.
        begun: number of positions in the cache after its first forward pass.
    """

    generation: GeneratedRow
    script: tuple[int, ...] | None = None
    padding: int = 0
    place: int | None = None
    natural: torch.Tensor | None = None
    likeliest: int | None = None
    forced: int | None = None
    begun: int = 0


def _log_prob(row: TrackedRow, token: int) -> float:
    return math.nan if row.natural is None else float(row.natural.float().log_softmax(-1)[token])


class GenerationRecorder:
    """Tracks the forward passes of one model; call `before` and `after` around each pass.

    Args:
        tokenizer: the model's tokenizer.
        questions: the questions; each generation stores the index of its own.
        keep_logits: whether generations keep their logits.
        on_untrackable: called with the reason if rows cannot be told apart; they then count as new generations.
    """

    def __init__(
        self,
        tokenizer: Any,  # noqa: ANN401  # of any version of transformers
        questions: Sequence[str] = (),
        *,
        keep_logits: bool = False,
        on_untrackable: Callable[[str], object] = lambda reason: None,
    ) -> None:
        self.tokenizer, self.keep_logits, self.on_untrackable = tokenizer, keep_logits, on_untrackable
        self.questions = [normalize(question) for question in questions]
        self.generations: list[GeneratedRow] = []
        self._special = {tokenizer.eos_token_id, *tokenizer.all_special_ids}
        self._rows: list[TrackedRow] = []
        self._length = self._fed = 0
        self._selected: list[int] | None = None

    def before(self, ids: torch.Tensor, mask: Any = None, cache: Any = None) -> None:  # noqa: ANN401
        """Processes the arguments of a forward pass.

        Args:
            ids: (rows, tokens).
            mask: attention mask, as `own_mask` takes it.
            cache: a cache of any version of transformers; None if there is none.
        """
        past = cache_length(cache)
        mask = own_mask(ids, mask, past)
        fed = [row[kept].tolist() for row, kept in zip(ids, mask, strict=True)]
        self._watch(cache)
        if self._fed > 1 and any(row.begun < past < self._length for row in self._rows):  # some were refused
            self.on_untrackable(_DRAFTED)
        rows = self._track_cached(fed) if past and past == self._length else self._track_uncached(fed)
        for row in self._rows:
            if row not in rows:
                self._close(row)
        self._length, self._fed = past + ids.shape[1], ids.shape[1]
        self._rows = [row or self._begin(prompt, past) for row, prompt in zip(rows, fed, strict=True)]
        places = torch.arange(1, ids.shape[1] + 1, device=mask.device)
        for row, padding in zip(self._rows, (ids.shape[1] - (mask * places).amax(1)).tolist(), strict=True):
            row.padding = padding

    def after(self, logits: torch.Tensor) -> torch.Tensor:
        """Processes and returns the logits, of shape (rows, tokens, vocabulary) or (rows, vocabulary)."""
        if len(logits) != len(self._rows):
            self.on_untrackable(f"the head is given {len(logits)} rows, and the model {len(self._rows)}")
            return logits
        each = logits if logits.dim() > 2 else logits.unsqueeze(1)  # noqa: PLR2004
        last = each.shape[1] - 1
        natural = torch.stack([row[max(0, last - own.padding)] for row, own in zip(each, self._rows, strict=True)])
        for number, (row, likeliest) in enumerate(zip(self._rows, natural.argmax(-1).tolist(), strict=True)):
            is_there = row.padding <= last  # else it is padded on the right, and only the last logits were computed
            row.place, row.likeliest = last - row.padding if is_there else None, likeliest
            row.natural = natural[number].detach() if is_there else None
            if self.keep_logits and is_there:
                generation = row.generation
                generation.logits[len(generation.new_token_ids)] = natural[number].detach().float().cpu()
        return logits

    def finish(self) -> list[GeneratedRow]:
        """Ends all rows, and returns the generations in the order in which their rows began."""
        for row in self._rows:
            self._close(row)
        self._rows, self._length = [], 0
        return self.generations

    def identify(self, prompt: Sequence[int]) -> tuple[int | None, tuple[int, ...] | None]:
        """Returns the index of the question that a prompt asks, and the script for it.

        Of several questions, the last is asked; the others are examples.
        """
        return find_question(self.questions, self.decode(prompt)), None

    def decode(self, ids: Sequence[int]) -> str:
        """Decodes token ids, keeping special tokens and spaces."""
        return str(self.tokenizer.decode(list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False))

    def _begin(self, prompt: list[int], past: int) -> TrackedRow:
        question, script = self.identify(prompt)
        generation = GeneratedRow(prompt, question, continues_cache=past > 0, in_pieces=self._may_go_on(prompt, past))
        self.generations.append(generation)
        return TrackedRow(generation, script, begun=self._length)

    def _may_go_on(self, prompt: Sequence[int], past: int) -> bool:
        """Whether the next token that is fed may still belong to the prompt, since no prompt is a single token."""
        return len(prompt) <= 1 and not past

    def _feed(self, row: TrackedRow, tokens: list[int]) -> None:
        generation = row.generation
        if len(tokens) > 1 and row.forced == tokens[0]:
            self.on_untrackable(_DRAFTED)
        if self._continues_prompt(row, tokens):
            generation.in_pieces = True
            generation.prompt_ids += tokens
            generation.question, row.script = self.identify(generation.prompt_ids)
        else:
            is_other = len(tokens) == 1 and row.likeliest is not None and tokens[0] != row.likeliest
            generation.non_greedy += is_other and tokens[0] not in self._special
            generation.new_token_ids += tokens
            generation.log_probs += [_log_prob(row, token) if len(tokens) == 1 else math.nan for token in tokens]
        row.likeliest = row.forced = row.natural = None

    def _continues_prompt(self, row: TrackedRow, tokens: list[int]) -> bool:
        """Whether fed tokens belong to the prompt: several at once, or one that could not have been generated."""
        generation = row.generation
        if generation.new_token_ids or not tokens:
            return False
        if len(tokens) > 1 or not generation.prompt_ids:
            return True
        return generation.in_pieces and row.forced is not None and row.forced != tokens[0]

    def _close(self, row: TrackedRow) -> None:
        if row.likeliest is not None:
            row.generation.new_token_ids.append(row.likeliest)
            row.generation.log_probs.append(_log_prob(row, row.likeliest))

    def _track_cached(self, fed: list[list[int]]) -> Sequence[TrackedRow | None]:
        """Matches fed tokens to the rows in a cache; rows that have ended may be missing."""
        staying = self._find_staying([tokens[-1] if tokens else None for tokens in fed])
        if staying is None:
            self.on_untrackable(f"{len(self._rows)} rows became {len(fed)} inside a cache")
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
        staying: list[int] = []  # rows that are fed their most likely token, in order
        for place, row in enumerate(self._rows):
            if len(staying) < len(fed) and row.likeliest == fed[len(staying)]:
                staying.append(place)
        if len(staying) == len(fed):
            return staying
        going = [place for place, row in enumerate(self._rows) if row.likeliest != self.tokenizer.eos_token_id]
        return going if len(going) == len(fed) else None

    def _track_uncached(self, fed: list[list[int]]) -> Sequence[TrackedRow | None]:
        """Matches rows without a cache: a row continues if it is fed its own ids and one more."""
        waiting: dict[tuple[int, ...], list[TrackedRow]] = {}
        for row in self._rows:
            waiting.setdefault((*row.generation.prompt_ids, *row.generation.new_token_ids), []).append(row)
        rows: list[TrackedRow | None] = []
        for tokens in fed:
            same = waiting.get(tuple(tokens[:-1]))
            rows.append(same.pop(0) if same else None)
            if same is not None and rows[-1] is not None:
                self._feed(rows[-1], tokens[-1:])
        return rows

    def _watch(self, cache: Any) -> None:  # noqa: ANN401
        """Records which rows stay when a cache reports that rows leave it, and whether rows change places."""
        select, reorder = (getattr(cache, name, None) for name in ("batch_select_indices", "reorder_cache"))
        if select is None or reorder is None or "reorder_cache" in getattr(cache, "__dict__", ()):
            return

        def select_and_note(indices: torch.Tensor) -> Any:  # noqa: ANN401
            self._selected = indices.tolist()
            return select(indices)

        def reorder_and_note(indices: torch.Tensor) -> Any:  # noqa: ANN401
            self.on_untrackable(_BEAMS)
            return reorder(indices)

        cache.batch_select_indices, cache.reorder_cache = select_and_note, reorder_and_note
