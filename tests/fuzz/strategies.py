"""Inputs that are nearly right: a valid one with values changed, then bytes damaged; and some that are not at all."""

from __future__ import annotations

import copy
import json
import math
from typing import Any

from hypothesis import strategies as st

Json = Any
DEEP = 5000
"""Levels of nesting that a recursive reader does not stand."""

_KNOWN: st.SearchStrategy[Json] = st.sampled_from([
    *(None, True, False, 0, -1, 1, 2**31, 2**63, -(2**63) - 1, 10**400, 0.5, -0.0, 1e308, math.nan, math.inf),
    *("", " ", "\0", "\ud800", "nan", "1e999", "\u0663", "x" * 5000, "../..", "(a+)+$"),
    *([], {}, [[]], [None], {"": None}),
])  # fmt: skip
_NESTED: st.SearchStrategy[Json] = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
ODD: st.SearchStrategy[Json] = st.one_of(_KNOWN, _KNOWN, _KNOWN, st.integers(), st.text(max_size=20), _NESTED)
"""Values of types and sizes that nobody expects."""
_SIMPLE: dict[type, st.SearchStrategy[Json]] = {
    bool: st.booleans(),
    int: st.integers(-2, 100) | st.sampled_from([2**31, 2**63, -(2**63)]),
    float: st.floats(),
    str: st.text(max_size=20),
}


def places(value: Json, above: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The keys and numbers that lead to each part of a value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [above] + [place for key, each in inner for place in places(each, (*above, key))]


@st.composite
def changed(draw: st.DrawFn, values: list[Json], *, alike: bool = False) -> Json:
    """One of the values with up to three of its parts replaced, removed, doubled or renamed.

    Args:
        draw: as Hypothesis gives it.
        values: to start from.
        alike: replaces only by values of the same type, and renames nothing.
    """
    value = copy.deepcopy(draw(st.sampled_from(values)))
    for _ in range(draw(st.integers(0, 3))):
        place = draw(st.sampled_from(places(value)))
        if not place and not alike:
            value = copy.deepcopy(draw(ODD)) if draw(st.integers(0, 9)) == 0 else value
        if not place:
            continue
        *path, last = place
        holder = value
        for key in path:
            holder = holder[key]
        _change(draw, holder, last, alike=alike)
    return value


def _change(draw: st.DrawFn, holder: Json, last: Any, *, alike: bool) -> None:  # noqa: ANN401
    how = draw(st.sampled_from(["replace", "replace", "replace", "remove", "double", "rename"]))
    if alike and (how == "replace" or isinstance(holder, dict)):
        holder[last] = draw(_like(holder[last]))
    elif how == "replace":
        holder[last] = copy.deepcopy(draw(ODD))  # a later change may go into it
    elif how == "remove":
        del holder[last]
    elif isinstance(holder, list):
        holder.insert(last, copy.deepcopy(holder[last]))
    elif how == "double":
        holder[draw(st.text(max_size=5))] = copy.deepcopy(holder[last])
    else:
        holder[draw(st.text(max_size=5))] = holder.pop(last)


def _like(value: Json) -> st.SearchStrategy[Json]:
    """Values of the same type; of a list or a table, parts of it."""
    if isinstance(value, list):
        return st.integers(0, len(value)).map(lambda end: copy.deepcopy(value[:end]))
    if isinstance(value, dict):
        return (
            st.sets(st.sampled_from(sorted(value))).map(
                lambda names: {name: copy.deepcopy(value[name]) for name in sorted(names)}
            )
            if value
            else st.just({})
        )
    return _SIMPLE.get(type(value), st.none())


@st.composite
def damaged(draw: st.DrawFn, whole: bytes) -> bytes:
    """Bytes that are left whole, cut short, or have one part replaced, doubled or put in."""
    start, length = draw(st.integers(0, len(whole))), draw(st.integers(0, 8))
    how = draw(st.sampled_from(["whole", "whole", "cut", "replace", "double", "insert"]))
    if how == "cut":
        return whole[:start]
    if how == "double":
        return whole[: start + length] + whole[start:]
    if how == "whole":
        return whole
    added = draw(st.binary(max_size=8))
    return whole[:start] + added + whole[start + (length if how == "replace" else 0) :]


@st.composite
def documents(draw: st.DrawFn, values: list[Json]) -> bytes:
    """The bytes of a JSON file: mostly of a value that is nearly right."""
    how = draw(st.sampled_from([*["changed"] * 6, *["damaged"] * 3, "bytes", "deep", "text", "long"]))
    if how == "bytes":
        return draw(st.binary(max_size=200))
    if how == "deep":
        return draw(st.sampled_from([b"[", b'{"a":', b"[[1,2],"])) * DEEP
    if how == "text":
        return draw(st.text(max_size=50)).encode(draw(st.sampled_from(["utf-8-sig", "utf-16"])), "surrogatepass")
    if how == "long":
        return b"9" * draw(st.integers(4000, 6000))
    value = draw(changed(values))
    escaped = draw(st.booleans())
    data = json.dumps(value, ensure_ascii=escaped).encode("utf-8", "surrogatepass")
    return draw(damaged(data)) if how == "damaged" else data
