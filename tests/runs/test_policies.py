"""When a policy calls a run again, and which policies are refused."""

from collections.abc import Callable
from typing import Any

import pytest

from typedbus import Restart, RestartPolicyError
from typedbus._bus.runs.window import Window


def roll(*numbers: float) -> Callable[[], float]:
    """Return a function that returns *numbers*, one at each call."""
    return iter(numbers).__next__


def test_pauses_double_up_to_the_longest() -> None:
    """The next failure within the window ends the run."""
    window = Window(Restart(most=4, first=1.0, longest=5.0, jitter=0), roll(0, 0, 0, 0))

    delays = [window.failed(now, OSError()) for now in (0.0, 1.0, 3.0, 7.0, 12.0)]

    assert delays == [1.0, 2.0, 4.0, 5.0, None]


def test_a_failure_that_has_left_the_window_does_not_count() -> None:
    """With failures every 100 s and a window of 50 s, each failure is the first, with the first pause."""
    window = Window(Restart(most=1, within=50.0, first=1.0, jitter=0), lambda: 0)

    assert [window.failed(100.0 * number, OSError()) for number in range(20)] == [1.0] * 20
    assert len(window.errors) == 1


def test_jitter_makes_a_pause_longer_by_at_most_its_part() -> None:
    """The random numbers 0 and 1 add nothing and the whole part."""
    window = Window(Restart(most=3, first=4.0, jitter=0.5), roll(0, 1))

    assert window.failed(0.0, OSError()) == 4.0
    assert window.failed(0.0, OSError()) == 8.0 * 1.5


def test_a_fatal_error_ends_the_run_at_once() -> None:
    """An error of a subclass is fatal as well."""
    window = Window(Restart(fatal=(OSError,)), lambda: 0)

    assert window.failed(0.0, PermissionError()) is None


def test_never_allows_no_restart() -> None:
    """The window records the failure."""
    window = Window(Restart("never"), lambda: 0)

    assert window.failed(0.0, error := OSError()) is None
    assert window.errors == (error,)


def test_a_limit_that_can_never_be_reached_is_refused() -> None:
    """Its pauses alone take longer than the window."""
    with pytest.raises(RestartPolicyError) as refused:
        Restart(most=10)

    assert str(refused.value) == (
        "this restart policy cannot work: 10 restarts take up to 81.9 s of back-off alone, so that they never fall "
        "within 60 s; increase within, or reduce most, first, longest or jitter"
    )


def test_a_single_restart_may_take_too_long_as_well() -> None:
    """The text of the error is in the singular."""
    with pytest.raises(RestartPolicyError, match=r"1 restart takes up to 10\.0 s of back-off alone"):
        Restart(most=1, first=8.0, within=10.0)


def test_a_policy_that_never_restarts_has_no_limit_to_reach() -> None:
    """Pauses that are longer than the window are accepted."""
    assert Restart("never", most=10).most == 10


def test_a_limit_of_very_many_restarts_is_checked_without_an_overflow() -> None:
    """Doubling a pause 2,000 times would overflow a float."""
    assert Restart(most=2_000, within=1e9, longest=1e5).pause(1_999) == 1e5


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"when": "sometimes"}, "when='sometimes' is not one of 'failure', 'always', 'never'"),
        ({"then": "restart"}, "then='restart' is not one of 'exit', 'unready'"),
        ({"most": 0}, "most=0 is not a whole number from 1 up; "),
        ({"most": True}, "most=True is not a whole number from 1 up; "),
        ({"most": 2.5}, "most=2.5 is not a whole number from 1 up; "),
        ({"within": 0}, "within=0 is not a number of seconds above 0"),
        ({"within": float("inf")}, "within=inf is not a number of seconds above 0"),
        ({"first": -1.0}, "first=-1.0 is not a number of seconds above 0"),
        ({"longest": "10"}, "longest='10' is not a number of seconds above 0"),
        ({"silent": 0.0}, "silent=0.0 is not a number of seconds above 0"),
        ({"jitter": -0.1}, "jitter=-0.1 is not a number from 0 up; "),
        ({"most": 10**400, "within": 1e300}, "restarts take up to inf s of back-off alone"),
        ({"within": 10**400}, "is not a number of seconds above 0"),
        ({"jitter": 10**400}, "is not a number from 0 up; "),
        ({"first": 20.0}, "first=20 is longer than longest=10; "),
        ({"fatal": OSError}, "fatal=<class 'OSError'> is not a tuple; "),
        (
            {"fatal": (KeyboardInterrupt,)},
            "fatal has <class 'KeyboardInterrupt'>, which is not a subclass of Exception",
        ),
        ({"fatal": (OSError(),)}, "fatal has OSError(), which is not a subclass of Exception"),
    ],
)
def test_a_wrong_argument_is_refused(arguments: dict[str, Any], problem: str) -> None:
    """The text of the error has the argument, its value, and the permitted values."""
    with pytest.raises(RestartPolicyError) as refused:
        Restart(**arguments)

    assert problem in refused.value.reason
