"""Prompts that are sent are held against those of training by the loss of the true answer."""

from __future__ import annotations

import pytest
import torch

from sft_ref.harness.core.paired import is_worse
from sft_ref.harness.instruments.encoding import encode
from sft_ref.harness.recorders.submission.prompts import answer_losses, left_to_write
from sft_ref.reference.bases.find import TOY
from sft_ref.reference.models import load_model, load_tokenizer
from sft_ref.reference.precision import POLICIES


@pytest.mark.parametrize(
    ("lead", "rest", "sent", "due"),
    [
        ("Q: a? <answer>", " <answer>", "Q: a?", " <answer>"),
        ("Q: a? <answer>", " <answer>", "Q: a? <answer>", ""),
        ("Q: a? <answer>", " <answer>", "Q: A? <answer>", ""),
        ("Q: a? Result = [", " Result = [", "a? Result =", " ["),
        ("Q: a? [", " [", "What is a? [", ""),
        ("Q: a? Answer: ", " Answer: ", "What is the same in A", " Answer: "),
    ],
    ids=["same", "longer", "another, with the tag", "another, with some of it", "one sign", "a letter is no beginning"],
)
def test_what_a_prompt_has_begun_is_not_to_be_written_again(lead: str, rest: str, sent: str, due: str) -> None:
    assert left_to_write(lead, rest, sent) == due


def test_a_loss_is_that_of_the_target_alone_whatever_the_batch() -> None:
    tokenizer, model = load_tokenizer(TOY), load_model(TOY, POLICIES["fp32"])
    model.eval()
    prompts = [
        encode(tokenizer, text) for text in ("What is 2 m in cm? <answer>", "Convert 3 h to min. <answer>", "2?")
    ]
    targets = [encode(tokenizer, text) for text in ("200.0", "180.0</answer>", "7")]
    found = answer_losses(model, prompts, targets, [len(target) for target in targets])
    for loss, prompt, target in zip(found, prompts, targets, strict=True):
        ids = torch.tensor([[*prompt, *target]])
        with torch.no_grad():
            logits = model(input_ids=ids).logits[0, len(prompt) - 1 : -1]
        assert loss.item() == pytest.approx(
            torch.nn.functional.cross_entropy(logits, ids[0, len(prompt) :]).item(), 1e-3
        )


def test_the_answer_is_less_likely_behind_a_prompt_that_the_model_never_answered() -> None:
    """The toy has read answers behind an arrow, and in the tags of the task only words."""
    tokenizer, model = load_tokenizer(TOY), load_model(TOY, POLICIES["fp32"])
    model.eval()
    rows = [
        (f"What is {n} {of} in {to}?", n * factor)
        for n in range(1, 11)
        for of, to, factor in (("m", "cm", 100.0), ("h", "min", 60.0))
    ]
    targets = [encode(tokenizer, repr(value)) for _, value in rows]
    known, same, other = (
        answer_losses(
            model, [encode(tokenizer, form.format(q)) for q, _ in rows], targets, [len(each) for each in targets]
        )
        for form in ("{} =>", "{} =>", "{} <answer>")
    )
    assert is_worse(other, known)
    assert not is_worse(same, known)
