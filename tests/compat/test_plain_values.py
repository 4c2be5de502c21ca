"""Options spelled as text: the value that eval gives, and nothing run."""

from typing import Any

import pytest
from _fairseq_prune_compat.plain_values import plain_value
from hypothesis import given
from hypothesis import strategies as st

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(VALUES)
def test_what_python_writes_is_read_back(value: Any) -> None:
    assert plain_value(repr(value)) == value


@pytest.mark.parametrize(
    "text",
    [
        "[(512, 3)] * 20",
        "[(128, 3)] * 2 + [(512,3)] * 1",
        "[(512, 10, 5)] + [(512, 3, 2)] * 4",
        "(0.9, 0.98)",
        " -1e-3",
        "{'beam': 5}",
        "5e-4 / 2",
        "True",
    ],
)
def test_what_fairseqs_own_configs_say_is_what_eval_says(text: str) -> None:
    assert plain_value(text) == eval(text.strip())


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')",
        "[c for c in ().__class__.__bases__]",
        "(lambda: 1)()",
        "print",
        "().__class__",
        "{**{}}",
        "f'{1}'",
        "2 ** 99999999",
        "x := 1",
        "",
        "1 +",
        "(" * 500,
        "1 / 0",
    ],
)
def test_anything_else_is_refused_in_a_sentence(text: str) -> None:
    with pytest.raises(ValueError, match="is not a plain value; write numbers"):
        plain_value(text)
