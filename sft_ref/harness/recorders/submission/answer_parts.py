"""Builds the evidence of the prompt and load to score stages from the results of a submission's processes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch

from sft_ref.harness.core.findings import Unavailable
from sft_ref.harness.core.numerals import number, to_number
from sft_ref.harness.evidence.answering import (
    Answers,
    Generations,
    Loaded,
    LogitComparison,
    Parsed,
    Prompts,
    Scores,
    ScriptedAnswer,
    ScriptedRun,
)
from sft_ref.harness.evidence.texts import Generation, Prompt
from sft_ref.harness.instruments.answering import shortfalls
from sft_ref.harness.instruments.convention import find_prompt, find_question
from sft_ref.harness.instruments.encoding import decode
from sft_ref.reference.data import Row

from .captured import named_bases
from .recording import Recording
from .scripts import ScriptLine
from .workplace import AgentResult


def build_prompts(recording: Recording) -> Prompts:
    """Builds the evidence of the prompts that reach the model with the submission's own adapter."""
    lost = recording.lost_prompt
    return Prompts(
        trained=_prompts(recording, recording.known_rows),
        fresh=_prompts(recording, recording.questions),
        any_lost=None if lost is None else _prompt(recording, lost),
    )


def _prompts(recording: Recording, rows: Sequence[Row]) -> tuple[Prompt | None, ...]:
    found = recording.prompts(recording.asked, rows)
    return tuple(None if ids is None else _prompt(recording, ids) for ids in found)


def _prompt(recording: Recording, ids: Sequence[int]) -> Prompt:
    return Prompt(tuple(ids), decode(recording.tokenizer, ids))


def build_loaded(recording: Recording) -> Loaded:
    """Builds the evidence of the model that answers."""
    result, own = recording.with_adapter, recording.asked
    comparison, reason = None, ""
    try:
        comparison = _compare_logits(recording)
    except Unavailable as lack:
        reason = str(lack)
    trained, loaded = _added_rows(recording)
    active = own["probes"].get("active_adapters")
    return Loaded(
        with_sound_adapter=result is not own,
        is_loaded=bool(result["load"]) and not result.crash("load"),
        was_reached="load" in result.sections,
        crash=result.crash("load"),
        process=result.process,
        dtypes=frozenset(result["probes"].get("dtype_counts", {}).get("base", {})),
        own_dtypes=frozenset(own["probes"].get("dtype_counts", {}).get("base", {})),
        own_notes=own.notes,
        own_vocabulary=own["load"].get("tokenizer_size"),
        own_active=tuple(map(str, active)) if active else None,
        own_bases=named_bases(own["pretrained"].get("model_names", ())),
        forwards_apart=number(own["probes"].get("max_difference")),
        elsewhere_tried=bool(result["other_folder"]),
        elsewhere_crash=result.crash("other_folder"),
        comparison=comparison,
        not_compared=reason,
        trained_rows=trained,
        loaded_rows=loaded,
    )


def _compare_logits(recording: Recording) -> LogitComparison:
    """Compares the logits of training texts in the answering model, the expected model and the bare base model.

    Raises:
        Unavailable: logits of one of them were not recorded.
    """
    if not recording.probed:
        raise Unavailable("no text that the base's tokenizer knows reached the model in training")
    result, expected = recording.expected_logits
    if expected is None:
        raise Unavailable("the reference cannot load the saved adapter")
    if crash := result.crash("probes"):
        return LogitComparison(crash=crash)
    found = result.tensors("probes").get("logits")
    if found is None:
        raise Unavailable("no forward pass of its model was observed")
    compared = LogitComparison(observed_shape=tuple(found.shape), expected_shape=tuple(expected.shape))
    if found.shape != expected.shape:
        return compared
    compared = replace(
        compared,
        finite=found.isfinite().all(-1),
        expected_finite=bool(expected.isfinite().all()),
        largest_change=(found - expected).abs().max().item(),
    )
    if not compared.expected_finite or not found.isfinite().all():
        return compared
    try:
        base = recording.probe_logits(recording.base_model)
        observed, due, bare = map(recording.probe_losses, (found, expected, base))
    except Unavailable:
        return compared
    return replace(compared, observed=observed, expected=due, base=bare)


def _added_rows(recording: Recording) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """Returns rows of added tokens in training texts, after training and when answering; empty unless both exist."""
    trained, loaded = recording.training.tensors("added_token_rows"), recording.asked.tensors("added_token_rows")
    names = trained.keys() & loaded.keys()
    rows = min((len(tensors[name]) for tensors in (trained, loaded) for name in names), default=0)
    base_rows = len(recording.base_model.get_input_embeddings().weight)
    used = sorted({token - base_rows for row in recording.foreign for token in row.ids if token >= base_rows})
    if not used or max(used) >= rows:
        return {}, {}
    return {name: trained[name][used] for name in names}, {name: loaded[name][used] for name in names}


def build_generations(recording: Recording) -> Generations:
    """Builds the evidence of generated completions, scripted and unscripted."""
    result = recording.with_adapter
    short, reason = [], ""
    if recording.evaluated_model is None:
        reason = "the reference cannot load the model that answers"
    else:
        short = shortfalls(recording.evaluated_model, recording.tokenizer, result["answers"].get("generations", ()))
    return Generations(
        questions=tuple(recording.questions),
        asked=len(recording.asked_rows),
        own=_answers(recording, recording.asked, "answers"),
        answers=_answers(recording, result, "answers"),
        scripted=tuple(_scripted(recording, result, number) for number in range(len(recording.scripts))),
        shortfalls=tuple((each.most, each.mean) for each in short),
        not_compared=reason,
        cache_gaps=tuple(_cache_gaps(recording.tokenizer.eos_token_id, result["without_cache"])),
        autocast=result["without_cache"].get("autocast"),
    )


def _cache_gaps(end: int, section: Mapping[str, Any]) -> Iterator[float]:
    """Yields `Generations.cache_gaps`; a row counts up to its end, and a token if both log probabilities are known."""
    rows = (section.get(name, ()) for name in ("new_token_ids", "generated", "alone"))
    for ids, *log_probs in zip(*rows, strict=False):
        count = ids.index(end) + 1 if end in ids else len(ids)
        gaps = [one - other for one, other in zip(*log_probs, strict=False)][:count]
        if known := [gap for gap in gaps if math.isfinite(gap)]:
            yield math.hypot(*known) / math.sqrt(len(known))


def _answers(recording: Recording, result: AgentResult, section: str) -> Answers | None:
    content = result[section]
    if not content:
        return None
    values = content.get("values")
    return Answers(
        values=None if values is None else tuple(values),
        parsed=tuple((str(text), value) for text, value in content.get("parsed_texts", ())),
        generations=tuple(_generation(recording, row) for row in content.get("generations", ())),
        crash=result.crash(section),
    )


def _generation(recording: Recording, row: Mapping[str, Any]) -> Generation:
    return Generation(
        prompt=_prompt(recording, row["prompt_ids"]),
        new_token_ids=tuple(row["new_token_ids"]),
        text=decode(recording.tokenizer, row["new_token_ids"]),
        unlikely=int(row.get("non_greedy", 0)),
        is_continued=bool(row.get("continues_cache")),
    )


def _scripted(recording: Recording, result: AgentResult, number_: int) -> ScriptedRun:
    """Builds one call with scripted completions; each line refers to the generation for its question."""
    script = recording.scripts[number_]
    answers = _answers(recording, result, f"script_{number_}")
    generations = answers.generations if answers else ()
    lines = tuple(_scripted_answer(recording, line, generations) for line in script["lines"])
    return ScriptedRun(script["kind"], lines, answers)


def _scripted_answer(recording: Recording, line: ScriptLine, generations: Sequence[Generation]) -> ScriptedAnswer:
    place = find_prompt(line["question"], [each.prompt.text for each in generations])
    if place is None:
        return ScriptedAnswer(line["question"], line["numeral"], None)
    prompt = str(recording.tokenizer.decode([*generations[place].prompt.ids], skip_special_tokens=True))
    asked = find_question(line["question"], prompt)
    return ScriptedAnswer(line["question"], line["numeral"], place, prompt, asked.end() if asked else 0)


def build_parsed(recording: Recording) -> Parsed:
    """Builds the evidence of the parser when called separately."""
    return Parsed(tuple(recording.parse_texts), tuple(recording.with_adapter["parse"].get("values") or ()))


def build_scores(recording: Recording) -> Scores:
    """Builds the evidence of the reported figures, and of the answers that they must count."""
    result = recording.with_adapter
    section = result["score"]
    truths = {question.strip(): value for question, value in [*recording.unseen, *recording.rows]}
    seen = [(str(question).strip(), number(value)) for question, value in section.get("answers", ())]
    prompts = [decode(recording.tokenizer, ids) for ids in section.get("prompts", ())]
    scripted = [
        (question, truth, to_number(line["numeral"]))
        for (question, truth), line in zip(recording.unseen, recording.score_lines, strict=False)
        if any(find_question(question, prompt) for prompt in prompts)
    ]
    figures = section.get("metrics")
    return Scores(
        was_reached=bool(section),
        crash=result.crash("score"),
        figures=None if figures is None else {name: tuple(found) for name, found in figures.items()},
        printed=str(section.get("output", "")),
        answered=tuple((question, truths[question], value) for question, value in seen if question in truths),
        was_observed=bool(seen),
        scripted=tuple(scripted),
        validation=frozenset(question for question, _ in recording.unseen),
    )
