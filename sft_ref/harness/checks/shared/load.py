"""Shared checks of loading."""

from __future__ import annotations

from sft_ref.harness.core.check import check
from sft_ref.harness.core.findings import Failure
from sft_ref.harness.evidence.views import FolderDigests


@check(
    "LOD-001",
    "Loading and testing leave the adapter folder unchanged",
    why="A load that finds no adapter, and saves an untrained one in its place, destroys the training.",
    remedy="Let load only read, and raise an error if the adapter is missing.",
    depends_on=("ART-001", "ART-101"),
    source="S1; course submission",
    aliases=("LOD-104",),
)
def folder_is_only_read(folder_digests: FolderDigests) -> None:
    """LOD-001: the files' digests before and after."""
    before, after = folder_digests.before, folder_digests.after
    for name in sorted(before.keys() | after.keys()):
        if before.get(name) != after.get(name):
            what = "was changed" if name in before and name in after else "appeared" if name in after else "is gone"
            raise Failure(f"a file {what}", "unchanged files", name)
