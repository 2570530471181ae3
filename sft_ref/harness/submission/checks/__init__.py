"""What is checked of a submission from outside: by what passes the libraries' boundaries."""

from . import answering, learning, loading

CHECKS = (*learning.CHECKS, *loading.CHECKS, *answering.CHECKS)
