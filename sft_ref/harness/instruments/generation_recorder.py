"""Records what passes the library's boundaries while an implementation in this process answers.

Ids in, ids out and texts to the parser are seen through hooks on the loaded model, wherever an implementation formats
its prompts and whatever its own functions are called.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from unittest import mock

import torch

from sft_ref.harness.core.findings import Unavailable

from .scripted.followed_rows import GeneratedRow, Script
from .scripted.scripted_model import ScriptedModel

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from sft_ref.harness.core.implementation import Answerer

Ids = tuple[int, ...]


@dataclass(frozen=True)
class RecordedAnswers:
    """What was recorded of one call of `answer`.

    Attributes:
        generations: a row of a generation each, in the order in which they began.
        texts: what reached `parse_answer`, in its order.
        answers: what `answer` returned.
    """

    generations: list[GeneratedRow]
    texts: list[str]
    answers: list[Any]


class CannotFollow(Unavailable):
    """The model is used in a way in which rows cannot be told apart; says nothing about whether that is sound."""


class Unasked(Unavailable):
    """A question is answered without a forward of the model."""


class _PromptSeen(BaseException):
    """Ends a generation once its prompt is known; no `except Exception` of an implementation holds it up."""


def record_generation(
    answerer: Answerer,
    *questions: str,
    scripts: Sequence[Script] = (),
    keep_logits: bool = False,
    keep_nan: bool = False,
) -> RecordedAnswers:
    """Answers questions in one call of `answer`, and records what passes.

    Raises:
        CannotFollow: the model is none of transformers', or rows cannot be told apart.
    """
    with (
        scripted_model(
            answerer.model, answerer.tokenizer, scripts, keep_logits=keep_logits, keep_nan=keep_nan
        ) as recorder,
        record_parser(answerer) as texts,
    ):
        answers = list(answerer.answer(*questions))
    return RecordedAnswers(recorder.generations, texts, answers)


def record_prompt(answerer: Answerer, question: str) -> Ids:
    """Ids that reach the model when a question is asked, at once or in pieces, before it writes the first new token.

    Raises:
        CannotFollow: as `record_generation`.
        Unasked: the question is answered without the model.
    """

    def stop(*_: object) -> None:
        if recorder.generations[0].new_token_ids:
            raise _PromptSeen

    with (
        contextlib.suppress(_PromptSeen),
        scripted_model(answerer.model, answerer.tokenizer, sought=question) as recorder,
    ):
        hook = find_transformer(answerer.model).base_model.register_forward_pre_hook(stop)
        try:
            answerer.answer(question)
        finally:
            hook.remove()
    if not recorder.generations:
        raise Unasked(f"{question!r} is answered without a forward of the model")
    return tuple(recorder.generations[0].prompt_ids)


@contextlib.contextmanager
def scripted_model(
    model: object,
    tokenizer: PreTrainedTokenizerBase,
    scripts: Sequence[Script] = (),
    *,
    keep_logits: bool = False,
    keep_nan: bool = False,
    sought: str = "",
) -> Iterator[ScriptedModel]:
    """Within it, the model writes the scripts, however it is called; without scripts it is only recorded.

    After it, also after an error, no hook is left.

    Raises:
        CannotFollow: there is no model of transformers, or, within it, rows cannot be told apart.
    """

    def lost(reason: str) -> None:
        raise CannotFollow(reason)

    def before(_module: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        ids = kwargs.get("input_ids", args[0] if args else None)
        if ids is None:
            raise CannotFollow("the model is fed embeddings, not token ids")
        recorder.before(ids, kwargs.get("attention_mask"), kwargs.get("past_key_values"))

    recorder = ScriptedModel(
        tokenizer,
        scripts,
        strict=True,
        keep_nan=keep_nan,
        keep_logits=keep_logits,
        sought=sought,
        on_lost=lost,
    )
    transformer = find_transformer(model)
    hooks = [  # the decoder's call, for peft's own forward goes past that of the model around it
        transformer.base_model.register_forward_pre_hook(before, with_kwargs=True),
        transformer.get_output_embeddings().register_forward_hook(lambda _module, _args, out: recorder.after(out)),
    ]
    try:
        yield recorder
        recorder.finish()
    finally:
        for hook in hooks:
            hook.remove()


@contextlib.contextmanager
def record_parser(answerer: Answerer) -> Iterator[list[str]]:
    """Within it, what reaches `parse_answer` is added to the list; where the parser raises, it gives NaN instead.

    What a parser makes of a text is for the checks of its own stage to say. Of an object whose attributes cannot be
    set, no text is seen.
    """
    texts: list[str] = []
    parse = answerer.parse_answer

    def parse_and_record(text: str) -> Any:  # noqa: ANN401
        texts.append(text)
        try:
            return parse(text)
        except Exception:  # noqa: BLE001  # foreign code raises anything
            return math.nan

    with contextlib.ExitStack() as stack:
        with contextlib.suppress(AttributeError):
            stack.enter_context(mock.patch.object(answerer, "parse_answer", parse_and_record))
        yield texts


def find_transformer(model: object) -> PreTrainedModel:
    """The transformers model inside whatever wraps it.

    Raises:
        CannotFollow: there is none with an output head.
    """
    from transformers import PreTrainedModel

    modules = model.modules() if isinstance(model, torch.nn.Module) else ()
    found = next((module for module in modules if isinstance(module, PreTrainedModel)), None)
    if found is None or found.base_model is found or found.get_output_embeddings() is None:
        raise CannotFollow(f"{type(model).__name__} is no transformers model with an output head")
    return found
