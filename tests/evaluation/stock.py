"""fairseq's own programs in this process, which is faster than in one of their own each."""

import importlib
import io
import logging
from contextlib import redirect_stdout
from typing import Any

PARSERS = {
    "validate": "get_validation_parser",
    "generate": "get_generation_parser",
    "eval_lm": "get_eval_lm_parser",
}


def here(program: str, *flags: Any) -> str:
    """What ``fairseq_cli.PROGRAM`` prints and logs with these flags."""
    from fairseq import options
    from fairseq.dataclass.utils import convert_namespace_to_omegaconf
    from fairseq.logging import metrics

    metrics.reset()
    main = importlib.import_module(f"fairseq_cli.{program}").main
    parser = getattr(options, PARSERS[program])
    words = [str(flag) for flag in flags]
    cfg = convert_namespace_to_omegaconf(options.parse_args_and_arch(parser(), input_args=words))
    more: dict[str, Any] = {}
    if program == "validate":  # as its command line does
        more["override_args"] = options.parse_args_and_arch(
            parser(), input_args=words, suppress_defaults=True
        )
    root, out = logging.getLogger(), io.StringIO()
    before = root.level, root.handlers
    try:
        with redirect_stdout(out):
            root.handlers = [logging.StreamHandler(out)]
            root.setLevel(logging.INFO)
            main(cfg, **more)
    finally:
        root.level, root.handlers = before
    return out.getvalue()
