"""Runs as the first process of untrusted code: sets limits on itself, then becomes the command, or its parent.

The submission's interpreter gets this source with `-c`, because no file of this package is visible to it. It runs on
Python 3.8 and newer, and imports little, because every import delays every start. Arguments: a descriptor or `-`, the
number of limits, the limits (`RLIMIT_CORE=0`), the command. With a descriptor, a parent process remains that reports
the exit code to it and adopts every orphan, so that all processes of the command stay below it; it waits to be killed,
and dies with the judge process.
"""

import os
import resource
import sys

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36


def limit(name: str, bound: int) -> None:
    """Sets the soft and hard limit of a resource, never above the current hard limit."""
    kind = getattr(resource, name)
    hard = resource.getrlimit(kind)[1]
    bound = bound if hard == resource.RLIM_INFINITY else min(bound, hard)
    resource.setrlimit(kind, (bound, bound))


def stay_above(report: int) -> None:
    """Continues in a child; the parent reaps orphans, and reports the exit code in bubblewrap's format."""
    import ctypes
    import signal

    os.set_inheritable(report, False)  # noqa: FBT003
    prctl = ctypes.CDLL(None).prctl
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    child = os.fork()
    if not child:
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        os.setsid()
        return
    while True:
        try:
            ended, status = os.wait()
        except ChildProcessError:
            signal.pause()
            continue
        if ended == child:
            code = 128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
            os.write(report, b'{"exit-code": %d}\n' % code)


def main(report: str, count: str, *rest: str) -> None:
    """Applies the limits and runs the command."""
    if report != "-":
        stay_above(int(report))
    for word in rest[: int(count)]:
        name, bound = word.split("=")
        limit(name, int(bound))
    command = rest[int(count) :]
    os.execv(command[0], command)  # noqa: S606  # no shell


if __name__ == "__main__":
    main(*sys.argv[1:])
