"""Shared checks of the stage parse."""

from __future__ import annotations

import math
from collections.abc import Sequence

from sft_ref.harness.core.check import check
from sft_ref.harness.core.findings import Failure
from sft_ref.harness.core.numerals import number
from sft_ref.harness.evidence.views import ParsedText, ParsedTexts


@check(
    "PRS-001",
    "Each training target is parsed as the answer it stands for",
    why="A parser that requires what the prompt has already consumed, or that reads numbers in another format, loses"
    " every answer, however good the model is.",
    remedy="Parse the text after the prompt, and make parser and training text agree on the tags and on the format of"
    " numbers.",
    source="S2",
    core=True,
    aliases=("PRS-101",),
)
def training_targets_are_parsed(parsed_texts: ParsedTexts) -> None:
    """PRS-001: Scripts the targets of training; answers lost before they reach the parser do not count."""
    for each in parsed_texts.texts:
        if not each.is_right:
            lead = parsed_texts.lead
            reason = f": it requires {lead!r}, which the prompt has already consumed" if lead else ""
            seen = f"the parser returns {each.value} for {each.text[-120:]!r}{reason}"
            raise Failure(seen, each.expected, each.question)


@check(
    "PRS-003",
    "The parser returns NaN for a text without an answer",
    why="A constant, a stored answer or a number of the question in place of NaN hides that the model gave none.",
    remedy="Return float('nan') if there is no number, and parse the new text only, or only what follows the prompt.",
    depends_on=("PRS-002",),
    source="S4",
    aliases=("PRS-005", "PRS-102"),
)
def no_constant_stands_for_nan(answerless_texts: Sequence[ParsedText]) -> None:
    """PRS-003: Parses texts without a digit; a number in the question is not an answer."""
    for each in answerless_texts:
        if not math.isnan(number(each.value)):
            raise Failure(f"the parser returns {each.value} for {each.text[:120]!r}", "nan", each.question)
