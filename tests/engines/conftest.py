"""The cache of exported models is the test's own."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One for all tests, since an export takes seconds."""
    folder = tmp_path_factory.mktemp("cache")
    pytest.MonkeyPatch().setenv("SFT_REF_CACHE", str(folder))
    return folder
