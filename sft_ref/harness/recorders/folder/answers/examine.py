"""Examines the answers of a loaded adapter: from rows and a prompt to evidence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sft_ref.harness.evidence.answers import TEMPLATE, AnswerHeader, AnswersEvidence, Stops, Trial
from sft_ref.harness.instruments.losses import is_worse

from .asking import Encoded, encode, generate, own_settings, padding_id, stop_ids
from .experiments import Experiments, factor_of
from .rows import Row, in_other_ways
from .wording import (
    Wording,
    as_given,
    as_literal,
    as_template,
    difference,
    missing_header,
    without_space,
)

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

SHOWN = 0.95
"""Share of right answers that shows base and prompt by itself.

Over a base whose weights are off by half their size, an adapter of ours still gives 40 of 48 right answers; over its
own, all.
"""

LONGEST = 1024
"""Tokens of a row with its answer; longer ones are left out, for time."""

_HEADER_TOKENS, _HEADER_ROWS, _ENDLESS_ROWS, _ENDLESS_TOKENS = 12, 8, 4, 128

_QUESTIONS = (
    *("What is the capital of France?", "How many metres are 3 kilometres?", "Name a colour.", "Who wrote Hamlet?"),
    *("Is water wet?", "Translate 'good morning' into Spanish.", "What is 2 plus 2?", "Write one sentence about rain."),
)
"""Asked where no rows are given, to see how an answer begins; nothing hangs on what it says."""


def examine(
    model: Any,  # noqa: ANN401  # a PeftModel
    tokenizer: PreTrainedTokenizerBase,
    *,
    prompt: str | None,
    rows: Sequence[Row],
    chat_template: str | None,
) -> AnswersEvidence:
    """What rows and prompt show of an adapter.

    Args:
        model: a PeftModel in fp32, in evaluation mode; unchanged when this returns.
        tokenizer: the adapter's own, or else its base's.
        prompt: how texts are written, with ``{question}`` and ``{answer}`` in it; None where that is not known.
        rows: that are asked; empty where there are none.
        chat_template: of the adapter's folder, or else of its base; None where there is none.
    """
    header = None
    if prompt is not None:
        asked = rows or tuple(Row((("user", question),), "", None) for question in _QUESTIONS)
        header = _try_header(model, tokenizer, prompt, chat_template, asked[:_HEADER_ROWS])
    if not rows:
        return AnswersEvidence("no --data was given", header=header)
    rows = _write_numbers(model, tokenizer, prompt, chat_template, rows)
    wordings = _wordings(tokenizer, prompt, chat_template, rows)
    if not wordings:
        return AnswersEvidence("how a question is put is not known: give --prompt", header=header)
    kept = _short_enough(model, tokenizer, rows, wordings)
    if not kept:
        return AnswersEvidence("every row is longer than the model or this examination takes", header=header)
    wordings = [replace(each, texts=tuple(each.texts[n] for n in kept)) for each in wordings]
    first, *others = wordings
    ids = {each.name: [encode(tokenizer, text) for text in each.texts] for each in wordings}
    different = [each for each in others if ids[each.name] != ids[first.name]]
    is_template = first.name == TEMPLATE or any(each.name == TEMPLATE for each in others if each not in different)
    tried = Experiments(model, tokenizer, [rows[n] for n in kept], [first, *different])
    found = _examine(tried, is_template=is_template)
    return replace(found, header=header, left_out=len(rows) - len(kept))


def _wordings(
    tokenizer: PreTrainedTokenizerBase, prompt: str | None, template: str | None, rows: Sequence[Row]
) -> list[Wording]:
    """What is examined, and then what it is compared with."""
    first = as_given(prompt, rows, tokenizer) if prompt is not None else as_literal(rows)
    templated = as_template(template, rows, tokenizer)
    found = (first, templated, without_space(first) if first else None)
    return [each for each in found if each is not None]


def _write_numbers(
    model: Any,  # noqa: ANN401
    tokenizer: PreTrainedTokenizerBase,
    prompt: str | None,
    template: str | None,
    rows: Sequence[Row],
) -> tuple[Row, ...]:
    """The rows with numbers as JSON has them, or in the way that the adapter finds clearly likelier."""
    best, least = tuple(rows), None
    for each in (best, *in_other_ways(rows)):
        if not (wordings := _wordings(tokenizer, prompt, template, each)):
            return tuple(rows)
        losses = Experiments(model, tokenizer, each, wordings[:1]).ask(wordings[0].name).losses
        if least is None or is_worse(least, losses):
            best, least = each, losses
    return best


def _short_enough(
    model: Any,  # noqa: ANN401
    tokenizer: PreTrainedTokenizerBase,
    rows: Sequence[Row],
    wordings: Sequence[Wording],
) -> list[int]:
    """Places of the rows that fit, with room for an answer twice as long."""
    limit = min(LONGEST, int(getattr(model.config, "max_position_embeddings", None) or LONGEST))
    sizes = [[_room(encode(tokenizer, text)) for text in each.texts] for each in wordings]
    return [n for n in range(len(rows)) if all(own[n] <= limit for own in sizes)]


def _room(row: Encoded) -> int:
    return len(row.prompt) + 2 * len(row.target)


def _examine(tried: Experiments, *, is_template: bool) -> AnswersEvidence:
    """Looks for another wording and another base only where answers are lost as given and configured."""
    best = tried.ask(tried.first, answers=True)
    tried.vary_factor(tried.first)
    names = [*tried.wordings]
    fine = sum(best.right) >= SHOWN * len(best.right)
    if not fine:
        best = tried.choose()
        for name in names:  # so that wordings are compared at the factor at which answers return
            tried.ask(name, factor_of(best), answers=True)
    can_align = not fine and tried.factors.can_be_shuffled
    return AnswersEvidence(
        unavailable="",
        rows=len(tried.rows),
        given=tried.first,
        wordings=tuple(names),
        is_template=is_template,
        trials=tuple(tried.trials.values()),
        chosen=(best.wording, best.factor),
        base_losses=tried.base_losses,
        alignments=tuple(map(tried.align, names)) if can_align else (),
        uses_rslora=tried.factors.uses_rslora,
        has_factors=bool(tried.factors.layers),
        stops=_stops(tried, best),
    )


def _stops(tried: Experiments, best: Trial) -> Stops:
    """How generation ends in the best trial, and what the base's own settings make of it."""
    settings = own_settings(tried.inner)
    texts = tuple(str(tried.tokenizer.decode([each])) for each in tried.stops)
    with tried.at(factor_of(best)):
        right = tuple(each.right for each in tried.answers(best.wording, settings)) if settings else ()
        endless = [
            row.prompt
            for row, answer in zip(tried.encoded[best.wording], best.answers, strict=True)
            if answer.right and not answer.ended and not answer.followed_by
        ][:_ENDLESS_ROWS]
        said = (
            generate(tried.inner, endless, stops=tried.stops, padding=tried.padding, budget=_ENDLESS_TOKENS)
            if endless
            else []
        )
    gone_on = sum(ids[-1] not in tried.stops for ids in said)
    return Stops(texts, settings, right, gone_on, len(endless), _ENDLESS_TOKENS)


def _try_header(
    model: Any,  # noqa: ANN401
    tokenizer: PreTrainedTokenizerBase,
    prompt: str,
    template: str | None,
    rows: Sequence[Row],
) -> AnswerHeader | None:
    """Looks whether answers begin with the end of the template's prompt; None without a template."""
    given, templated = as_given(prompt, rows, tokenizer), as_template(template, rows, tokenizer)
    if templated is None:
        return None
    own, due = given.texts[0], templated.texts[0]
    part = difference(own.prompt, due.prompt) if own.prompt != due.prompt else ""
    missing = missing_header(own, due, rows[0].question)
    if not missing:
        return AnswerHeader("", part, 0, 0, "")
    prompts = [encode(tokenizer, text).prompt for text in given.texts]
    inner = model.get_base_model()
    stops = stop_ids(inner, tokenizer)
    said = generate(inner, prompts, stops=stops, padding=padding_id(tokenizer), budget=_HEADER_TOKENS)
    texts = [str(tokenizer.decode(ids, skip_special_tokens=False)) for ids in said]
    begun = [text for text in texts if text.lstrip().startswith(missing)]
    return AnswerHeader(missing, part, len(begun), len(texts), (begun or texts)[0])
