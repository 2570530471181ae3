"""Precision policies. `policy` defines them; `choice` finds or chooses one, and refuses those that cannot run."""

from .choice import (
    VARIATIONS,
    check_can_compute,
    check_can_train,
    choose_for_load,
    choose_policy,
    default_policy,
    find_device,
    find_policy,
)
from .policy import POLICIES, Policy

__all__ = [
    "POLICIES",
    "VARIATIONS",
    "Policy",
    "check_can_compute",
    "check_can_train",
    "choose_for_load",
    "choose_policy",
    "default_policy",
    "find_device",
    "find_policy",
]
