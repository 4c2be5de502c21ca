"""What changes torch for the whole process while a model is looked at."""

import pytest
import torch

from fairseq_prune.network.probing import plain_kernels


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_kernels_come_back_in_whatever_order_two_leave(order: tuple[int, int]) -> None:
    flags = torch.backends.mkldnn, torch.backends.cudnn
    before = [flag.enabled for flag in flags]
    both = plain_kernels(), plain_kernels()  # of two ranks in two threads, say
    for one in both:
        one.__enter__()
    for number in order:
        assert not any(flag.enabled for flag in flags)
        both[number].__exit__(None, None, None)
    assert [flag.enabled for flag in flags] == before == [True, True]


def test_kernels_come_back_after_an_error() -> None:
    with pytest.raises(ValueError, match="on the way"), plain_kernels():
        raise ValueError("on the way")
    assert torch.backends.mkldnn.enabled
