"""What protects the reference from foreign files, full disks, signals and global state; its story reads without it."""
