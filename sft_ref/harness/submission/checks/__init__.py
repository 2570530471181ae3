"""What is checked of a submission from outside: by what passes the libraries' boundaries, never by its functions' names."""

from . import answering, learning, loading

CHECKS = (*learning.CHECKS, *loading.CHECKS, *answering.CHECKS)
