"""Checks of the stage parse: from completion to number."""

from sft_ref.data import is_answer_valid
from sft_ref.harness.check import Check, Failure, check
from sft_ref.harness.context import Context
from sft_ref.harness.dictation import dictate, write_lines


@check(
    "PRS-004",
    "answers come from the model",
    why="Looked up or computed answers score without any training, and hide every fault of it.",
    remedy="Return what the parser reads in the model's text, and NaN where it reads no number.",
    source="course submission S5",
)
def answers_come_from_the_model(context: Context) -> None:
    """Questions of both splits, to which the model says a wrong number, or nothing at all; the truth must not appear.

    A lookup inside generation changes the text that is parsed, so `GEN-009` has named it before.
    """
    rows = [*context.train_rows[4:10], *context.fresh_rows[4:10]]
    lines = write_lines(context, [(question, -2 * value - 1) for question, value in rows])
    for end_at_once, said in ((False, "a wrong number"), (True, "nothing")):
        answers = dictate(context, lines, end_at_once=end_at_once).answers
        for answer, (question, truth) in zip(answers, rows, strict=True):
            if is_answer_valid(answer, truth):
                raise Failure(f"{answer}, which is true", f"what was said, which is {said}", question)


CHECKS: tuple[Check, ...] = (answers_come_from_the_model,)
