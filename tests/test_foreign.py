"""The boundary around libraries that read foreign files."""

from __future__ import annotations

import json
import warnings

import pytest
from tokenizers import Tokenizer

from sft_ref.errors import AdapterError, BaseModelError
from sft_ref.io.foreign import foreign_files
from sft_ref.reference.bases.find import TOY


@pytest.mark.parametrize(
    ("raised", "said"),
    [
        (ValueError("bad\nmore"), "bad"),
        (KeyError("name"), "KeyError: 'name'"),
        (AttributeError(""), "AttributeError"),
        (ZeroDivisionError("division by zero"), "ZeroDivisionError: division by zero"),
        (RecursionError("too deep"), "too deep"),
        (ValueError("the reason is this:\n  a number\nmore"), "the reason is this: a number"),
    ],
)
def test_whatever_is_raised_is_one_line_with_the_cause(raised: Exception, said: str) -> None:
    with pytest.raises(AdapterError) as error, foreign_files(AdapterError, "x: cannot be loaded", "copy it anew"):
        raise raised
    assert str(error.value) == f"x: cannot be loaded ({said}); copy it anew"
    assert error.value.__cause__ is raised


def test_a_library_in_rust_that_panics_is_one_line() -> None:
    normalizer = {"type": "Precompiled", "precompiled_charsmap": "AAAA"}
    broken = json.loads((TOY / "tokenizer.json").read_text(encoding="utf-8")) | {"normalizer": normalizer}
    refused = pytest.raises(AdapterError, match=r"^x: cannot be loaded \(PanicException: ")
    with refused, foreign_files(AdapterError, "x: cannot be loaded"):
        Tokenizer.from_str(json.dumps(broken))


def test_our_own_errors_and_an_interrupt_pass() -> None:
    with pytest.raises(BaseModelError, match=r"^ours$"), foreign_files(AdapterError, "x"):
        raise BaseModelError("ours")
    with pytest.raises(KeyboardInterrupt), foreign_files(AdapterError, "x"):
        raise KeyboardInterrupt


def test_warnings_are_not_shown() -> None:
    with foreign_files(AdapterError, "x"):
        warnings.warn("of a library", UserWarning, stacklevel=1)
