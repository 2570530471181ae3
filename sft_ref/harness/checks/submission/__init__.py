"""What is checked of a submission from outside: by what passes the libraries' boundaries; a module a stage."""

from . import artifact, generate, load, parse, prompt, score, tokens, train

CHECKS = (
    *prompt.CHECKS,
    *tokens.CHECKS,
    *train.CHECKS,
    *artifact.CHECKS,
    *load.CHECKS,
    *generate.CHECKS,
    *parse.CHECKS,
    *score.CHECKS,
)
