"""fairseq criterions with a penalty on weights: NAME_growing and NAME_group_lasso."""


def register() -> None:
    """Give every criterion of fairseq that has a dataclass its penalised forms."""
    from fairseq_prune.criterions.penalised import register_all

    register_all()
