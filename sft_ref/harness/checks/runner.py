"""Runs checks in order; each planned check ends in exactly one outcome."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import replace

from sft_ref.errors import MachineError, MissingModuleError, SftRefError
from sft_ref.harness.core import margins
from sft_ref.harness.core.check import CLAIMS, Check, Level, Outcome, Result, in_order
from sft_ref.harness.core.findings import Blocked, Failure, NotGiven, Unavailable
from sft_ref.harness.core.implementation import Implementation
from sft_ref.io.foreign import is_failure

SEED = 0


def plan(
    checks: Iterable[Check], *, claims_contract: bool, claims: Collection[str] = (), only: Collection[str] = ()
) -> tuple[Check, ...]:
    """Selects the checks that apply to an implementation, in order.

    Args:
        checks: all checks for this kind of target.
        claims_contract: whether all contract checks apply.
        claims: parts of the contract (`CLAIMS`) whose checks apply in addition to the universal checks.
        only: ids of the checks to run; empty runs all.

    Raises:
        SftRefError: `only` leaves no check, so that nothing can be concluded; or a claim is not a part of the contract.
    """
    if unknown := [claims] if isinstance(claims, str) else sorted({*claims} - {*CLAIMS}):
        raise SftRefError(
            f"claims: {unknown[0]!r} is not valid; give a tuple of parts of the contract: {', '.join(CLAIMS)}"
        )
    binding = tuple(c for c in in_order(checks) if c.level is Level.UNIVERSAL or claims_contract or c.claim in claims)
    planned = tuple(each for each in binding if not only or each.id in only)
    if only and not planned:
        raise SftRefError(
            f"--only {' '.join(only)}: none of these checks applies to this kind of target; `sft-ref checks ID` shows"
            " the kinds that a check applies to"
        )
    return planned


def plan_for(
    implementation: Implementation,
    checks: Iterable[Check],
    *,
    claims: Collection[str] | None = None,
    only: Collection[str] = (),
) -> tuple[Check, ...]:
    """Selects the checks that apply to an implementation, by its own claims or by `claims`, which override them.

    Raises:
        SftRefError: as for `plan`.
    """
    whole = claims is None and getattr(implementation, "claims_contract", False)
    named = getattr(implementation, "claims", ()) if claims is None else claims
    return plan(checks, claims_contract=whole, claims=named, only=only)


def run(
    checks: Iterable[Check], evidence: object, *, rerun: str = "", earlier: Iterable[Result] = ()
) -> Iterator[Result]:
    """Runs checks in order, and yields each result as soon as it is known.

    Args:
        checks: planned checks, as returned by `plan`.
        evidence: evidence passed to the checks.
        rerun: command that grades the same target again; each result stores it with `--only` and the id of its check.
        earlier: results of earlier checks that these may depend on.

    Raises:
        MachineError: the machine prevented the target from finishing.
        MissingModuleError: the target needs a module that is not installed.
    """
    planned = tuple(checks)
    results: dict[str, Result | None] = {each.check.id: each for each in earlier}
    results |= {each.id: None for each in planned}
    for each in planned:
        blockers = blockers_of(each, results)
        if blockers:
            named = [
                name for name in blockers if (found := results[name]) and found.outcome is Outcome.FAIL
            ] or blockers[:1]
            result = Result(each, Outcome.BLOCKED, 0.0, observed=f"{', '.join(named)} did not pass")
        else:
            result = _run_one(each, evidence, f"{rerun} --only {each.id}" if rerun else "")
        results[each.id] = result
        yield result


def run_all(checks: Iterable[Check], evidence: object, *, rerun: str, report: Callable[[str], None]) -> list[Result]:
    """Runs checks and returns their results; passes the id and outcome of each to `report` as it finishes."""
    results = []
    for result in run(checks, evidence, rerun=rerun):
        report(f"{result.check.id} {result.outcome}")
        results.append(result)
    return results


def blockers_of(each: Check, results: Mapping[str, Result | None]) -> list[str]:
    """Returns the ids of planned checks that must pass before this one and did not; None marks a check not run yet."""
    return [name for name in each.depends_on if name in results and _blocks(results[name])]


def _blocks(result: Result | None) -> bool:
    return result is None or (result.blocks and result.outcome not in (Outcome.PASS, Outcome.ADVICE))


def _run_one(each: Check, evidence: object, rerun: str) -> Result:
    import torch

    random.seed(SEED)
    torch.manual_seed(SEED)
    began = time.perf_counter()

    def result(outcome: Outcome, observed: str, rerun: str = "") -> Result:
        return Result(
            each, outcome, time.perf_counter() - began, observed, rerun=rerun, margin=max(shares, default=None)
        )

    shares: list[float] = []
    try:
        with margins.recorded() as shares:
            advice = each(evidence)
    except Failure as failure:
        found = result(Outcome.FAIL, failure.observed, rerun)
        return replace(found, expected=failure.expected, example=failure.example, survivable=failure.survivable)
    except Blocked as blocked:
        return result(Outcome.BLOCKED, str(blocked))
    except Unavailable as lack:
        return replace(result(Outcome.SKIPPED, str(lack)), blocks=not isinstance(lack, NotGiven))
    except (MachineError, MissingModuleError):  # the target cannot be graded
        raise
    except BaseException as error:  # the check itself failed, through no fault of the implementation
        if not (is_failure(error) or isinstance(error, SystemExit)):
            raise
        return result(Outcome.ERROR, f"{type(error).__name__}: {error}", rerun)
    return result(Outcome.ADVICE if advice else Outcome.PASS, advice or "")
