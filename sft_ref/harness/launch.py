"""The first process of foreign code: sets the limits on itself, then becomes the command, or stays above it.

Its text is handed to the submission's interpreter with `-c`, for no file of ours is visible there: standard library only,
Python 3.8 or newer. Arguments: a JSON object, then the command. The object holds `limits` (name of a resource -> bound)
and `report`: null, or the descriptor to which the end of the command is written. In that case a parent stays behind that
adopts every orphan, so that whatever the command leaves running is still found below it, and waits to be killed.
"""

import ctypes
import json
import os
import resource
import signal
import sys

PR_SET_CHILD_SUBREAPER = 36


def limit(limits):
    """Sets each bound, soft and hard, never above the hard one in force."""
    for name, bound in limits.items():
        kind = getattr(resource, name)
        _, hard = resource.getrlimit(kind)
        bound = bound if hard == resource.RLIM_INFINITY else min(bound, hard)
        resource.setrlimit(kind, (bound, bound))


def stay(child, report):
    """Reaps what ends below, and reports the child's exit code (128 + signal where one killed it)."""
    while True:
        try:
            ended, status = os.wait()
        except ChildProcessError:
            signal.pause()
            continue
        if ended == child:
            code = 128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
            os.write(report, json.dumps({"exit-code": code}).encode() + b"\n")


def main():
    """Reads the arguments, and starts the command."""
    plan, command = json.loads(sys.argv[1]), sys.argv[2:]
    report = plan["report"]
    if report is not None:
        os.set_inheritable(report, False)
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        child = os.fork()
        if child:
            stay(child, report)
        os.setsid()
    limit(plan["limits"])
    os.execv(command[0], command)


main()
