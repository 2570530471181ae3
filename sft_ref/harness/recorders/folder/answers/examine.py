"""Examines the answers of a loaded adapter: from rows and a prompt to evidence."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from sft_ref.errors import AdapterError
from sft_ref.harness.core.judges import Judge
from sft_ref.harness.core.paired import is_worse
from sft_ref.harness.evidence.answers import SHOWN, TEMPLATE, AnswerHeader, AnswersEvidence, Stops, Trial
from sft_ref.io.rows.forms import Row, in_other_ways

from .evaluator import ModelEvaluator
from .experiments import AdapterExperiments, factor_of
from .wording import Wording, as_given, as_literal, as_template, difference, missing_header, without_space

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

LONGEST = 1024
"""Maximum tokens of a row with its answer; longer rows are left out, to save time."""

_HEADER_TOKENS, _HEADER_ROWS, _ENDLESS_ROWS, _ENDLESS_TOKENS = 12, 8, 4, 128

_QUESTIONS = (
    *("What is the capital of France?", "How many metres are 3 kilometres?", "Name a colour.", "Who wrote Hamlet?"),
    *("Is water wet?", "Translate 'good morning' into Spanish.", "What is 2 plus 2?", "Write one sentence about rain."),
)
"""Questions for examining how answers begin when no rows are given; the answers' content is irrelevant."""


def examine(
    model: Any,  # noqa: ANN401  # a PeftModel
    tokenizer: PreTrainedTokenizerBase,
    *,
    prompt: str | None,
    rows: Sequence[Row],
    chat_template: str | None,
    by_template: bool = False,
    judge: Judge | None = None,
) -> AnswersEvidence:
    """Examines an adapter with rows and a prompt.

    Args:
        model: PeftModel in fp32, in evaluation mode; unchanged on return.
        tokenizer: the adapter's own tokenizer, or else the base model's.
        prompt: format of the texts, with ``{question}`` and ``{answer}`` in it; None if unknown.
        rows: rows to ask; empty if there are none.
        chat_template: template of --chat-template, or else of the adapter's folder, or else of its base; None if there
            is none.
        by_template: whether --chat-template requests this template as the format of the texts.
        judge: decides whether an answer is right; None for the default.
    """
    asker = ModelEvaluator(model, tokenizer, judge)
    try:
        return _examine_all(asker, prompt, rows, chat_template, by_template=by_template)
    except AdapterError as error:  # a token without an embedding
        return AnswersEvidence(str(error))


def _examine_all(
    asker: ModelEvaluator, prompt: str | None, rows: Sequence[Row], chat_template: str | None, *, by_template: bool
) -> AnswersEvidence:
    header = _try_header(asker, prompt, chat_template, rows) if prompt is not None else None
    if not rows:
        return AnswersEvidence("no --data was given", header=header)
    put = partial(_wordings, asker.tokenizer, prompt, chat_template, by_template=by_template)
    if not put(rows):
        return AnswersEvidence("the format of the prompts is unknown: give --prompt", header=header)
    rows = write_numbers(asker, rows, put)
    wordings = put(rows)
    encoded = [[asker.encode(text) for text in each.texts] for each in wordings]
    limit = min(LONGEST, int(getattr(asker.model.config, "max_position_embeddings", None) or LONGEST))
    sizes = [[len(row.prompt) + 2 * len(row.target) for row in own] for own in encoded]  # room for a longer answer
    short = [n for n in range(len(rows)) if all(own[n] <= limit for own in sizes)]
    if not short:
        return AnswersEvidence("every row is longer than the model, or this examination, allows", header=header)
    wordings = [replace(each, texts=tuple(each.texts[n] for n in short)) for each in wordings]
    first, *others = wordings
    ids = {each.name: [own[n] for n in short] for each, own in zip(wordings, encoded, strict=True)}
    different = [each for each in others if ids[each.name] != ids[first.name]]
    is_template = first.name == TEMPLATE or any(each.name == TEMPLATE for each in others if each not in different)
    experiments = AdapterExperiments(asker, [rows[n] for n in short], [first, *different])
    found = _examine(experiments, is_template=is_template)
    return replace(found, header=header, left_out=len(rows) - len(short))


def _wordings(
    tokenizer: PreTrainedTokenizerBase,
    prompt: str | None,
    template: str | None,
    rows: Sequence[Row],
    *,
    by_template: bool,
) -> list[Wording]:
    """Returns the format to examine, followed by the formats to compare it with."""
    first = as_given(prompt, rows, tokenizer) if prompt is not None else None
    if first is None and not by_template:
        first = as_literal(rows, tokenizer)
    templated = as_template(template, rows, tokenizer)
    found = (first, templated, without_space(first) if first else None)
    return [each for each in found if each is not None]


def write_numbers(
    asker: ModelEvaluator, rows: Sequence[Row], put: Callable[[Sequence[Row]], list[Wording]]
) -> Sequence[Row]:
    """Returns the rows with numbers formatted as in JSON, or in a format of clearly lower loss under the adapter."""
    best, least = rows, None
    for each in (rows, *in_other_ways(rows)):
        if not (wordings := put(each)):
            return rows
        losses, _ = asker.losses([asker.encode(text) for text in wordings[0].texts])
        other = torch.tensor([row.answer != own.answer for row, own in zip(each, best, strict=True)])
        if least is None or is_worse(least[other], losses[other]):  # rows formatted identically carry no information
            best, least = each, losses
    return best


def _examine(experiments: AdapterExperiments, *, is_template: bool) -> AnswersEvidence:
    """Examines the answers; looks for another format or another base model only if answers are lost as given."""
    best = experiments.ask(experiments.first, answers=True)
    experiments.vary_factor(experiments.first)
    names = [*experiments.wordings]
    fine = sum(best.right) >= SHOWN * len(best.right)
    if not fine:
        best = experiments.choose()
        for name in names:  # so that wordings are compared at the factor at which answers return
            experiments.ask(name, factor_of(best), answers=True)
    can_align = not fine and experiments.factors.can_be_shuffled
    return AnswersEvidence(
        unavailable="",
        rows=len(experiments.rows),
        given=experiments.first,
        wordings=tuple(names),
        is_template=is_template,
        trials=tuple(experiments.trials.values()),
        chosen=(best.wording, best.factor),
        base_losses=experiments.base_losses,
        alignments=tuple(map(experiments.align, names)) if can_align else (),
        uses_rslora=experiments.factors.uses_rslora,
        has_factors=bool(experiments.factors.layers),
        stops=_stops(experiments, best),
    )


def _stops(experiments: AdapterExperiments, best: Trial) -> Stops:
    """Records how generation ends in the best trial, and how the base model's own settings change it."""
    asker = experiments.asker
    settings = asker.base_settings()
    with experiments.at(factor_of(best)):
        right = tuple(each.right for each in experiments.answers(best.wording, settings)) if settings else ()
        endless = [
            row.prompt
            for row, answer in zip(experiments.encoded[best.wording], best.answers, strict=True)
            if answer.right and not answer.ended and not answer.followed_by
        ][:_ENDLESS_ROWS]
        generated = asker.generate(endless, _ENDLESS_TOKENS) if endless else []
    return Stops(
        tokens=tuple(str(asker.tokenizer.decode([each])) for each in asker.stops),
        settings=settings,
        right=right,
        endless=sum(ids[-1] not in asker.stops for ids in generated),
        continued=len(endless),
        budget=_ENDLESS_TOKENS,
    )


def _try_header(asker: ModelEvaluator, prompt: str, template: str | None, rows: Sequence[Row]) -> AnswerHeader | None:
    """Checks whether answers begin with the end of the template's prompt; None without a template."""
    asked = rows[:_HEADER_ROWS] or [Row((("user", question),), "", None) for question in _QUESTIONS]
    given, templated = as_given(prompt, asked, asker.tokenizer), as_template(template, asked, asker.tokenizer)
    if templated is None:
        return None
    own, due = given.texts[0], templated.texts[0]
    part = difference(own.prompt, due.prompt) if own.prompt != due.prompt else ""
    missing = missing_header(own, due, asked[0].question)
    if not missing:
        return AnswerHeader("", part, 0, 0, "")
    generated = asker.generate([asker.encode(text).prompt for text in given.texts], _HEADER_TOKENS)
    texts = [str(asker.tokenizer.decode(ids, skip_special_tokens=False)) for ids in generated]
    begun = [text for text in texts if text.lstrip().startswith(missing)]
    return AnswerHeader(missing, part, len(begun), len(texts), (begun or texts)[0])
