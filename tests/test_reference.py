"""docs/python/reference.md is what the docstrings say, and they say enough."""

import inspect
import re
from typing import Any

import pytest

import fairseq_prune
from scripts import reference

# nothing to give, or nothing to go wrong
SILENT = ("register", "Audit.as_dict", "Hold.remove", "Translator.close")


def functions() -> dict[str, Any]:
    """What can be called, by its name on the page."""
    found = {}
    for name in fairseq_prune.__all__:
        public = getattr(fairseq_prune, name)
        if not isinstance(public, type):
            found[name] = public
            continue
        for member, value in reference.members(public):
            if not isinstance(value, property):
                found[f"{name}.{member}"] = getattr(value, "__func__", value)
    return found


def test_the_page_is_that_of_the_docstrings() -> None:
    """Made anew by ``python -m scripts.reference``."""
    assert reference.PAGE.read_text(encoding="utf-8") == reference.page()


def test_every_public_name_has_its_part() -> None:
    titles = re.findall(r"^##+ (.*)$", reference.page(), flags=re.M)
    assert {*titles} == {*fairseq_prune.__all__, *functions()}
    assert len(titles) == len({*titles})


@pytest.mark.parametrize("name", functions())
def test_arguments_results_and_errors_are_told(name: str) -> None:
    function = functions()[name]
    text = inspect.cleandoc(function.__doc__)
    _, _, told = text.partition("Args:\n")
    items = re.findall(r"^    ([\w, ]+): ", told, flags=re.M)
    arguments = [n for n in inspect.signature(function).parameters if n not in ("self", "cls")]
    assert [word for item in items for word in item.split(", ")] == arguments
    counts = name.startswith("Masks.") and name != "Masks.unpack"
    assert "Raises ValueError" in text or name in SILENT or counts
    assert inspect.signature(function).return_annotation is not inspect.Signature.empty


@pytest.mark.parametrize("name", [n for n in fairseq_prune.__all__ if reference.is_class(n)])
def test_every_property_is_told_with_its_type(name: str) -> None:
    public = getattr(fairseq_prune, name)
    part = re.search(rf"^## {name}$.*?(?=^## |\Z)", reference.page(), flags=re.S | re.M)
    assert part is not None
    for member, value in reference.members(public):
        if isinstance(value, property):
            assert re.search(rf"^- `{member}`: `.+`\. .+$", part[0], flags=re.M), member
