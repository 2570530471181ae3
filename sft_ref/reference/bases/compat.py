"""Names that differ between versions of transformers."""

from __future__ import annotations


def dtype_keyword(dtype: object) -> dict[str, object]:
    """Returns the dtype argument of `from_pretrained`: transformers 4.56 renamed ``torch_dtype`` to ``dtype``."""
    import transformers
    from packaging.version import Version

    return {"dtype" if Version(transformers.__version__) >= Version("4.56") else "torch_dtype": dtype}
