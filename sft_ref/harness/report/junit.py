"""Writes results as JUnit XML for continuous integration: one suite per implementation, one case per check.

| outcome | JUnit element |
| --- | --- |
| pass | a case |
| advice | a case, with the advice as its system-out |
| fail | failure |
| error | error: the check itself failed, which says nothing about the implementation |
| no verdict, or an error after the checks | error, in a separate case |
| skipped, blocked | skipped, with the reason |
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType

from junitparser import Error, JUnitXml, Skipped, TestCase, TestSuite
from junitparser import Failure as Failed

from sft_ref.harness.core.check import Outcome, Result
from sft_ref.io.atomic_write import write_atomic

_NOT_IN_XML = re.compile("[^\\t\\n\\r\\x20-\\ud7ff\\ue000-\\ufffd\\U00010000-\\U0010ffff]")
"""Characters that XML 1.0 forbids; a model may generate any."""


def write_junit(
    results_by_name: Mapping[str, Iterable[Result]],
    path: Path,
    errors_by_name: Mapping[str, Iterable[str]] = MappingProxyType({}),
) -> None:
    """Writes the results of one or more implementations, by name.

    Args:
        results_by_name: name of an implementation -> the results of its checks.
        path: path of the file.
        errors_by_name: name -> reasons for a missing verdict, or errors after the checks; each becomes a case.

    Raises:
        OutputError: the file cannot be written.
    """
    report = JUnitXml("sft-ref")
    for name, results in results_by_name.items():
        suite = TestSuite(_clean(name))
        for result in results:
            suite.add_testcase(_case(_clean(name), result))
        for error in errors_by_name.get(name, ()):
            case = TestCase("grading", f"{_clean(name)}.grading")
            case.result = [Error(_clean(error))]
            suite.add_testcase(case)
        report.add_testsuite(suite)
    content = io.BytesIO()
    report.write(content, pretty=True)
    write_atomic(path, content.getvalue())


def _case(name: str, result: Result) -> TestCase:
    case = TestCase(f"{result.check.id}: {result.check.statement}", f"{name}.{result.check.stage}", result.seconds)
    seen = _clean(result.observed)
    match result.outcome:
        case Outcome.FAIL:
            failed = Failed(f"observed: {seen}; expected: {_clean(result.expected)}")
            details = {"example": result.example, "why": result.check.why, "remedy": result.check.remedy}
            details |= {"rerun": result.rerun}
            failed.text = _clean("\n".join(f"{key}: {text}" for key, text in details.items() if text))
            case.result = [failed]
        case Outcome.ERROR:
            case.result = [Error(seen)]
        case Outcome.SKIPPED | Outcome.BLOCKED:
            case.result = [Skipped(f"{result.outcome}: {seen}")]
        case Outcome.ADVICE:
            case.system_out = seen
    return case


def _clean(text: str) -> str:
    return _NOT_IN_XML.sub(lambda found: ascii(found[0])[1:-1], text)
