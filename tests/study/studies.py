"""Studies made by hand, for the tests of this room."""

from pathlib import Path

CONFIG = """\
model:
  arch: lstm
  encoder-embed-dim: 16
  encoder-hidden-size: 16
  encoder-layers: 1
  decoder-embed-dim: 16
  decoder-hidden-size: 16
  decoder-layers: 1
  decoder-out-embed-dim: 16
  dropout: 0.1
  optimizer: adam
  clip-norm: 1
  criterion: label_smoothed_cross_entropy
  label-smoothing: 0.1
  max-tokens: 200
  num-workers: 0
dense:
  lr: 0.01
  max-update: {dense}
retrain:
  lr: 0.005
  max-update: {retrain}
"""
STUDY = """\
title: A study of the tests
data:
  toy:
    bin: {data}
models:
  m: {config}
seeds: {seeds}
grid:
{grid}
evaluate:
  beam: 1
  max-len-b: 10
"""
GRID = """\
  - stages: [pruned, retrained]
    schemes: class-blind
    sparsities: 0.5
"""


def write_study(
    folder: Path, grid: str = GRID, data: str = "bin", seeds: str = "1", dense: int = 6
) -> Path:
    """A study file in ``folder``, beside the configuration of its model."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.yaml").write_text(CONFIG.format(dense=dense, retrain=3))
    path = folder / "study.yaml"
    path.write_text(STUDY.format(data=data, config="config.yaml", seeds=seeds, grid=grid))
    return path
