"""Precision. Read `policy`; `variations` finds a policy by name, `choice` chooses one, `capability` refuses some."""

from .capability import check_can_compute, check_can_train
from .choice import choose_for_load, choose_policy, default_policy, find_device
from .policy import POLICIES, Policy
from .variations import VARIATIONS, find_policy

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
