"""fairseq 0.12.2, unmodified, on today's Python, torch and numpy.

Installed as the top-level package ``_fairseq_prune_compat``: a ``--user-dir`` must find
``fairseq_prune`` not yet imported, so the code that runs before fairseq lives outside of it.

``startup.py`` becomes one line in site-packages (``fairseq_prune_compat.pth``). It puts a finder
on ``sys.meta_path`` that stays silent until a program imports fairseq, hydra, antlr4 or pytest;
then ``hook.py`` applies the patches around that import. Nothing on disk is changed.

FAIRSEQ_PRUNE_COMPAT=0              switches everything off
FAIRSEQ_PRUNE_COMPAT_SKIP=a,b       leaves out single patches (the names in ``hook.PATCHES``)
FAIRSEQ_PRUNE_TRUST_CHECKPOINTS=1   loads checkpoints that hold classes outside ``safe_types``
"""
