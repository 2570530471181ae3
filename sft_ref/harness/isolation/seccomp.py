"""Builds the filter of system calls that bubblewrap passes to the kernel.

Like Flatpak's list it is a deny list: calls that hold memory outside any process, keys, and parts of the kernel that a
fine-tune does not need and that have been used to escape sandboxes. A denied call fails as in a kernel that lacks it,
so that libraries fall back. A call of another architecture kills the process.
"""

from __future__ import annotations

import errno
import functools
import tempfile
from pathlib import Path

MEMORY = (
    *("memfd_create", "memfd_secret", "shmget", "shmat", "shmdt", "shmctl", "msgget", "msgsnd", "msgrcv", "msgctl"),
    *("semget", "semop", "semtimedop", "semctl", "mq_open", "mq_unlink"),
    *("vmsplice", "userfaultfd"),  # a pipe keeps whole pages of what was unmapped
)
KEYS = ("add_key", "request_key", "keyctl")
MOUNTS = (
    *("mount", "umount2", "pivot_root", "chroot", "move_mount", "open_tree", "open_tree_attr", "fsopen"),
    *("fsconfig", "fsmount", "fspick", "mount_setattr", "unshare", "setns", "name_to_handle_at", "open_by_handle_at"),
)
KERNEL = (
    *("io_uring_setup", "io_uring_enter", "io_uring_register", "bpf", "perf_event_open", "ptrace", "fanotify_init"),
    *("kexec_load", "kexec_file_load", "init_module", "finit_module", "delete_module", "reboot", "swapon", "swapoff"),
    *("syslog", "acct", "quotactl", "quotactl_fd", "uselib", "lookup_dcookie", "nfsservctl", "modify_ldt", "iopl"),
    *("ioperm", "vhangup", "settimeofday", "clock_settime", "clock_adjtime", "adjtimex", "sethostname"),
    "setdomainname",
)
NEWER = {
    "io_uring_setup": 425,
    "io_uring_enter": 426,
    "io_uring_register": 427,
    "open_tree": 428,
    "move_mount": 429,
    "fsopen": 430,
    "fsconfig": 431,
    "fsmount": 432,
    "fspick": 433,
    "clone3": 435,
    "mount_setattr": 442,
    "quotactl_fd": 443,
    "memfd_secret": 447,
    "open_tree_attr": 467,
}
"""Numbers of calls whose names older versions of libseccomp lack; they are the same on every architecture."""
KERNEL_SIDE = Path("/proc/sys/kernel/seccomp/actions_avail")
"""This file exists if the kernel supports filters."""
AF_UNIX, AF_INET, AF_INET6, AF_NETLINK = 1, 2, 10, 16
CLONE_NEWUSER = 0x10000000
SOL_SOCKET, SO_SNDBUF, SO_RCVBUF = 1, 7, 8
INT = 0xFFFFFFFF
"""The kernel reads 32 bits of these arguments, and the filter sees 64."""


@functools.cache
def why_not() -> str:
    """Returns a clause that says why no filter can be built on this machine; empty if one can."""
    if not KERNEL_SIDE.exists():
        return "the kernel has no seccomp filters"
    try:
        build()
    except (ImportError, RuntimeError):  # RuntimeError: pyseccomp without the library that it wraps
        return "libseccomp is not installed (apt-get install libseccomp2, pip install pyseccomp)"
    except OSError as error:
        return f"libseccomp cannot create a filter here: {error}"
    return ""


@functools.cache
def build() -> bytes:
    """Builds the filter as a BPF program.

    Raises:
        ImportError: pyseccomp is not installed.
        RuntimeError: libseccomp is not installed.
        OSError: libseccomp cannot build the filter.
    """
    import pyseccomp as libseccomp

    made = libseccomp.SyscallFilter(libseccomp.ALLOW)
    made.set_attr(libseccomp.Attr.ACT_BADARCH, libseccomp.KILL_PROCESS)
    missing = libseccomp.ERRNO(errno.ENOSYS)
    # clone3 too: its flags are in memory, which a filter cannot read; libc falls back to clone
    for name in (*MEMORY, *KEYS, *MOUNTS, *KERNEL, "clone3"):
        number = libseccomp.resolve_syscall(libseccomp.Arch.NATIVE, name)
        number = NEWER.get(name, -1) if number < 0 else number
        if number >= 0:  # else this architecture lacks it
            made.add_rule(missing, number)
    new_user = libseccomp.Arg(0, libseccomp.MASKED_EQ, CLONE_NEWUSER, CLONE_NEWUSER)
    made.add_rule(libseccomp.ERRNO(errno.EPERM), "clone", new_user)
    unknown = libseccomp.ERRNO(errno.EAFNOSUPPORT)
    for family in range(AF_NETLINK):
        if family not in {AF_UNIX, AF_INET, AF_INET6}:
            of_family = libseccomp.Arg(0, libseccomp.MASKED_EQ, INT, family)
            made.add_rule(unknown, "socket", of_family)
    made.add_rule(unknown, "socket", libseccomp.Arg(0, libseccomp.GT, AF_NETLINK))
    for option in (SO_SNDBUF, SO_RCVBUF):  # ignored, as a kernel may do, so that no socket exceeds the default
        of_socket = libseccomp.Arg(1, libseccomp.MASKED_EQ, INT, SOL_SOCKET)
        size = libseccomp.Arg(2, libseccomp.MASKED_EQ, INT, option)
        made.add_rule(libseccomp.ERRNO(0), "setsockopt", of_socket, size)
    with tempfile.TemporaryFile() as file:
        made.export_bpf(file)
        file.seek(0)
        return file.read()
