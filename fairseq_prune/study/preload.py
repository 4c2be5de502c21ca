"""What the points of a study import, once for all of them: torch and fairseq take two seconds.

Nothing is registered here: a dense model is trained by stock fairseq.
"""

import gc
import importlib
import logging

import fairseq_prune  # noqa: F401  (first: it registers where it finds fairseq imported)

logging.disable(logging.INFO)  # what fairseq's modules lack is no news to who runs a study
for _name in (
    # of fairseq-train, whose own module sets up logging
    "fairseq.options", "fairseq.trainer", "fairseq.model_parallel.megatron_trainer",
    "fairseq.sequence_generator", "fairseq.quantization_utils",
    "torch._dynamo",  # of every optimizer
    # of the commands that make points, and of what scores them
    "fairseq_prune.tasks.any_task", "fairseq_prune.criterions.penalised",
    "fairseq_prune.cli.apply", "fairseq_prune.cli.control", "fairseq_prune.cli.sensitivity",
    "fairseq_prune.cli.shrink", "fairseq_prune.evaluation.decode",
    "fairseq_prune.evaluation.classify", "fairseq_prune.sensitivity.measure",
):  # fmt: skip
    importlib.import_module(_name)

# hydra finds its plugins, and its parser learns the grammar, with the first settings
_options, _settings = map(importlib.import_module, ("fairseq.options", "fairseq.dataclass.utils"))
_words = _options.parse_args_and_arch(_options.get_training_parser(), ["data", "--arch", "lstm"])
_settings.convert_namespace_to_omegaconf(_words)

logging.disable(logging.NOTSET)
gc.collect()
gc.freeze()  # what is here is never garbage: forks need not copy it to find out
