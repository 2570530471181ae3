"""Builds the parts of evidence, a stage each, from what the processes of a submission wrote."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from sft_ref.harness.core.findings import Unavailable
from sft_ref.harness.core.numerals import number, to_number
from sft_ref.harness.core.training_examples import Text
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
from sft_ref.harness.evidence.artifact import Artifact, SavedAdapter
from sft_ref.harness.evidence.processes import Crash, Process
from sft_ref.harness.evidence.texts import Form, Generation, Prompt, Tokenizer, TrainingText
from sft_ref.harness.evidence.training import Examples, OptimizerStep, RecordedStep, Training, TrainingSteps
from sft_ref.harness.instruments.answering import shortfalls
from sft_ref.harness.instruments.convention import decode, find_prompt, find_question
from sft_ref.harness.instruments.sizes import project
from sft_ref.io.base_config import WEIGHTS as BASE_WEIGHTS
from sft_ref.io.lora_config import WEIGHTS
from sft_ref.io.reading import UnreadableError
from sft_ref.io.tensor_headers import read_header
from sft_ref.reference.data import Row

from .captured import named_bases
from .recording import Recording
from .scripts import ScriptLine
from .workplace import AgentResult

_TENSORS = frozenset({".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".safetensors"})
"""Endings of files that hold tensors."""


def build_prompts(recording: Recording) -> Prompts:
    """The prompts that reach the model with the adapter that training left."""
    generations = recording.asked["answers"].get("generations", ())
    lost = recording.is_question_lost
    return Prompts(
        trained=_prompts(recording, recording.known_rows),
        fresh=_prompts(recording, recording.questions),
        any_lost=_prompt(recording, generations[0]["prompt_ids"]) if lost else None,
    )


def _prompts(recording: Recording, rows: Sequence[Row]) -> tuple[Prompt | None, ...]:
    found = recording.prompts(recording.asked, rows)
    return tuple(None if ids is None else _prompt(recording, ids) for ids in found)


def _prompt(recording: Recording, ids: Sequence[int]) -> Prompt:
    return Prompt(tuple(ids), decode(recording.tokenizer, ids))


def build_examples(recording: Recording) -> Examples:
    """The training examples, decoded."""
    tokenizer, log = recording.tokenizer, recording.training_log
    base_rows = len(recording.base_model.get_input_embeddings().weight)
    used = {token - base_rows for row in recording.foreign for token in row.ids if token >= base_rows}
    form = None
    if recording.convention is not None:
        form = Form(recording.convention.markup, recording.closing, recording.supervised_lead, recording.writes_alike)
    return Examples(
        distinct=len(recording.examples),
        are_unlabelled=all(row.begin is None for row in recording.examples),
        texts=tuple(_decoded(recording, text) for text in recording.texts),
        added=tuple(sorted(recording.added)),
        used_rows=tuple(sorted(used)),
        base_rows=base_rows,
        labelled=log.get("has_labels"),
        padding_labelled=int(log.get("labelled_padding", 0)),
        data=len(recording.rows),
        form=form,
        unlabelled_lead=recording.unlabelled_lead_length,
        tokenizer=Tokenizer(
            len(tokenizer), str(tokenizer.eos_token), tokenizer.eos_token_id, tuple(tokenizer.all_special_ids)
        ),
    )


def _decoded(recording: Recording, text: Text) -> TrainingText:
    ids = text.example.ids
    tokens = tuple(decode(recording.tokenizer, ids[i : i + 1]) for i in range(len(ids)))
    whole = decode(recording.tokenizer, ids)
    if "".join(tokens) != whole:  # some tokenizers drop a space where a text begins
        begins = [decode(recording.tokenizer, ids[:i]) for i in range(len(ids) + 1)]
        tokens = tuple(longer[len(shorter) :] for shorter, longer in itertools.pairwise(begins))
    return TrainingText(
        question=text.question,
        value=text.value,
        ids=ids,
        labels=text.example.labels,
        begin=text.begin,
        end=text.end,
        numeral=text.numeral,
        text=whole,
        tokens=tokens,
    )


def build_training(recording: Recording) -> Training:
    """What training did and left."""
    result, log = recording.training, recording.training_log
    changed, left = log.get("changed_base_weights"), recording.trained_logits
    try:
        fall = str(recording.fall)
    except Unavailable:
        fall = "an unknown amount"
    return Training(
        crash=_crash(result, "train"),
        process=_process(result),
        steps=tuple(OptimizerStep(step.rate, step.texts) for step in recording.steps),
        losses=tuple(recording.losses),
        optimized=int(log.get("optimizer", {}).get("tensors", 0)),
        dtypes=frozenset(log.get("dtype_counts", {}).get("base", {})),
        bases=named_bases(result["pretrained"].get("model_names", ())),
        changed=None if changed is None else tuple(changed),
        active=tuple(map(str, log.get("active_adapters", ()))),
        adapter=recording.trained,
        scale=recording.scales(recording.trained_folder),
        is_custom_lora=recording.is_custom_lora,
        has_finite_logits=None if left is None else bool(left.isfinite().all()),
        fall=fall,
        has_moved=recording.has_moved,
        has_learned=recording.has_learned,
        recorded=_recorded_steps(recording),
    )


def _recorded_steps(recording: Recording) -> TrainingSteps | None:
    """Its optimizer steps, as the agent recorded them; None where it recorded none."""
    passes, steps = recording.training_log.get("forward_passes", ()), []
    trained: frozenset[str] = frozenset()
    for step in recording.training["training_steps"].get("steps", ()):
        trained = trained if step["trained"] is None else frozenset(step["trained"])
        begin, end = step["passes"]
        batches = [row for rows, _ in passes[begin:end] for row in rows]
        clipping = step["clipping"]
        steps.append(
            RecordedStep(
                rate=float(step["rate"]),
                rows=tuple(index for row in batches for index in ([row] if isinstance(row, int) else row["examples"])),
                loss=None,
                gradient_scale=None,
                trained=trained,
                outside=tuple(step["outside"]),
                stale=tuple(step["stale"]),
                idle=tuple(step["idle"]),
                decay=float(step["decay"]),
                clipping=None if clipping is None else float(clipping),
                clipped=float(step["clipped"]),
                dtypes=step["dtypes"],
            )
        )
    return TrainingSteps(tuple(steps), len(recording.examples)) if steps else None


def build_artifact(recording: Recording) -> Artifact:
    """What training saved, and what loading left of it."""
    place, output = recording.place, recording.saved_output
    size, unknown, largest = None, "", ""
    try:
        weighed = _weighed(recording)
        size = project(weighed, str(recording.workplace.base), str(recording.named_base))
        largest = _largest(weighed)
    except Unavailable as reason:
        unknown = str(reason)
    return Artifact(
        wanted=recording.name_place(recording.output),
        read_from=None if recording.read_from is None else recording.name_place(recording.read_from),
        places=tuple(map(recording.name_place, recording.saved)),
        saved=None if place is None else _saved(recording, place),
        tensor_names=frozenset(name for folder in recording.saved.values() for name in recording.read_adapter(folder)),
        is_loaded_as_trained=recording.is_loaded_as_trained,
        is_custom_form=recording.is_custom_form,
        is_saved_right=recording.is_saved_right,
        is_saved_well=recording.is_saved_well,
        output_files=frozenset(path.name for path in output.glob("*")),
        output_bytes=sum(
            path.stat().st_size for path in output.rglob("*") if path.suffix in _TENSORS and path.is_file()
        ),
        base_bytes=(recording.workplace.base / BASE_WEIGHTS).stat().st_size,
        size=size,
        size_unknown=unknown,
        largest_tensor=largest,
        named_base=recording.named_base,
    )


def _saved(recording: Recording, place: Path) -> SavedAdapter:
    copy = recording.saved[place]
    return SavedAdapter(
        place=recording.name_place(place),
        tensors=recording.read_adapter(copy),
        scale=recording.scales(copy),
        files=frozenset(path.name for path in copy.iterdir()),
        before=recording.fingerprint(copy, ()),
        after=recording.left[place],
    )


def _weighed(recording: Recording) -> Path:
    """The adapter whose size counts: as saved, or as training left it where it is saved in a form of its own.

    Raises:
        Unavailable: there is none, or nothing to project it onto.
    """
    if recording.named_base is None:
        raise Unavailable("the model that it names is of no known size")
    if recording.is_custom_form and recording.trained:
        return recording.trained_folder
    if recording.is_custom_form:
        raise Unavailable("what is saved is in a form of its own")
    if recording.place is None:
        raise Unavailable("nothing was saved")
    return recording.saved[recording.place]


def _largest(folder: Path) -> str:
    """The name of the largest tensor; empty where they cannot be read."""
    try:
        tensors = read_header(folder / WEIGHTS)
    except UnreadableError:
        return ""
    return max(tensors, key=lambda name: math.prod(tensors[name].shape), default="")


def build_loaded(recording: Recording) -> Loaded:
    """The model that answers."""
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
        crash=_crash(result, "load"),
        process=_process(result),
        dtypes=frozenset(result["probes"].get("dtype_counts", {}).get("base", {})),
        own_dtypes=frozenset(own["probes"].get("dtype_counts", {}).get("base", {})),
        own_notes=own.notes,
        own_vocabulary=own["load"].get("tokenizer_size"),
        own_active=tuple(map(str, active)) if active else None,
        own_bases=named_bases(own["pretrained"].get("model_names", ())),
        forwards_apart=number(own["probes"].get("max_difference")),
        elsewhere_tried=bool(result["other_folder"]),
        elsewhere_crash=_crash(result, "other_folder"),
        comparison=comparison,
        not_compared=reason,
        trained_rows=trained,
        loaded_rows=loaded,
    )


def _compare_logits(recording: Recording) -> LogitComparison:
    """Of training texts: by the model that answers, by the one that is expected to, and by the bare base.

    Raises:
        Unavailable: one of them was not seen.
    """
    if not recording.probed:
        raise Unavailable("no text that the base's tokenizer knows reached the model in training")
    result, expected = recording.expected_logits
    if expected is None:
        raise Unavailable("the reference cannot load the saved adapter")
    if crash := _crash(result, "probes"):
        return LogitComparison(crash=crash)
    found = result.tensors("probes").get("logits")
    if found is None:
        raise Unavailable("no forward of its model was seen")
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
    """Rows of added tokens that training texts use, after training and when answering; empty where not seen in both."""
    trained, loaded = recording.training.tensors("added_token_rows"), recording.asked.tensors("added_token_rows")
    names = trained.keys() & loaded.keys()
    rows = min((len(tensors[name]) for tensors in (trained, loaded) for name in names), default=0)
    base_rows = len(recording.base_model.get_input_embeddings().weight)
    used = sorted({token - base_rows for row in recording.foreign for token in row.ids if token >= base_rows})
    if not used or max(used) >= rows:
        return {}, {}
    return {name: trained[name][used] for name in names}, {name: loaded[name][used] for name in names}


def build_generations(recording: Recording) -> Generations:
    """What the model writes, scripted and unscripted."""
    result = recording.with_adapter
    short, reason = [], ""
    if recording.asked_model is None:
        reason = "the reference cannot load the model that answers"
    else:
        short = shortfalls(recording.asked_model, recording.tokenizer, result["answers"].get("generations", ()))
    return Generations(
        questions=tuple(recording.questions),
        asked=len(recording.asked_rows),
        own=_answers(recording, recording.asked, "answers"),
        answers=_answers(recording, result, "answers"),
        scripted=tuple(_scripted(recording, result, number) for number in range(len(recording.scripts))),
        shortfalls=tuple((each.most, each.mean) for each in short),
        not_compared=reason,
    )


def _answers(recording: Recording, result: AgentResult, section: str) -> Answers | None:
    content = result[section]
    if not content:
        return None
    values = content.get("values")
    return Answers(
        values=None if values is None else tuple(values),
        parsed=tuple((str(text), value) for text, value in content.get("parsed_texts", ())),
        generations=tuple(_generation(recording, row) for row in content.get("generations", ())),
        crash=_crash(result, section),
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
    """One call with scripted completions; each line knows the generation that its question led to."""
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
    """The parser, called by itself."""
    return Parsed(tuple(recording.parse_texts), tuple(recording.with_adapter["parse"].get("values") or ()))


def build_scores(recording: Recording) -> Scores:
    """What testing reports, and the answers that it has to count."""
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
        crash=_crash(result, "score"),
        figures=None if figures is None else {name: tuple(found) for name, found in figures.items()},
        printed=str(section.get("output", "")),
        answered=tuple((question, truths[question], value) for question, value in seen if question in truths),
        was_observed=bool(seen),
        scripted=tuple(scripted),
        validation=frozenset(question for question, _ in recording.unseen),
    )


def _process(result: AgentResult) -> Process:
    return Process(result.ended_early, result.finished.output[-300:], result.notes)


def _crash(result: AgentResult, section: str) -> Crash | None:
    crash: Mapping[str, Any] | None = result.crash(section)
    if crash is None:
        return None
    return Crash(
        type=crash["type"],
        message=crash["message"],
        where=crash.get("where", ""),
        functions=tuple(map(str, crash.get("functions", ()))),
        trace=crash["trace"],
        description=result.describe(crash),
    )
