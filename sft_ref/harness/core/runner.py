"""What runs, in which order; every planned check ends in exactly one outcome."""

from __future__ import annotations

import random
import time
from collections.abc import Collection, Iterable, Iterator
from typing import Any

from sft_ref.errors import MachineError, MissingModuleError, SftRefError
from sft_ref.io.foreign import is_failure

from .check import Check, Level, Observed, Outcome, Result, in_order
from .findings import Blocked, Failure, Unavailable

SEED = 0


def plan(checks: Iterable[Check], *, claims_contract: bool, only: Collection[str] = ()) -> tuple[Check, ...]:
    """The checks that bind an implementation, in order.

    Args:
        checks: all that its kind of target has.
        claims_contract: whether checks of the contract bind it, too.
        only: ids of checks, and none else.

    Raises:
        SftRefError: no check is left to run, so that nothing could be concluded.
    """
    binding = tuple(c for c in in_order(checks) if c.level is Level.UNIVERSAL or claims_contract)
    if only and not {each.id for each in binding} & set(only):
        raise SftRefError(
            f"--only {' '.join(only)}: none of these checks applies to this kind of target; `sft-ref checks` lists what"
            " each one is for"
        )
    return tuple(each for each in binding if not only or each.id in only)


def run(
    checks: Iterable[Check],
    context: Any,  # noqa: ANN401  # each kind of target has its own
    *,
    rerun: str = "",
) -> Iterator[Result]:
    """Runs checks in order, and gives each one's result as it is there.

    Args:
        checks: as `plan` gives them.
        context: what its checks are handed: a `Context`, or the `Evidence` of a submission.
        rerun: command that grades the same target again; a result holds it with `--only` and the id of its check.

    Raises:
        MachineError: the machine kept the target from its end.
        MissingModuleError: the target needs a module that is not installed.
    """
    passed: set[str] = set()
    failed: set[str] = set()
    planned = tuple(checks)
    ids = {each.id for each in planned}
    for each in planned:
        began = time.perf_counter()
        blockers = [name for name in each.depends_on if name in ids and name not in passed]
        if blockers:
            named = [name for name in blockers if name in failed] or blockers[:1]
            result = Result(each, Outcome.BLOCKED, 0.0, observed=f"{', '.join(named)} did not pass")
        else:
            result = _run_one(each, context, began, f"{rerun} --only {each.id}" if rerun else "")
        if result.outcome in (Outcome.PASS, Outcome.ADVICE):
            passed.add(each.id)
        if result.outcome is Outcome.FAIL:
            failed.add(each.id)
        yield result


def _run_one(each: Check, context: Any, began: float, rerun: str) -> Result:  # noqa: ANN401
    import torch

    if isinstance(context, Observed):
        context.stage = each.stage
    random.seed(SEED)
    torch.manual_seed(SEED)
    try:
        advice = each.run(context)
    except Failure as failure:
        return Result(
            each,
            Outcome.FAIL,
            time.perf_counter() - began,
            observed=failure.observed,
            expected=failure.expected,
            example=failure.example,
            rerun=rerun,
            survivable=failure.survivable,
        )
    except Blocked as blocked:
        return Result(each, Outcome.BLOCKED, time.perf_counter() - began, observed=str(blocked))
    except Unavailable as lack:
        return Result(each, Outcome.SKIPPED, time.perf_counter() - began, observed=str(lack))
    except (MachineError, MissingModuleError):  # nothing can be graded
        raise
    except BaseException as error:  # the check broke, which is never held against the implementation
        if not (is_failure(error) or isinstance(error, SystemExit)):
            raise
        seen = f"{type(error).__name__}: {error}"
        return Result(each, Outcome.ERROR, time.perf_counter() - began, observed=seen, rerun=rerun)
    return Result(each, Outcome.ADVICE if advice else Outcome.PASS, time.perf_counter() - began, observed=advice or "")
