"""Labels that only the loss function receives are recorded as it counts them."""

import pytest
import torch
from torch.nn import functional

from sft_ref.harness.recorders.submission.agent.training_recorder.texts import Example, TextRecorder

TEXTS = ((5, 6, 7, 8, 9), (4, 3, 2))
"""The answers are the last two tokens."""
IDS = torch.tensor([[5, 6, 7, 8, 9], [4, 3, 2, 0, 0]])
MASK = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])
ANSWERS = torch.tensor([[0, 0, 0, 1, 1], [0, 1, 1, 0, 0]])
NO = -100
Labels = tuple[tuple[int, ...], tuple[int, ...]]
Recorded = tuple[TextRecorder, list[Example]]
WHOLE = ((NO, 6, 7, 8, 9), (NO, 3, 2))
ANSWERS_ALONE = ((NO, NO, NO, 8, 9), (NO, 3, 2))


def record(cut: int, target: torch.Tensor, weights: torch.Tensor | None, mask: torch.Tensor = MASK) -> Recorded:
    """Records a pass without labels, and the loss of its first `cut` positions; another pass comes before backward."""
    recorder = TextRecorder()
    given = {"input_ids": IDS, "attention_mask": mask}
    recorder.record(lambda: None, given, None)
    logits = torch.zeros(2, cut, 10, requires_grad=True).transpose(1, 2)
    kind = "mean" if weights is None else "none"
    loss = recorder.cross_entropy(functional.cross_entropy, logits, target, reduction=kind)
    recorder.record(lambda: None, given, None)
    (loss if weights is None else (loss * weights).sum()).backward()
    assert recorder.forward_passes[1] == ([], None)
    return recorder, [recorder.examples[index] for index in recorder.forward_passes[0][0]]


@pytest.mark.parametrize(
    ("weights", "due"),
    [
        (ANSWERS[:, 1:].float(), ANSWERS_ALONE),
        (MASK[:, 1:].float(), WHOLE),
        (MASK[:, 1:] * torch.where(ANSWERS[:, 1:] == 1, 1.0, 0.01), WHOLE),
        (torch.tensor([[0.0, 1, 0, 1], [1, 1, 0, 0]]), ((NO, NO, 7, 8, 9), (NO, 3, 2))),
    ],
    ids=["answers alone", "no padding", "prompts a little", "a token between is left out"],
)
def test_a_token_before_or_after_all_that_the_loss_weighs_has_no_label(weights: torch.Tensor, due: Labels) -> None:
    recorder, examples = record(4, IDS[:, 1:], weights)
    assert examples == list(zip(TEXTS, due, strict=True))
    assert recorder.labelled_padding == 0


def test_a_mean_counts_what_is_no_ignored_label() -> None:
    recorder, examples = record(4, IDS[:, 1:], None)
    assert examples == list(zip(TEXTS, WHOLE, strict=True))
    assert recorder.labelled_padding == 2


@pytest.mark.parametrize("masked", [True, False])
def test_labels_shifted_by_the_caller_are_shifted_back(masked: bool) -> None:
    labels = torch.where(ANSWERS == 1, IDS, NO) if masked else torch.where(MASK == 1, IDS, NO)
    shifted = torch.cat([labels[:, 1:], torch.full((2, 1), NO)], dim=1)
    _, examples = record(5, shifted, None)
    assert examples == list(zip(TEXTS, ANSWERS_ALONE if masked else WHOLE, strict=True))
