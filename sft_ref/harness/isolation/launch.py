"""The first process of foreign code: sets the limits on itself, then becomes the command, or stays above it.

Its text is handed to the submission's interpreter with `-c`, for no file of ours is visible there: Python 3.8 or newer,
and as few imports as can be, since each delays every start. Arguments: a descriptor or `-`, how many limits follow, the
limits (`RLIMIT_CORE=0`), the command. With a descriptor a parent stays behind that writes the end of the command to it
and adopts every orphan, so that whatever the command leaves running is still found below it; it waits to be killed, and
dies with the judge.
"""

import os
import resource
import sys

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36


def limit(name: str, bound: int) -> None:
    """Sets a resource's bound, soft and hard, never above the hard one in force."""
    kind = getattr(resource, name)
    hard = resource.getrlimit(kind)[1]
    bound = bound if hard == resource.RLIM_INFINITY else min(bound, hard)
    resource.setrlimit(kind, (bound, bound))


def stay_above(report: int) -> None:
    """Goes on in a child; the parent reaps what ends below, and reports the child's end as bubblewrap would."""
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
    """Applies the arguments."""
    if report != "-":
        stay_above(int(report))
    for word in rest[: int(count)]:
        name, bound = word.split("=")
        limit(name, int(bound))
    command = rest[int(count) :]
    os.execv(command[0], command)  # noqa: S606  # no shell


if __name__ == "__main__":
    main(*sys.argv[1:])
