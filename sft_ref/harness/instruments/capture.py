"""What passes the library's boundaries while questions are answered: ids in, ids out, texts to the parser.

Looks through hooks on the loaded model, so that it holds wherever an implementation formats prompts, and whatever its
own functions are called. A script puts words into the model's mouth: then all around the model is tested exactly,
without training.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from unittest import mock

import torch

from sft_ref.harness.core.findings import Unavailable

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from sft_ref.harness.core.implementation import Answerer

Ids = tuple[int, ...]

_CERTAIN = 1e4
"""Logit of a scripted token, the others' being 0; fp16 can hold it, and no temperature in use makes it uncertain."""


@dataclass
class Captured:
    """What was seen.

    Attributes:
        prompts: ids that reach the first forward of each generation, a row each, padding removed.
        new: ids that the model produced for each of them, as they were fed back, padding after the end included.
        texts: what reached `parse_answer`, in its order.
        answers: what `answer` returned.
    """

    prompts: list[Ids] = field(default_factory=list)
    new: list[list[int]] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    answers: list[float] = field(default_factory=list)


class Unasked(Unavailable):
    """A question is answered without a forward of the model."""


class _Enough(BaseException):
    """Ends a generation once its prompt is known; no `except Exception` of an implementation holds it up."""


class _Listener:
    """Follows the forwards of one model, and tells where a generation begins from the ids and the cache alone."""

    def __init__(self, seen: Captured, scripts: Mapping[Ids, Ids], *, prompts_only: bool) -> None:
        self.seen, self.scripts, self.prompts_only = seen, scripts, prompts_only
        self.ids: torch.Tensor | None = None
        self.rows: list[int] = []
        self.guess: list[int] = []
        self.scripted: list[tuple[Ids, int]] = []

    def before(self, _module: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        ids = kwargs.get("input_ids", args[0] if args else None)
        if ids is None:
            raise Unavailable("the model is fed embeddings in place of token ids")
        ids = ids.detach().cpu()
        cached = _cached(kwargs.get("past_key_values"))
        if self.ids is not None and cached and self._keep(ids[:, -1].tolist()):
            self._go_on(torch.cat([self.ids, ids[:, -1:]], dim=1))
        elif self.ids is not None and ids.shape[1] > 1 and torch.equal(ids[:, :-1], self.ids):
            self._go_on(ids)
        else:
            self.finish()
            mask = kwargs.get("attention_mask")
            self._begin(ids, mask.detach().cpu() if mask is not None and mask.dim() == ids.dim() else None)
        if self.prompts_only:
            raise _Enough

    def _begin(self, ids: torch.Tensor, mask: torch.Tensor | None) -> None:
        self.ids = ids
        prompts = [tuple((row if mask is None else row[mask[i].bool()]).tolist()) for i, row in enumerate(ids)]
        self.rows = list(range(len(self.seen.prompts), len(self.seen.prompts) + len(prompts)))
        self.seen.prompts += prompts
        self.seen.new += [[] for _ in prompts]
        self.scripted = [(self.scripts.get(prompt, ()), 0) for prompt in prompts]

    def _keep(self, fed: list[int]) -> bool:
        """Drops rows that have ended and left the batch: those fed are the others, in their order."""
        if len(fed) == len(self.rows):
            return True
        staying: list[int] = []
        for row, token in enumerate(self.guess):
            if len(staying) < len(fed) and token == fed[len(staying)]:
                staying.append(row)
            else:
                self.seen.new[self.rows[row]].append(token)  # its last, which is never fed back
        if len(staying) < len(fed) or self.ids is None:
            return False
        self.ids = self.ids[staying]
        self.rows, self.scripted = [self.rows[i] for i in staying], [self.scripted[i] for i in staying]
        return True

    def _go_on(self, ids: torch.Tensor) -> None:
        self.ids, self.guess = ids, []
        for row, token in zip(self.rows, ids[:, -1].tolist(), strict=True):
            self.seen.new[row].append(token)

    def after(self, _module: torch.nn.Module, _args: object, logits: torch.Tensor) -> torch.Tensor:
        spoken = logits.clone()
        for row, (script, at) in enumerate(self.scripted):
            if at < len(script):  # every position, since only the caller knows at which one it looks
                spoken[row] = 0
                spoken[row, ..., script[at]] = _CERTAIN
        self.scripted = [(script, at + 1) for script, at in self.scripted]
        self.guess = (spoken[:, -1] if spoken.dim() > len(("row", "token")) else spoken).argmax(-1).tolist()
        return spoken

    def finish(self) -> None:
        """The last token of a generation is never fed back; greedily it is the likeliest."""
        for row, token in zip(self.rows, self.guess, strict=False):
            self.seen.new[row].append(token)
        self.rows, self.guess, self.ids = [], [], None


def watch(answerer: Answerer, *questions: str, scripts: Mapping[Ids, Ids] | None = None) -> Captured:
    """Answers questions, and tells what passed.

    Args:
        answerer: a loaded implementation.
        questions: asked in one call of `answer`.
        scripts: ids of a prompt -> ids that the model is made to write after it.

    Raises:
        Unavailable: the model is none of transformers', or is fed embeddings.
    """
    seen = Captured()
    parse = answerer.parse_answer

    def parse_and_note(text: str) -> float:
        seen.texts.append(text)
        return parse(text)

    with contextlib.ExitStack() as stack:
        stack.enter_context(_listening(answerer, seen, scripts or {}))
        with contextlib.suppress(AttributeError):  # of an object that lets nothing be set, the texts are not seen
            stack.enter_context(mock.patch.object(answerer, "parse_answer", parse_and_note))
        seen.answers = list(answerer.answer(*questions))
    return seen


def prompt_of(answerer: Answerer, question: str) -> Ids:
    """Ids that reach the model when a question is asked.

    Raises:
        Unavailable: as `watch`.
        Unasked: the question is answered without the model.
    """
    seen = Captured()
    with contextlib.suppress(_Enough), _listening(answerer, seen, {}, prompts_only=True):
        answerer.answer(question)
    if not seen.prompts:
        raise Unasked(f"{question!r} is answered without a forward of the model")
    return seen.prompts[0]


@contextlib.contextmanager
def scripted(answerer: Answerer, scripts: Mapping[Ids, Ids]) -> Iterator[None]:
    """Within it, the model writes the scripts, however it is called."""
    with _listening(answerer, Captured(), scripts):
        yield


@contextlib.contextmanager
def _listening(
    answerer: Answerer, seen: Captured, scripts: Mapping[Ids, Ids], *, prompts_only: bool = False
) -> Iterator[None]:
    model = transformer_of(answerer.model)
    listener = _Listener(seen, scripts, prompts_only=prompts_only)
    hooks = [  # the decoder's call, for peft's own forward goes past that of the model around it
        model.base_model.register_forward_pre_hook(listener.before, with_kwargs=True),
        model.get_output_embeddings().register_forward_hook(listener.after),
    ]
    try:
        yield
        listener.finish()
    finally:
        for hook in hooks:
            hook.remove()


def transformer_of(model: object) -> PreTrainedModel:
    """The transformers model inside whatever wraps it.

    Raises:
        Unavailable: there is none.
    """
    from transformers import PreTrainedModel

    modules = model.modules() if isinstance(model, torch.nn.Module) else ()
    found = next((module for module in modules if isinstance(module, PreTrainedModel)), None)
    if found is None:
        raise Unavailable(f"the loaded model ({type(model).__name__}) holds none of transformers'")
    return found


def _cached(past: Any) -> int:  # noqa: ANN401  # a Cache, or the tuples of old
    if past is None:
        return 0
    return int(past.get_seq_length() if hasattr(past, "get_seq_length") else past[0][0].shape[2])
