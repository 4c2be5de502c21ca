"""How a model says no: in one sentence, wherever fairseq happens to build it."""


class Refusal(SystemExit, ValueError):
    """Ends fairseq's programs with its sentence; ours catch the ValueError that it is too.

    Args:
        sentence: what is wrong, and what to do.
    """

    def __init__(self, sentence: str) -> None:
        super().__init__(f"fairseq_prune: {sentence}")
