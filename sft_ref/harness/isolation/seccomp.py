"""The system calls that foreign code may not make, as a filter that bubblewrap hands to the kernel.

Like Flatpak's list it names what is forbidden: all that holds memory which belongs to no process, keys, and parts of
the kernel that a fine-tune has no use for and that have been ways out of sandboxes. A forbidden call fails as in a
kernel that does not have it, so that libraries fall back. A call by another architecture's table kills the process.
"""

from __future__ import annotations

import errno
import functools
import tempfile
from pathlib import Path

MEMFD = ("memfd_create",)
MEMORY = (
    *("memfd_secret", "shmget", "shmat", "shmdt", "shmctl", "msgget", "msgsnd", "msgrcv", "msgctl"),
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
"""Numbers of calls that an older libseccomp does not know by name; they are the same on every architecture."""
KERNEL_SIDE = Path("/proc/sys/kernel/seccomp/actions_avail")
"""Is there where the kernel takes filters."""
AF_UNIX, AF_INET, AF_INET6, AF_NETLINK = 1, 2, 10, 16
CLONE_NEWUSER = 0x10000000
SOL_SOCKET, SO_SNDBUF, SO_RCVBUF = 1, 7, 8
INT = 0xFFFFFFFF
"""The kernel takes these arguments for 32 bits, the filter sees 64."""


@functools.cache
def why_not() -> str:
    """Why no filter can be made on this machine, one clause; empty where it can."""
    if not KERNEL_SIDE.exists():
        return "the kernel has no seccomp filters"
    try:
        build()
    except (ImportError, RuntimeError):  # RuntimeError: pyseccomp without the library that it wraps
        return "libseccomp is not installed (apt-get install libseccomp2, pip install pyseccomp)"
    except OSError as error:
        return f"libseccomp makes no filter here: {error}"
    return ""


@functools.cache
def build(*, allow_memfd: bool = False) -> bytes:
    """The filter as the kernel's own program.

    Args:
        allow_memfd: leaves `memfd_create` out; memory that is held in such files is counted only where it is mapped.

    Raises:
        ImportError: pyseccomp is not installed.
        RuntimeError: libseccomp is not.
        OSError: it cannot make the filter.
    """
    import pyseccomp as libseccomp

    made = libseccomp.SyscallFilter(libseccomp.ALLOW)
    made.set_attr(libseccomp.Attr.ACT_BADARCH, libseccomp.KILL_PROCESS)
    missing = libseccomp.ERRNO(errno.ENOSYS)
    # clone3 too, for its flags lie in memory, where a filter cannot look: libc falls back on clone
    for name in (*MEMORY, *KEYS, *MOUNTS, *KERNEL, "clone3", *(() if allow_memfd else MEMFD)):
        number = libseccomp.resolve_syscall(libseccomp.Arch.NATIVE, name)
        number = NEWER.get(name, -1) if number < 0 else number
        if number >= 0:  # else this architecture does not have it
            made.add_rule(missing, number)
    new_user = libseccomp.Arg(0, libseccomp.MASKED_EQ, CLONE_NEWUSER, CLONE_NEWUSER)
    made.add_rule(libseccomp.ERRNO(errno.EPERM), "clone", new_user)
    unknown = libseccomp.ERRNO(errno.EAFNOSUPPORT)
    for family in range(AF_NETLINK):
        if family not in {AF_UNIX, AF_INET, AF_INET6}:
            of_family = libseccomp.Arg(0, libseccomp.MASKED_EQ, INT, family)
            made.add_rule(unknown, "socket", of_family)
    made.add_rule(unknown, "socket", libseccomp.Arg(0, libseccomp.GT, AF_NETLINK))
    for option in (SO_SNDBUF, SO_RCVBUF):  # ignored, as a kernel may: then each socket holds what is usual at most
        of_socket = libseccomp.Arg(1, libseccomp.MASKED_EQ, INT, SOL_SOCKET)
        size = libseccomp.Arg(2, libseccomp.MASKED_EQ, INT, option)
        made.add_rule(libseccomp.ERRNO(0), "setsockopt", of_socket, size)
    with tempfile.TemporaryFile() as file:
        made.export_bpf(file)
        file.seek(0)
        return file.read()
