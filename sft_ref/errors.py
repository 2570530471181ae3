"""Errors that a user can cause or fix, as one hierarchy. Each message names the thing, its place and the next step."""


class SftRefError(Exception):
    """Base of all errors raised on purpose; the command line prints the message in one line and exits with 2."""


class DataError(SftRefError):
    """A row of questions and answers cannot be used."""


class BaseModelError(SftRefError):
    """A base model is unknown, or not available on this machine."""


class AdapterError(SftRefError):
    """An adapter folder is missing, damaged, unsafe to read, or belongs to another base."""


class EvidenceError(SftRefError):
    """A file of saved evidence cannot be read, is damaged, or was written by another version."""


class OutputError(SftRefError):
    """A result cannot be written to the requested path."""


class PrecisionError(SftRefError):
    """A precision setting is unknown, contradicts itself, or cannot run on this device."""


class PrecisionMismatchError(PrecisionError):
    """An adapter is about to be loaded in another precision than the one it was trained in."""


class TrainingError(SftRefError):
    """Training cannot lead to a usable adapter."""


class SubmissionError(SftRefError):
    """A submission is missing, cannot be read, or is unsafe to unpack."""


class MissingModuleError(SubmissionError):
    """A submission needs a module that is neither its own nor installed."""


class MachineError(SftRefError):
    """The machine had too little processor time or memory to finish a grading; the target is not at fault."""


class SandboxError(SftRefError):
    """Foreign code cannot be run as requested: the interpreter, a folder or a limit is unusable."""


class ClusterError(SftRefError):
    """A Ray cluster cannot be reached, or a node of it cannot be used."""


class EngineError(SftRefError):
    """An engine is not installed, or cannot answer as requested."""
