import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairseq_prune.maths.schedule import SCHEDULES, Exchange, Gradual, OneShot, Threshold


def test_one_shot_acts_once():
    schedule = OneShot(0.8, start=3)
    assert [step for step in range(10) if schedule.due(step)] == [3]
    assert [schedule.sparsity(step) for step in (0, 2, 3, 9)] == [0.0, 0.0, 0.8, 0.8]
    assert schedule.last == 3
    assert OneShot(sparsity=0.5) == OneShot(0.5, 0)


def test_gradual_acts_at_its_steps_and_at_the_end():
    schedule = Gradual(0.8, start=2, end=10, every=3)
    assert [step for step in range(20) if schedule.due(step)] == [2, 5, 8, 10]
    assert schedule.last == 10


def test_gradual_follows_the_cubic_of_the_paper():
    schedule = Gradual(0.8, start=0, end=4, every=1, initial=0.4)
    # left = 1, 3/4, 1/2, 1/4, 0: sparsity = 0.8 - 0.4 left^3
    expected = [0.4, 0.63125, 0.75, 0.79375, 0.8]
    assert [schedule.sparsity(step) for step in range(5)] == pytest.approx(expected)


def test_the_linear_curve_is_straight():
    schedule = Gradual(0.8, start=2, end=6, every=1, initial=0.4, curve="linear")
    assert [schedule.sparsity(step) for step in range(2, 7)] == pytest.approx(
        [0.4, 0.5, 0.6, 0.7, 0.8]
    )


def test_the_exponential_curve_removes_the_same_share_of_what_is_left():
    schedule = Gradual(1 - 0.5**4, start=0, end=4, every=1, curve="exponential")
    assert [1 - schedule.sparsity(step) for step in range(5)] == pytest.approx(
        [1.0, 0.5, 0.25, 0.125, 0.0625]
    )


@settings(deadline=None)
@given(
    st.floats(0, 0.999),
    st.floats(0, 0.999),
    st.integers(0, 50),
    st.integers(1, 99),
    st.integers(1, 40),
    st.sampled_from(["cubic", "linear", "exponential"]),
)
def test_gradual_never_falls_and_ends_exactly_at_its_goal(one, other, start, length, every, curve):
    initial, final = sorted((one, other))
    schedule = Gradual(final, start, start + length, every, initial, curve)
    values = [schedule.sparsity(step) for step in range(start + length + 5)]
    assert values[: start + 1] == [initial] * (start + 1)
    assert values[start + length :] == [final] * 5
    assert all(a <= b + 1e-15 for a, b in zip(values, values[1:], strict=False))
    assert schedule.due(schedule.last) and not schedule.due(schedule.last + 1)


@pytest.mark.parametrize("sparsity", [-0.1, 1.0, float("nan")])
def test_a_sparsity_outside_of_its_range_is_refused(sparsity):
    for build in (OneShot, lambda s: Gradual(s, 0, 5, 1)):
        with pytest.raises(ValueError, match=r"^`sparsity` must be in \[0, 1\), but is "):
            build(sparsity)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0.5, -1, 5, 1), "`start` must be at least 0, but is -1."),
        ((0.5, 5, 5, 1), "`end` must be after `start` (5), but is 5."),
        ((0.5, 0, 5, 0), "`every` must be at least 1, but is 0."),
        ((0.5, 0, 5, 1, 0.6), "`initial` must be at most the final sparsity 0.5, but is 0.6."),
        ((0.5, 0, 5, 1, -0.6), "`initial` must be in [0, 1), but is -0.6."),
    ],
)
def test_a_gradual_schedule_that_makes_no_sense_is_refused(arguments, message):
    with pytest.raises(ValueError) as error:
        Gradual(*arguments)
    assert str(error.value) == message


def test_schedules_cannot_be_changed():
    with pytest.raises(AttributeError):
        OneShot(0.5).start = 4
    assert {OneShot(0.5), OneShot(0.5), Gradual(0.5, 0, 5, 1)} == {
        OneShot(0.5),
        Gradual(0.5, 0, 5, 1),
    }


def test_the_registry_builds_by_flag():
    assert SCHEDULES["gradual-threshold"].build(0.5, 2, 8, 2, 4) == Threshold(0.5, 2, 8, 2, 4)
    assert SCHEDULES["static"].build(0.5, 0) == OneShot(0.5)
    assert SCHEDULES["set"].build(0.5, 2, 8, 2, 0.3) == Exchange(0.5, 2, 8, 2, 0.3, "random")
    assert SCHEDULES["rigl"].build(0.5, 2, 8, 2, 0.3) == Exchange(0.5, 2, 8, 2, 0.3, "gradient")
    for curve in ("linear", "exponential"):
        built = SCHEDULES[f"gradual-{curve}"].build(0.5, 2, 8, 2)
        assert built == Gradual(0.5, 2, 8, 2, curve=curve)
    assert SCHEDULES["one-shot"].build(0.5, 2) == OneShot(0.5, 2)
    assert SCHEDULES["gradual"].build(0.5, 2, 8, 2) == Gradual(0.5, 2, 8, 2)
    assert all(entry.summary and entry.paper for entry in SCHEDULES.values())


def test_a_threshold_rises_by_two_slopes_whose_sum_is_one() -> None:
    """Narang et al. (2017): q = theta (ramp - start) + 1.5 theta (end - ramp)."""
    schedule = Threshold(0.9, 100, 500, 50, 200)
    theta = 1 / (100 + 1.5 * 300)
    assert schedule.level(100) == 0.0 and schedule.level(0) == 0.0
    assert schedule.level(150) == pytest.approx(50 * theta)
    assert schedule.level(200) == pytest.approx(100 * theta)
    assert schedule.level(300) == pytest.approx((100 + 150) * theta)
    assert schedule.level(500) == schedule.level(900) == 1.0
    assert [s for s in range(90, 520) if schedule.due(s)] == list(range(100, 501, 50))


@pytest.mark.parametrize("ramp", [0, 501])
def test_a_ramp_outside_is_refused(ramp: int) -> None:
    with pytest.raises(ValueError, match=f"`ramp` must lie between 100 and 500, but is {ramp}."):
        Threshold(0.9, 100, 500, 50, ramp)


def test_an_exchange_falls_along_a_cosine_and_ends_before_it_is_zero() -> None:
    schedule = Exchange(0.8, 0, 400, 100, 0.3)
    assert [schedule.fraction(s) for s in (0, 200, 400)] == pytest.approx([0.3, 0.15, 0.0])
    assert [s for s in range(600) if schedule.due(s)] == [0, 100, 200, 300]
    assert schedule.last == 300 and Exchange(0.8, 7, 400, 100, 0.3).last == 307
    assert {schedule.sparsity(s) for s in range(600)} == {0.8}
