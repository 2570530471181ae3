"""Records model inputs, model outputs and parsed texts while an implementation in this process answers.

They are recorded with hooks on the loaded model, so that it does not matter where an implementation formats its
prompts, or how its own functions are named.
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

from .scripted.scripted_model import ScriptedModel
from .scripted.tracked_rows import GeneratedRow, Script

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from sft_ref.harness.core.implementation import Answerer

Ids = tuple[int, ...]


@dataclass(frozen=True)
class RecordedAnswers:
    """The record of one call of `answer`.

    Attributes:
        generations: one entry for each generated row, in the order in which they began.
        texts: the texts that reached `parse_answer`, in order.
        answers: the values that `answer` returned.
    """

    generations: list[GeneratedRow]
    texts: list[str]
    answers: list[Any]


class UntrackableGeneration(Unavailable):
    """The model is used in a way in which rows cannot be told apart; that does not mean that it is unsound."""


class ModelNotCalled(Unavailable):
    """A question is answered without a forward pass of the model."""


class _PromptRecorded(BaseException):
    """Ends a generation once its prompt is known; an implementation's `except Exception` does not catch it."""


def record_generation(
    answerer: Answerer,
    *questions: str,
    scripts: Sequence[Script] = (),
    keep_logits: bool = False,
    keep_nan: bool = False,
) -> RecordedAnswers:
    """Answers questions in one call of `answer`, and records its generations, parsed texts and answers.

    Raises:
        UntrackableGeneration: the model is not a transformers model, or rows cannot be told apart.
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
    """Returns the token ids that reach the model for a question, in one or more passes, before the first new token.

    Raises:
        UntrackableGeneration: as `record_generation`.
        ModelNotCalled: the question is answered without the model.
    """

    def stop(*_: object) -> None:
        if recorder.generations[0].new_token_ids:
            raise _PromptRecorded

    with (
        contextlib.suppress(_PromptRecorded),
        scripted_model(answerer.model, answerer.tokenizer, only_question=question) as recorder,
    ):
        hook = find_transformer(answerer.model).base_model.register_forward_pre_hook(stop)
        try:
            answerer.answer(question)
        finally:
            hook.remove()
    if not recorder.generations:
        raise ModelNotCalled(f"{question!r} is answered without a forward pass of the model")
    return tuple(recorder.generations[0].prompt_ids)


@contextlib.contextmanager
def scripted_model(
    model: object,
    tokenizer: PreTrainedTokenizerBase,
    scripts: Sequence[Script] = (),
    *,
    keep_logits: bool = False,
    keep_nan: bool = False,
    only_question: str = "",
) -> Iterator[ScriptedModel]:
    """Makes the model write the scripts within the context; without scripts it is only recorded.

    All hooks are removed at the end, also after an error.

    Raises:
        UntrackableGeneration: there is no transformers model, or rows cannot be told apart.
    """

    def lost(reason: str) -> None:
        raise UntrackableGeneration(reason)

    def before(_module: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        ids = kwargs.get("input_ids", args[0] if args else None)
        if ids is None:
            raise UntrackableGeneration("the model is fed embeddings, not token ids")
        recorder.before(ids, kwargs.get("attention_mask"), kwargs.get("past_key_values"))

    recorder = ScriptedModel(
        tokenizer,
        scripts,
        strict=True,
        keep_nan=keep_nan,
        keep_logits=keep_logits,
        only_question=only_question,
        on_untrackable=lost,
    )
    transformer = find_transformer(model)
    hooks = [  # on the decoder, since peft's own forward bypasses that of the surrounding model
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
    """Records the texts that reach `parse_answer`; if the parser raises an exception, it returns NaN instead.

    Judging the parser's results is left to the checks of its own stage. If the attributes of the answerer cannot be
    set, no texts are recorded.
    """
    texts: list[str] = []
    parse = answerer.parse_answer

    def parse_and_record(text: str) -> Any:  # noqa: ANN401
        texts.append(text)
        try:
            return parse(text)
        except Exception:  # noqa: BLE001  # foreign code may raise anything
            return math.nan

    with contextlib.ExitStack() as stack:
        with contextlib.suppress(AttributeError):
            stack.enter_context(mock.patch.object(answerer, "parse_answer", parse_and_record))
        yield texts


def find_transformer(model: object) -> PreTrainedModel:
    """Returns the transformers model inside any wrappers.

    Raises:
        UntrackableGeneration: there is no transformers model with an output head.
    """
    from transformers import PreTrainedModel

    modules = model.modules() if isinstance(model, torch.nn.Module) else ()
    found = next((module for module in modules if isinstance(module, PreTrainedModel)), None)
    if found is None or found.base_model is found or found.get_output_embeddings() is None:
        raise UntrackableGeneration(f"{type(model).__name__} is not a transformers model with an output head")
    return found
