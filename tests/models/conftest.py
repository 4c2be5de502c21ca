"""The tiny AG News of these tests, and a dense classifier of it."""

from pathlib import Path

import pytest

from tests.models import news


@pytest.fixture(scope="session")
def news_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The binarised folder."""
    folder = tmp_path_factory.mktemp("news")
    news.write_rows(folder / "train.csv", 200, seed=1)
    news.write_rows(folder / "test.csv", 60, seed=2)
    news.binarise(folder, "--valid-share", 0.2)
    return folder / "data"


@pytest.fixture(scope="session")
def dense_classifier(news_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained checkpoint."""
    folder = tmp_path_factory.mktemp("dense")
    news.train(news_data, folder, "--max-epoch", 6)
    return folder / "checkpoint_last.pt"
