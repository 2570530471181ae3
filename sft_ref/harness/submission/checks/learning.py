"""Checks of prompt, tokens and train: what reaches the model, what it is taught, and what it learns."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import torch

from sft_ref.harness import tolerance
from sft_ref.harness.check import Check, Level, check
from sft_ref.harness.findings import Failure, Unavailable
from sft_ref.harness.losses import compare, is_worse
from sft_ref.harness.submission.answering import complete, is_better, read_number, right, value_losses
from sft_ref.harness.submission.convention import Convention, Text, decode
from sft_ref.harness.submission.evidence import Evidence
from sft_ref.harness.submission.replay import pad
from sft_ref.harness.taught import IGNORED

_MOST = 0.95
"""Share of training texts that must be right: rounded to two decimals 98 % of the answers are valid, to one 85 %."""
_FEW, _OFTEN = 0.3, 6
"""Share of the data, and times that each text is shown, under and above which texts are learned by heart."""


@check(
    "PRM-101",
    "asked with the prompts that reach it, the model answers as well as with those that training wrote",
    why="A model answers what it was trained on; another text before the answer asks for something else.",
    remedy="Send the text of training up to the answer: the same template, tags, spaces and special tokens.",
    source="S2, T1, T5, M6",
)
def prompts_are_answered_as_those_of_training(evidence: Evidence) -> None:
    """PRM-101: both answered by ours, where the prompts differ from the training texts."""
    astray = _astray(evidence)
    if not astray:
        return
    model = evidence.sound_model
    prompts = evidence.prompts(evidence.asked, evidence.questions)
    if model is None or any(prompt is None for prompt in prompts):
        raise Unavailable("there is no sound model of its convention to ask")
    own = _rightly_continued(evidence, model, [prompt for prompt in prompts if prompt])
    best = right(evidence.our_answers(model), evidence.questions)
    if is_better(best, own):
        sent, due = astray[0]
        raise Failure(
            f"{sum(own)} of {len(own)} right with the prompts that it sends, {sum(best)} with those of training",
            "as many",
            f"sent {sent!r}, trained {due!r}",
        )


def _rightly_continued(evidence: Evidence, model: Any, prompts: Sequence[Sequence[int]]) -> list[bool]:  # noqa: ANN401
    """Which prompts are answered rightly, and up to the number as training goes on from them, tags included."""
    convention = evidence.convention
    if convention is None:
        raise Unavailable("how it writes an answer is not known")
    texts = complete(model, evidence.tokenizer, prompts)
    answered = right([read_number(text, convention) for text in texts], evidence.questions)
    led = []
    for (question, _), prompt, text in zip(evidence.questions, prompts, texts, strict=True):
        lead, sent = convention.lead(question), decode(evidence.tokenizer, prompt)
        rest = lead[len(sent) :].strip() if lead.startswith(sent) else ""
        led.append(text.strip().startswith(rest))
    return [one and other for one, other in zip(answered, led, strict=True)]


@check(
    "PRM-102",
    "what reaches the model is where the training text leaves off",
    level=Level.CONTRACT,
    why="Even where answers survive it, the model is asked for something else than it was taught.",
    remedy="Build prompt and training text by the same function.",
)
def prompts_are_where_training_leaves_off(evidence: Evidence) -> None:
    """PRM-102: exact, in ids."""
    astray = _astray(evidence)
    if astray:
        sent, due = astray[0]
        raise Failure(f"{sent!r}", f"a beginning of {due!r}", f"{len(astray)} of {len(evidence.known_rows)} prompts")


def _astray(evidence: Evidence) -> list[tuple[str, str]]:
    """Prompts of trained questions that are no beginning of their training texts up to the answer, with these.

    None where only a few are: training texts may be varied on purpose.
    """
    astray, seen = [], 0
    prompts = evidence.prompts(evidence.asked, evidence.known_rows)
    for text, prompt in zip(evidence.texts, prompts, strict=False):
        if prompt is None or not text.is_answered:
            continue
        seen += 1
        begin = text.taught.begin or 0
        ids = text.taught.ids
        early = len(prompt) < begin and not _is_partial(evidence, text, len(prompt))
        if ids[: len(prompt)] != prompt or len(prompt) > text.begin or early:
            astray.append((decode(evidence.tokenizer, prompt), decode(evidence.tokenizer, ids)))
    if not seen:
        raise Unavailable("no prompt could be held against its training text")
    return astray if len(astray) > seen / 2 else []


def _is_partial(evidence: Evidence, text: Text, prompt: int) -> bool:
    """Whether labels begin within what the model has to write: in a word, a tag or a number, or past white space."""
    gap = decode(evidence.tokenizer, text.taught.ids[prompt : text.taught.begin])
    rest = decode(evidence.tokenizer, text.taught.ids[text.taught.begin or 0 : text.end])
    closed = gap.rstrip().endswith((">", ":", "=", "|", "]", "\n"))
    return not gap.strip() or not closed or rest.strip() != text.numeral


@check(
    "TOK-101",
    "training texts hold the answers",
    why="What is not in the texts, or is cut off or rounded away there, cannot be learned.",
    remedy="Write the answer with enough decimals (repr), and leave room for it when truncating.",
    source="S10, truncation",
)
def texts_hold_answers(evidence: Evidence) -> None:
    """TOK-101: a number within 5 % of the truth, after the question."""
    if not evidence.taught:
        raise Unavailable("no text reached the model in training")
    if not evidence.texts:
        raise Unavailable("no training text holds a question of the data as it is written there")
    bad = [text for text in evidence.texts if not text.is_answered]
    if len(bad) > (1 - _MOST) * len(evidence.texts):
        seen = f"{len(bad)} of {len(evidence.texts)} texts hold no valid answer"
        case = f"{decode(evidence.tokenizer, bad[0].taught.ids)[-200:]!r} for {bad[0].value!r}"
        raise Failure(seen, f"{bad[0].value!r} in the text", case)


@check(
    "TOK-102",
    "every token of the answer carries itself as its label",
    why="A token without a label is never learned; one with another's label is learned wrongly.",
    remedy="Mask the prompt alone, measured in tokens of the very text; the model shifts labels by itself.",
    after=("TOK-101",),
    source="S3, M4, M5, M8",
)
def answer_tokens_are_supervised(evidence: Evidence) -> None:
    """TOK-102: from the number's first token to its last."""
    answered = _labelled(evidence)
    for text in answered:
        wrong = [i for i, label in enumerate(text.taught.labels) if label not in (IGNORED, text.taught.ids[i])]
        if wrong:
            ids = text.taught.ids
            seen = f"token {wrong[0]}, {decode(evidence.tokenizer, ids[wrong[0] : wrong[0] + 1])!r}, has another label"
            raise Failure(seen, "itself", decode(evidence.tokenizer, ids))
    bare = [text for text in answered if IGNORED in text.taught.labels[text.begin : text.end]]
    if len(bare) > (1 - _MOST) * len(answered):
        text = bare[0]
        dropped = [i for i in range(text.begin, text.end) if text.taught.labels[i] == IGNORED]
        raise Failure(
            f"{len(dropped)} of {text.end - text.begin} tokens of the number carry no label, in {len(bare)} of "
            f"{len(answered)} texts",
            "a label each",
            f"{decode(evidence.tokenizer, [text.taught.ids[i] for i in dropped])!r} of {text.numeral!r}",
        )


@check(
    "TOK-103",
    "the model is taught where an answer ends",
    why="A model that was never shown an end goes on writing digits until its budget is used up.",
    remedy="Put a closing tag or the end-of-sequence token behind the answer, and let it carry a label.",
    after=("TOK-102",),
    source="M1, M2",
)
def ends_are_supervised(evidence: Evidence) -> None:
    """TOK-103: the first token behind the number that is no space. Where numbers end all the same, nothing is lost."""
    answered = _labelled(evidence)
    bare = 0
    for text in answered:
        ids, labels = text.taught.ids, text.taught.labels
        following = [i for i in range(text.end, len(ids)) if decode(evidence.tokenizer, ids[i : i + 1]).strip(" ")]
        bare += not following or labels[following[0]] != ids[following[0]]
    if bare > (1 - _MOST) * len(answered) and not evidence.has_learned:
        case = decode(evidence.tokenizer, answered[0].taught.ids)
        raise Failure(f"nothing behind the number carries a label in {bare} of {len(answered)} texts", "an end", case)


@check(
    "TOK-104",
    "all that the model has to write carries a label",
    why="What stands between prompt and number is then written untaught, and the number never follows.",
    remedy="Measure the prompt's length in tokens of the very text that is trained on, without a space of its own.",
    after=("TOK-102",),
    source="S3",
)
def what_is_to_be_written_is_supervised(evidence: Evidence) -> None:
    """TOK-104: from the end of the prompt that is sent; a whole tag that is missing there is the prompt's matter.

    What follows the prompt in every text may be written though it was never taught: then only its loss tells.
    """
    length = evidence.untaught
    texts = [text for text in _labelled(evidence) if text.taught.begin]
    if not length or not texts or not _is_partial(evidence, texts[0], (texts[0].taught.begin or 0) - length):
        return
    begin = texts[0].taught.begin or 0
    gap = decode(evidence.tokenizer, texts[0].taught.ids[begin - length : begin])
    if not gap.strip():
        return
    if evidence.trained_model is None or evidence.ours is None:
        raise Unavailable("there is no adapter to look at")
    own, ours = (_gap_losses(model, texts[:64], length) for model in (evidence.trained_model, evidence.ours))
    if is_worse(own, ours):
        seen = f"{gap!r} carries no label; {own.mean():.3f} nat, {compare(own, ours)} against ours, taught it"
        raise Failure(seen, "a label on each token behind the prompt", _short(evidence, texts[0]))


def _gap_losses(model: Any, texts: Sequence[Text], length: int) -> torch.Tensor:  # noqa: ANN401
    """Cross entropy of the tokens before the first label, in nat a token: (texts,)."""
    ids = pad([text.taught.ids for text in texts], 0)
    mask = pad([(1,) * len(text.taught.ids) for text in texts], 0)
    with torch.no_grad():
        logits = model(input_ids=ids, attention_mask=mask, use_cache=False).logits[:, :-1].float()
    each = torch.nn.functional.cross_entropy(logits.transpose(1, 2), ids[:, 1:], reduction="none").double()
    begins = [text.taught.begin or 0 for text in texts]
    return torch.stack([row[at - length - 1 : at - 1].mean() for row, at in zip(each, begins, strict=True)])


@check(
    "TOK-105",
    "padding carries no label",
    level=Level.CONTRACT,
    why="Rows then teach to go on with padding, the more the shorter they are.",
    remedy="Set the labels to -100 where the attention mask is 0.",
)
def padding_is_not_supervised(evidence: Evidence) -> None:
    """TOK-105: in any batch."""
    if evidence.lessons.get("padding_labelled"):
        raise Failure(f"{evidence.lessons['padding_labelled']} padded positions with a label", "none")


@check(
    "TRN-101",
    "training runs to its end",
    why="Nothing is learned by a training that crashes.",
    remedy="Mend the line that is named.",
)
def training_runs(evidence: Evidence) -> str | None:
    """TRN-101: in a process of its own. What crashes once the adapter is saved, as in a test of it, is no training."""
    told = evidence.training
    crash = told.crash("train")
    if crash and evidence.is_saved_right:
        return f"after the adapter was saved: {told.describe(crash)} in {crash['where']}"
    if crash:
        raise Failure(told.describe(crash), "no exception", crash["where"] or crash["trace"][-300:])
    if told.ended_early:
        raise Failure(f"training {told.ended_early}", "an end of its own", told.finished.output[-300:])
    if not evidence.taught and not evidence.losses:
        raise Failure("no text reached the model in training", "the texts of the data")
    return None


@check(
    "TRN-102",
    "training moves the adapter, and leaves it finite",
    why="An adapter whose B matrices are zero adds nothing; one with NaN makes every answer NaN.",
    remedy="Hand the adapter's parameters to the optimizer, keep their gradients, and train in bfloat16 or float32.",
    after=("TRN-101",),
    source="A14, S6, S7",
)
def adapter_moves(evidence: Evidence) -> None:
    """TRN-102: as it is in memory when training ends."""
    if not evidence.trained:
        raise Failure("no LoRA adapter on the model that is trained", "one", "peft was not used, or on another model")
    for name, tensor in evidence.trained.items():
        if not tensor.isfinite().all():
            raise Failure("NaN or infinity", "finite numbers", name)
    ups = {name: tensor for name, tensor in evidence.trained.items() if "lora_B" in name}
    still = [name for name, tensor in ups.items() if not tensor.any()]
    if ups and len(still) == len(ups):
        steps, optimizer = len(evidence.steps), evidence.lessons.get("optimizer", {})
        seen = (
            f"all {len(ups)} B matrices are zero after {steps} optimizer steps of {optimizer.get('tensors', 0)} tensors"
        )
        raise Failure(seen, "at least one that moved", still[0])
    bad = [loss for loss in evidence.losses if not math.isfinite(loss)]
    if len(bad) > len(evidence.losses) // 2:
        raise Failure(f"{len(bad)} of {len(evidence.losses)} losses are not finite", "finite losses")


@check(
    "TRN-103",
    "the true answers become as likely as when ours trains on the same batches at the same rates",
    why="A loss that is not the model's, an optimizer of something else, or a rate that moves nothing, teach nothing.",
    remedy="Train the adapter with the model's own loss; choose a rate whose sum over all steps is near 0.1.",
    after=("TRN-102",),
    source="S7, NC2",
)
def answers_become_likely(evidence: Evidence) -> str | None:
    """TRN-103: what training left, and a replay of it, on fresh questions."""
    convention = evidence.convention
    if convention is None or evidence.trained_model is None:
        raise Unavailable("its convention, or its adapter, cannot be read")
    if evidence.is_good or sum(evidence.trained_right) >= 0.8 * len(evidence.questions):
        return None
    losses = _losses(evidence, convention, evidence.trained_model)
    if evidence.replayed is not None:
        ours = _losses(evidence, convention, evidence.replayed)
        if is_worse(losses, ours):
            seen = f"{losses.mean():.3f} nat a token of the true answer, {compare(losses, ours)} against ours"
            raise Failure(seen, f"{ours.mean():.3f}, as on the same batches at the same rates by ours")
    if not all(set(text.taught.labels[text.begin : text.end]) <= set(text.taught.ids) for text in _answered(evidence)):
        raise Unavailable("its labels teach something else, so that nothing can be said of its training")
    fall = compare(_losses(evidence, convention, evidence.base_model), losses)
    if not (fall.mean > tolerance.FALL and fall.t > tolerance.PAIRED_T):
        reach = sum(step.rate for step in evidence.steps)
        seen = f"a fall of {fall} after {len(evidence.steps)} steps with rates that sum to {reach:.2g}"
        raise Failure(seen, f"more than {tolerance.FALL} nat a token", "the true answers of fresh questions")
    shown = sum(len(batch) for step in evidence.steps for batch in step.batches)
    if len(evidence.taught) < _FEW * len(evidence.rows) and shown > _OFTEN * len(evidence.taught):
        seen = f"{len(evidence.taught)} texts, each shown {shown / len(evidence.taught):.0f} times"
        raise Failure(seen, f"the {len(evidence.rows)} questions of the data", "what is learned by heart fits no other")
    return f"{losses.mean():.3f} nat a token, as ours with the same settings: they are slow, and no fault"


def _losses(evidence: Evidence, convention: Convention, model: object) -> torch.Tensor:
    return value_losses(model, evidence.tokenizer, evidence.questions, convention)


@check(
    "TRN-104",
    "whatever training changed is saved",
    why="A weight that is trained and not saved is lost, and the adapter no longer fits the base that is loaded.",
    remedy="Freeze the base, or save what else is trained (modules_to_save).",
    after=("TRN-101",),
    source="A5; unsloth#9331",
)
def nothing_trained_is_lost(evidence: Evidence) -> None:
    """TRN-104: parameters of the base in memory, against the files. Where answers are all there, nothing is lost."""
    saved = set(itertools.chain.from_iterable(evidence.read_adapter(folder) for folder in evidence.saved.values()))
    lost = [name for name in evidence.lessons.get("changed", ()) if not any(name in each for each in saved)]
    if lost and not evidence.is_good:
        raise Failure(f"{len(lost)} tensors of the base were changed and are not saved", "none", str(lost[0]))


@check(
    "TRN-105",
    "training changes nothing but the adapter",
    level=Level.CONTRACT,
    why="Whoever loads the adapter onto the base has other weights beneath it than it was trained on.",
    remedy="Freeze every parameter of the base.",
    after=("TRN-104",),
)
def base_stays(evidence: Evidence) -> None:
    """TRN-105: in memory, when training ends."""
    changed = evidence.lessons.get("changed", ())
    if changed:
        raise Failure(f"{len(changed)} tensors of the base were changed", "none", str(changed[0]))


@check(
    "TOK-106",
    "training knows no token that is unknown when answering",
    why="A token that was added for training alone has an embedding of its own, which no adapter carries along.",
    remedy="Write tags in the base's own tokens, or add, train and save the same tokens wherever the base is loaded.",
    after=("TOK-101",),
)
def tokens_are_known_when_answering(evidence: Evidence) -> None:
    """TOK-106: ids behind the base's own, none of which is heard or said by what was loaded."""
    heard = evidence.asked["answers"].get("heard", ())
    added = {token for row in evidence.foreign for token in row.ids if token >= len(evidence.tokenizer)}
    if not added or not heard or evidence.is_good:
        return
    known = {token for row in heard for token in (*row["prompt"], *row["said"])}
    if not added & known:
        seen = f"{len(added)} tokens beyond the {len(evidence.tokenizer)} of the base"
        raise Failure(seen, "none", f"ids {sorted(added)[:3]}")


def _labelled(evidence: Evidence) -> list[Text]:
    if not evidence.lessons.get("labelled", True):
        raise Unavailable("its labels pass no boundary at which they can be seen")
    return _answered(evidence)


def _answered(evidence: Evidence) -> list[Text]:
    answered = [text for text in evidence.texts if text.is_answered]
    if not answered:
        raise Unavailable("no training text holds its answer")
    return answered


def _short(evidence: Evidence, text: Text) -> str:
    return decode(evidence.tokenizer, text.taught.ids)[-200:]


CHECKS: tuple[Check, ...] = (
    prompts_are_answered_as_those_of_training,
    prompts_are_where_training_leaves_off,
    texts_hold_answers,
    answer_tokens_are_supervised,
    ends_are_supervised,
    what_is_to_be_written_is_supervised,
    padding_is_not_supervised,
    tokens_are_known_when_answering,
    training_runs,
    adapter_moves,
    answers_become_likely,
    nothing_trained_is_lost,
    base_stays,
)
