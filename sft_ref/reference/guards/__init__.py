"""Guards of the reference against foreign files, full disks, signals and global state; not needed to understand it."""
