"""How what `load` gives is asked: by its own `answer`, or by what it and its module have to make one of."""

import contextlib


class Answerer:
    """One way to ask, whatever the form.

    Args:
        owner: what `load` gave: an object with methods, a function, or a tuple that the module's functions take.
        modules: the submission's, for functions that the owner lacks.
    """

    def __init__(self, owner, modules):
        self.owner, self.modules = owner, modules

    @property
    def parts(self):
        """What the module's own functions take before the prompts."""
        return self.owner if isinstance(self.owner, tuple) else (self.owner,)

    def answer(self, *questions):
        """Questions to numbers, the whole way."""
        if hasattr(self.owner, "answer"):
            return self.owner.answer(*questions)
        for name in ("answer", "ask", "predict"):
            function = self._of_modules(name)
            if function is not None:
                return [function(*self.parts, question) for question in questions]
        prompt, parse = self.find("format_prompt"), self.find("parse_answer")
        texts = self.complete([prompt(question) if prompt else question for question in questions])
        return [parse(text) if parse else float(text) for text in texts]

    def complete(self, prompts):
        """Prompts to texts."""
        for name, many in (
            ("batched_generate", True),
            ("generate_batch", True),
            ("generate", False),
            ("complete", False),
        ):
            method = getattr(self.owner, name, None)
            if method is not None and not hasattr(self.owner, "generation_config"):  # a bare model generates ids
                return method(prompts) if many else [method(prompt) for prompt in prompts]
            function = self._of_modules(name)
            if function is not None:
                return function(*self.parts, prompts) if many else [function(*self.parts, each) for each in prompts]
        if callable(self.owner) and not hasattr(self.owner, "parameters"):
            return [self.owner(prompt) for prompt in prompts]
        raise AttributeError("what load gives has no answer, batched_generate or generate, nor has its module")

    def find(self, name):
        """A function of the owner, or else of its module."""
        return getattr(self.owner, name, None) or self._of_modules(name)

    def _of_modules(self, name):
        return next((getattr(module, name) for module in self.modules if callable(getattr(module, name, None))), None)

    @contextlib.contextmanager
    def record_parser(self):
        """Within it, each text that reaches the parser is added to a list, with the number that the parser gives."""
        texts = []

        def record(parse):
            def parse_and_record(text, *args, **kwargs):
                try:
                    value = parse(text, *args, **kwargs)
                except Exception as error:
                    texts.append([str(text), f"crash: {type(error).__name__}"])
                    raise
                texts.append([str(text), to_number(value)])
                return value

            return parse_and_record

        places = [self.owner] if hasattr(self.owner, "parse_answer") else self.modules
        held = [place for place in places if hasattr(place, "parse_answer")]
        before = [place.__dict__.get("parse_answer") for place in held if hasattr(place, "__dict__")]
        for place in held:
            with contextlib.suppress(AttributeError):
                place.parse_answer = record(place.parse_answer)
        try:
            yield texts
        finally:
            for place, own in zip(held, before):
                with contextlib.suppress(AttributeError):
                    if own is None:
                        del place.parse_answer
                    else:
                        place.parse_answer = own


def to_number(value):
    """An answer as a number; what is none in words."""
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return repr(value)[:100]
