"""A verdict in which every text is hostile, and the characters that must not reach a person."""

from __future__ import annotations

import re
from dataclasses import replace

from graders import BROKEN, result

from sft_ref.harness.core.check import Outcome
from sft_ref.harness.core.verdict import Suspect, Verdict

HOSTILE = (
    "\x1b[2J\x1b[32mSOUND\x1b]0;title\x07 [bold green]SOUND[/] <script>alert(1)</script> \u202ekcab\u2066\u200b\x9b31m"
    "\r\nSOUND\x00\ud800 [link=https://example.org]x[/link] :smile: \\[red]"
)
FORBIDDEN = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def hostile() -> Verdict:
    suspect = Suspect("load", HOSTILE, (HOSTILE, HOSTILE), HOSTILE, HOSTILE)
    failed = replace(result("LOD-001", Outcome.FAIL, HOSTILE, HOSTILE, HOSTILE), rerun=HOSTILE)
    skipped = result("LOD-002", Outcome.SKIPPED, HOSTILE)
    return replace(
        BROKEN,
        path=HOSTILE,
        suspects=(suspect,),
        cause=HOSTILE,
        cleared={HOSTILE: HOSTILE},
        notes=(HOSTILE,),
        results=(failed, skipped),
    )
