"""A pytest plugin: a test for each check of a target, and a fixture that compares a model with its record.

`pytest --sft-ref-target my_adapter --sft-ref-data held_out.jsonl` grades the target once, when the first of its tests
runs. `pytest --sft-ref-record my_adapter` adds a test for each kind of difference from the record of its training, and
the fixture `sft_ref_verify` compares a model that a test has loaded. pytest loads this file whenever the package is
installed, so it imports the harness only if an option needs it.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sft_ref.harness.core.check import Check, Result
    from sft_ref.harness.core.verdict import Verdict
    from sft_ref.witnessing.verifying.result import Verification

_PATH_OPTIONS = ("data", "adapter")
_TEXT_OPTIONS = {
    "base": "base model, instead of the one that the target names",
    "prompt": "format of texts, such as '{question} A: {answer}'",
    "chat-template": "file with the chat template of texts, or 'tokenizer' for the tokenizer's own",
}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds the options of `sft-ref grade` that describe the target, each as `--sft-ref-NAME`."""
    group = parser.getgroup("sft-ref", "a test for each check of a LoRA fine-tune")
    group.addoption("--sft-ref-target", metavar="PATH", help="an adapter, a merged model, a submission, or evidence")
    group.addoption("--sft-ref-data", type=Path, metavar="FILE", help="held-out questions for an adapter")
    group.addoption(
        "--sft-ref-adapter", type=Path, metavar="FOLDER", help="for a merged model: the adapter that was merged"
    )
    for name, text in _TEXT_OPTIONS.items():
        group.addoption(f"--sft-ref-{name}", metavar="TEXT", help=text)
    group.addoption(
        "--sft-ref-require",
        action="append",
        default=[],
        metavar="STAGE",
        help="stage that must be examined (default: all stages of the target's kind); may be repeated",
    )

    group.addoption(
        "--sft-ref-record",
        type=Path,
        metavar="FOLDER",
        help="adapter folder, with the record of its training",
    )


@pytest.fixture
def sft_ref_verify(request: pytest.FixtureRequest) -> Callable[..., Verification]:
    """Returns a function of a loaded model and its tokenizer that fails the test if they differ from the record.

    The record is in the folder of `--sft-ref-record`.
    """
    from sft_ref.witnessing.verifying.verify import verify

    folder = request.config.getoption("--sft-ref-record")
    if folder is None:
        pytest.fail("the fixture sft_ref_verify needs --sft-ref-record FOLDER", pytrace=False)

    def check(model: object, tokenizer: Any = None) -> Verification:  # noqa: ANN401  # untyped in transformers
        result = verify(model, tokenizer, folder)
        if not result.ok:
            pytest.fail(str(result), pytrace=False)
        return result

    return check


@pytest.hookimpl(tryfirst=True)  # before other plugins select tests
def pytest_collection_modifyitems(session: pytest.Session, items: list[pytest.Item]) -> None:
    """Adds the tests of the target and of the recorded folder."""
    if target := session.config.getoption("--sft-ref-target"):
        name = f"sft-ref {Path(target).name}"  # for a path, pytest would look for directories
        collector: Target = Target.from_parent(session, name=name, nodeid=name)
        collector.target = target
        items.extend(collector.collect())
    if folder := session.config.getoption("--sft-ref-record"):
        name = f"sft-ref-record {folder.name}"
        recorded: RecordedFolder = RecordedFolder.from_parent(session, name=name, nodeid=name)
        recorded.folder = folder
        items.extend(recorded.collect())


class Target(pytest.Collector):
    """A target to grade; its tests share one grading."""

    target: str

    def collect(self) -> Iterator[pytest.Item]:
        """Yields a test for each check of the target's kind, and one for the verdict.

        Raises:
            pytest.UsageError: the target contains nothing that can be graded.
        """
        from sft_ref.errors import SftRefError

        try:
            checks = self._checks()
        except SftRefError as error:
            raise pytest.UsageError(f"--sft-ref-target: {error}") from error
        for each in checks:
            item: CheckItem = CheckItem.from_parent(self, name=each.id)
            item.check = each
            yield item
        yield VerdictItem.from_parent(self, name="verdict")

    def _checks(self) -> tuple[Check, ...]:
        from sft_ref.harness.checks.registry import KINDS
        from sft_ref.harness.core.check import in_order
        from sft_ref.harness.grading.kinds import find_kind
        from sft_ref.harness.grading.target import runs_here

        if runs_here(self.target, is_module=False):
            return in_order(KINDS["object"])
        kind, _ = find_kind(self.target)
        if kind == "evidence":  # the file names its kind
            return tuple(result.check for result in self.verdict.results)
        return in_order(KINDS["submission" if kind == "code" else kind])

    @functools.cached_property
    def verdict(self) -> Verdict:
        """The verdict on the target.

        Raises:
            SftRefError: the target cannot be graded.
        """
        from sft_ref.console.streams import no_input
        from sft_ref.errors import SftRefError
        from sft_ref.harness.core.grade import NotGraded
        from sft_ref.harness.grading.target import grade_one, runs_here
        from sft_ref.harness.grading.worker import SECONDS, grade_alone, grade_or_reason

        names = (*_PATH_OPTIONS, *_TEXT_OPTIONS)
        options = {name.replace("-", "_"): self.config.getoption(f"--sft-ref-{name}") for name in names}
        grade = functools.partial(grade_one, **options)
        with no_input():
            if runs_here(self.target, is_module=False):
                found = grade_or_reason(grade, self.target)
            else:
                found = grade_alone(self.target, grade, lambda text: None, SECONDS)
        if isinstance(found, NotGraded):
            raise SftRefError(found.reason)
        return found


class _Item(pytest.Item):
    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        parent = self.parent.name if self.parent is not None else ""
        self.add_marker(pytest.mark.xdist_group(parent))  # with --dist loadgroup, the target is graded once

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: object = None) -> str:
        """Returns only the message, because a traceback through this file explains nothing."""
        return str(excinfo.value)


class CheckItem(_Item):
    """One check of the target."""

    check: Check
    parent: Target

    def runtest(self) -> None:
        """Passes, fails or skips according to the result of the check.

        Raises:
            AssertionError: the check failed; the message has the observed and expected values, the reason and a remedy.
            RuntimeError: the check itself raised an error.
        """
        from sft_ref.harness.grading.suite import raise_or_warn

        results: dict[str, Result] = {each.check.id: each for each in self.parent.verdict.results}
        if self.check.id not in results:
            pytest.skip("does not apply to this target")
        raise_or_warn(results[self.check.id])

    def reportinfo(self) -> tuple[Path, None, str]:
        """Returns the location and title that pytest prints."""
        return Path(self.parent.target), None, f"{self.check.id}: {self.check.statement}"


class VerdictItem(_Item):
    """A test of the verdict: passes if the target is not broken and every required stage was examined."""

    parent: Target

    def runtest(self) -> None:
        """Fails if `sft-ref grade` would.

        Raises:
            AssertionError: the target is broken, or a required stage was not examined.
        """
        from sft_ref.harness.core.grade import exit_code

        verdict = self.parent.verdict
        if exit_code([verdict], require=self.config.getoption("--sft-ref-require")):
            what = " ".join(filter(None, (verdict.cause, verdict.remedy, verdict.coverage_text, *verdict.errors)))
            raise AssertionError(f"{verdict.status}: {what}")

    def reportinfo(self) -> tuple[Path, None, str]:
        """Returns the location and title that pytest prints."""
        return Path(self.parent.target), None, "verdict"


class RecordedFolder(pytest.Collector):
    """An adapter with the record of its training; its tests share one comparison."""

    folder: Path

    def collect(self) -> Iterator[pytest.Item]:
        """Yields a test for each kind of difference."""
        from sft_ref.witnessing.verifying.result import KINDS

        for kind in KINDS:
            yield KindItem.from_parent(self, name=kind)

    @functools.cached_property
    def result(self) -> Verification:
        """The result of the comparison.

        Raises:
            SftRefError: the record cannot be read, or the base is missing.
        """
        from sft_ref.console.streams import no_input
        from sft_ref.harness.grading.worker import run_alone
        from sft_ref.witnessing.verifying.folder import verify_folder

        with no_input():
            result: Verification = run_alone(verify_folder, self.folder, self.config.getoption("--sft-ref-base"))
        return result


class KindItem(_Item):
    """A test for one kind of difference from the record."""

    parent: RecordedFolder

    def runtest(self) -> None:
        """Passes, fails or skips according to the comparison.

        Raises:
            AssertionError: the adapter differs from the record; the message has the trained and the found values.
        """
        result = self.parent.result
        found = [str(each) for each in result.differences if each.kind == self.name]
        if found:
            raise AssertionError("\n".join(found))
        if self.name not in result.examined:
            pytest.skip("; ".join(result.notes) or "not compared")

    def reportinfo(self) -> tuple[Path, None, str]:
        """Returns the location and title that pytest prints."""
        return self.parent.folder, None, f"{self.name} as recorded"
