"""A puppet: whatever model an implementation has loaded, made to say what a script says.

A hook on the output head lifts the scripted token above all others, so that generation, order, slicing, stopping and
decoding are tested exactly, without training, whatever the weights. It knows the transformers model and its tokenizer,
and nothing of the implementation around them.

A row is found by its prompt, never by its place, so batches may be sorted, split, repeated or expanded. It is followed
from forward to forward by the ids it has been fed, with a cache (new ids only) and without (all ids again). Rows may
leave a batch at any step where all ids are fed again; with a cache only once they have ended and all others stay, for
nothing else can be told from the last ids alone: then `CannotFollow` is raised. A beam search that swaps rows inside
a cache is not followed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import torch

from sft_ref.harness.core.findings import Unavailable

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Ids = tuple[int, ...]

LIFT = 2000.0
"""How far the scripted logit stands above the greatest other: beyond any that a model gives, also divided by a
temperature of 20, and finite in fp16 (65504) also divided by one of 0.04."""


class CannotFollow(Unavailable):
    """The model is used in a way in which rows cannot be told apart; says nothing about whether that is sound."""


@dataclass(frozen=True)
class Row:
    """One row of a batch at one forward.

    Attributes:
        prompt: ids before the first new token, padding left out.
        said: new tokens so far.
        key: key of the script that was found for the prompt; None where there is none.
        script: what it is to say, up to and with the end; whoever goes on asking hears it again from its beginning.
    """

    prompt: Ids
    said: Ids
    key: str | Ids | None
    script: Ids | None


@dataclass(frozen=True)
class Moment:
    """A row at a forward, and the logits of its next token as the model itself gave them, in fp32 on the CPU."""

    row: Row
    logits: torch.Tensor


class Puppet:
    """Follows rows and says their scripts; see `puppet`.

    Attributes:
        moments: what was heard, a row and a forward each, in the order of time.
        unscripted: texts of the prompts that no script was found for; they were left alone.
    """

    def __init__(
        self, tokenizer: PreTrainedTokenizerBase, scripts: Mapping[str | Ids, Sequence[int]], end: int
    ) -> None:
        self.tokenizer, self.scripts, self.end = tokenizer, scripts, end
        self.moments: list[Moment] = []
        self.unscripted: list[str] = []
        self._rows: list[Row] = []
        self._known: dict[Ids, Row] = {}
        self._last: list[int] = []  # of each row: how many positions stand after its last token
        self._fed = 0
        self._told: list[int | None] = []
        self._chosen: list[int] | None = None

    def feed(self, _module: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Before the decoder: takes the ids of all rows."""
        ids = kwargs.get("input_ids", args[0] if args else None)
        if ids is None:
            raise CannotFollow("the model is fed embeddings, not token ids")
        mask = kwargs.get("attention_mask")
        if mask is None or mask.ndim != ids.ndim:  # none, or one that is already made for attention
            mask = torch.ones_like(ids)
        mask = mask[:, -ids.shape[1] :].bool()
        new = [tuple(row[kept].tolist()) for row, kept in zip(ids, mask, strict=True)]
        self._watch(kwargs.get("past_key_values"))
        past = _length(kwargs.get("past_key_values"))
        if past and past == self._fed:
            self._rows = [self._go_on(row, more) for row, more in zip(self._staying(len(new)), new, strict=True)]
        else:
            self._rows = [self._recall(row) for row in new]
        self._fed = past + ids.shape[1]
        self._known.update({row.prompt + row.said: row for row in self._rows})
        places = torch.arange(1, ids.shape[1] + 1, device=mask.device)
        self._last = (ids.shape[1] - (mask * places).amax(1)).tolist()

    def speak(self, _module: torch.nn.Module, _args: object, output: torch.Tensor) -> torch.Tensor:
        """After the head: lifts each row's next token, at the place of its last token."""
        logits = output.unsqueeze(1) if output.ndim == 2 else output  # noqa: PLR2004  # (rows, vocabulary)
        if logits.shape[0] != len(self._rows):
            raise CannotFollow(f"the head is given {logits.shape[0]} rows, and the model was fed {len(self._rows)}")
        spoken = logits.clone()
        self._told = [None] * len(self._rows)
        for number, (row, back) in enumerate(zip(self._rows, self._last, strict=True)):
            place = logits.shape[1] - 1 - back
            if place < 0:
                continue  # a row padded on the right, whose own last place is not asked for
            natural = logits[number, place]
            self.moments.append(Moment(row, natural.detach().float().cpu()))
            if row.script is not None:
                token = row.script[len(row.said) % len(row.script)]
                spoken[number, place, token] = natural.max() + LIFT
                self._told[number] = token
        return spoken.view_as(output)

    def _watch(self, past: Any) -> None:  # noqa: ANN401  # a cache of any version
        """Hears of rows that leave the batch from the cache that they leave."""
        select = getattr(past, "batch_select_indices", None)
        if select is None or "batch_select_indices" in vars(past):
            return

        def heard(indices: torch.Tensor) -> Any:  # noqa: ANN401
            self._chosen = indices.tolist()
            return select(indices)

        past.batch_select_indices = heard

    def _staying(self, count: int) -> list[Row]:
        chosen, self._chosen = self._chosen, None
        if chosen is not None and len(chosen) == count:
            return [self._rows[place] for place in chosen]
        if count == len(self._rows):
            return self._rows
        staying = [row for row, token in zip(self._rows, self._told, strict=True) if token != self.end]
        if count != len(staying):
            raise CannotFollow(f"{len(self._rows)} rows became {count} inside a cache")
        return staying

    def _go_on(self, row: Row, more: Ids) -> Row:
        if len(more) > 1 and not row.said:  # the prompt comes in pieces
            return self._meet(row.prompt + more)
        return replace(row, said=row.said + more)

    def _recall(self, ids: Ids) -> Row:
        if ids in self._known:
            return self._known[ids]
        before = self._known.get(ids[:-1])
        return replace(before, said=(*before.said, ids[-1])) if before else self._meet(ids)

    def _meet(self, prompt: Ids) -> Row:
        text = cast("str", self.tokenizer.decode([*prompt], clean_up_tokenization_spaces=False))
        inside = [key for key in self.scripts if isinstance(key, str) and key in text]
        key = prompt if prompt in self.scripts else max(inside, key=len, default=None)
        if key is None:
            self.unscripted.append(text)
            return Row(prompt, (), None, None)
        script = tuple(self.scripts[key])
        return Row(prompt, (), key, script if script[-1:] == (self.end,) else (*script, self.end))


@contextlib.contextmanager
def puppet(
    model: Any,  # noqa: ANN401  # a transformers model, or peft's wrapper of one
    tokenizer: PreTrainedTokenizerBase,
    scripts: Mapping[str | Ids, Sequence[int]] | None = None,
    *,
    end: int | None = None,
) -> Iterator[Puppet]:
    """Within it, the model says the scripts; after it, also after an error, no hook is left.

    Args:
        model: a transformers causal language model, or peft's wrapper of one.
        tokenizer: its tokenizer.
        scripts: what to say after which prompt. A text stands for every prompt that contains it (the longest counts),
            ids for exactly that prompt. A prompt without a script is left alone and listed in `Puppet.unscripted`;
            with no scripts at all the puppet only listens.
        end: said after a script that does not end with it; the tokenizer's end-of-sequence token by default.

    Raises:
        CannotFollow: within it, where rows cannot be told apart.
    """
    owner, head = find_head(model)
    held = Puppet(tokenizer, scripts or {}, tokenizer.eos_token_id if end is None else end)
    # the decoder's call, for peft's own forward goes past that of the model around it
    hooks = [
        owner.base_model.register_forward_pre_hook(held.feed, with_kwargs=True),
        head.register_forward_hook(held.speak),
    ]
    try:
        yield held
    finally:
        for hook in hooks:
            hook.remove()


def find_head(model: Any) -> tuple[Any, torch.nn.Module]:  # noqa: ANN401  # as above
    """The transformers model inside whatever wraps it, and its output head.

    Raises:
        CannotFollow: there is none.
    """
    owner = model.get_base_model() if hasattr(model, "get_base_model") else model
    head = owner.get_output_embeddings() if hasattr(owner, "get_output_embeddings") else None
    if head is None or getattr(owner, "base_model", owner) is owner:
        raise CannotFollow(f"{type(model).__name__} is no transformers model with an output head")
    return owner, head


def _length(past: Any) -> int:  # noqa: ANN401  # a cache of any version
    if past is None:
        return 0
    if hasattr(past, "get_seq_length"):
        return int(past.get_seq_length())
    return int(past[0][0].shape[-2]) if len(past) else 0
