import types

import pytest
from _fairseq_prune_compat.overlay import Overlay


@pytest.fixture
def real() -> types.ModuleType:
    module = types.ModuleType("real", "what it is")
    module.__dict__.update(a=1, b=2)
    return module


def test_own_names_come_first_and_the_others_shine_through(real: types.ModuleType) -> None:
    overlay = Overlay(real, a=10)
    assert (overlay.a, overlay.b) == (10, 2)
    assert (overlay.__name__, overlay.__doc__) == ("real", "what it is")


def test_the_module_below_is_not_changed(real: types.ModuleType) -> None:
    overlay = Overlay(real, a=10)
    overlay.c = 3
    assert real.a == 1
    assert not hasattr(real, "c")


def test_later_changes_below_are_seen(real: types.ModuleType) -> None:
    overlay = Overlay(real)
    real.__dict__["b"] = 20
    assert overlay.b == 20


def test_a_name_that_nobody_has_is_an_attribute_error(real: types.ModuleType) -> None:
    with pytest.raises(AttributeError, match="nothing"):
        _ = Overlay(real).nothing
