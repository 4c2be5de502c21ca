"""extremes() works on the bits of floats; a slow search of all values has to agree."""

import math

import torch
from hypothesis import given
from hypothesis import strategies as st

from fairseq_prune.maths.extremes import extremes

DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
ODD = [0.0, -0.0, math.inf, -math.inf, math.nan, 1e-45, 65504.0]
VALUES = st.one_of(st.floats(-9, 9, width=16), st.sampled_from(ODD))


def searched(values, mask, fixed):
    sizes = [abs(v) for v in values.double().tolist()]
    taking_part = [i for i in range(len(sizes)) if not fixed[0] <= i < fixed[1]]
    known = [i for i in taking_part if not math.isnan(sizes[i])]
    gone = [sizes[i] for i in known if not mask[i]]
    kept = [sizes[i] for i in known if mask[i] and sizes[i] < math.inf]
    return max(gone, default=None), min(kept, default=None)


@given(st.lists(st.tuples(VALUES, st.booleans()), min_size=1), st.sampled_from(DTYPES), st.data())
def test_extremes_are_those_of_a_search(pairs, dtype, data):
    values = torch.tensor([v for v, _ in pairs], dtype=torch.float64).to(dtype)
    mask = torch.tensor([kept for _, kept in pairs])
    start = data.draw(st.integers(0, len(pairs)))
    fixed = (start, data.draw(st.integers(start, len(pairs))))
    assert extremes(values, mask, fixed) == searched(values, mask.tolist(), fixed)
