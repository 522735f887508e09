"""Parts of failures, as `split`, `subgroup` and `except*` make them, keep the listener of each error."""

from __future__ import annotations

import copy
import pickle
import traceback
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from typedbus import Bus, Channel, ChannelFailures, Failure, State, TransitionFailures
from typedbus._channels.codegen import HEAT

placed = Channel[[str], None]("placed")
charged = Channel[[str], None]("charged")
booked = Channel[[str], None]("booked")


def reserve(sku: str, /) -> None:
    raise ValueError(f"no {sku}")


def bank(sku: str, /) -> None:
    raise ConnectionError("the bank does not answer")


def ledger(sku: str, /) -> None:
    raise LookupError("no such account")


def shop() -> tuple[Bus, Callable[[str], None], Callable[[str], None]]:
    """Return a bus on which `pay` publishes to `bank` and `book`, which publishes to `ledger`; `reserve` fails first."""
    bus = Bus()
    bus[placed].subscribe(reserve)

    @bus[placed].subscribe()
    def pay(sku: str, /) -> None:
        bus[charged].publish(sku)

    bus[charged].subscribe(bank)

    @bus[charged].subscribe()
    def book(sku: str, /) -> None:
        bus[booked].publish(sku)

    bus[booked].subscribe(ledger)
    return bus, pay, book


def publish(bus: Bus, channel: Channel[[str], None] = placed) -> ChannelFailures:
    with pytest.raises(ChannelFailures) as caught:
        bus[channel].publish("tea")
    return caught.value


def listeners(group: object) -> list[Callable[..., object]]:
    """Return the listeners of *group*, which must be one of failures."""
    assert isinstance(group, (ChannelFailures, TransitionFailures))
    assert [failure.error for failure in group.failures] == list(group.exceptions)
    return [failure.listener for failure in group.failures]


def notes(error: BaseException) -> list[str]:
    return [note.split(" ")[2].rpartition(".")[2] for note in error.__notes__]


@pytest.mark.parametrize("publishes", [0, HEAT + 1], ids=["cold", "hot"])
def test_a_part_of_a_nested_publish_is_the_failure_of_the_listener_that_published(publishes: int) -> None:
    """Not of the listener that failed before it; the note says so as well."""
    bus, pay, _ = shop()
    for _ in range(publishes):
        publish(bus)

    part = publish(bus).subgroup(ConnectionError)

    assert listeners(part) == [pay]
    assert part is not None
    assert notes(part.exceptions[0]) == ["pay"]
    assert listeners(part.exceptions[0]) == [bank]


def test_a_part_two_publishes_deep_keeps_each_listener_on_the_way() -> None:
    """`pay` published to `book`, which published to `ledger`."""
    bus, pay, book = shop()

    part = publish(bus).subgroup(LookupError)

    assert part is not None
    inner = part.exceptions[0]
    assert isinstance(inner, ChannelFailures)
    assert [listeners(part), listeners(inner), listeners(inner.exceptions[0])] == [[pay], [book], [ledger]]


def test_both_halves_of_a_split_keep_their_listeners() -> None:
    """The matching part and the rest."""
    bus, pay, book = shop()

    matching, rest = publish(bus).split((ValueError, ConnectionError))

    assert matching is not None
    assert rest is not None
    assert listeners(matching) == [reserve, pay]
    assert listeners(matching.exceptions[1]) == [bank]
    assert listeners(rest) == [pay]
    assert listeners(rest.exceptions[0]) == [book]


def test_parts_of_parts_keep_their_listeners() -> None:
    """A group that was split may be split again."""
    bus, pay, book = shop()

    part = publish(bus).subgroup((ConnectionError, LookupError))
    assert part is not None
    part_of_it = part.subgroup(LookupError)

    assert listeners(part_of_it) == [pay]
    assert part_of_it is not None
    assert listeners(part_of_it.exceptions[0]) == [book]


def test_except_star_receives_and_leaves_over_failures_with_their_listeners() -> None:
    """Each clause gets the listeners of its own errors; the rest goes on with its own."""
    bus, pay, book = shop()
    received: list[object] = []

    with pytest.raises(ChannelFailures) as rest:
        try:
            bus[placed].publish("tea")
        except* ConnectionError as some:
            received.extend([listeners(some), listeners(some.exceptions[0])])
        except* ValueError as some:
            received.append(listeners(some))

    assert received == [[pay], [bank], [reserve]]
    assert listeners(rest.value) == [pay]
    assert listeners(rest.value.exceptions[0]) == [book]


def test_an_exception_raised_again_by_a_clause_keeps_its_listeners() -> None:
    """A bare `raise` in an `except*` merges the parts."""
    bus, pay, _ = shop()

    with pytest.raises(ChannelFailures) as caught:
        try:
            bus[placed].publish("tea")
        except* ConnectionError:
            raise
        except* ValueError:
            pass

    assert listeners(caught.value) == [pay]
    assert listeners(caught.value.exceptions[0])[0] is bank


def failing_with(*errors: Exception) -> tuple[ChannelFailures, list[Callable[..., object]]]:
    """Return what a publish raises to listeners of which each raises one of *errors*, and the listeners."""

    def raising(error: Exception) -> Callable[[str], None]:
        def fail(sku: str, /) -> None:
            raise error

        return fail

    bus = Bus()
    made = [raising(error) for error in errors]
    for listener in made:
        bus[placed].subscribe(listener)
    return publish(bus), list(made)


def test_one_exception_that_two_listeners_raise_keeps_both() -> None:
    """There are two failures in the part, in running order."""
    error = ValueError()
    failed, (first, _, third) = failing_with(error, LookupError(), error)

    assert listeners(failed.subgroup(ValueError)) == [first, third]


def test_one_exception_in_two_groups_keeps_both_listeners() -> None:
    """Two listeners that raise groups of their own around one exception."""
    error = ValueError()
    failed, made = failing_with(
        ExceptionGroup("first", [error, LookupError()]), ExceptionGroup("second", [LookupError(), error])
    )

    assert listeners(failed.subgroup(ValueError)) == made
    assert listeners(failed.subgroup(LookupError)) == made


def test_groups_with_the_same_exception_are_distinguished() -> None:
    """A condition may match the group, and not the bare exception or another group of it."""
    error = ValueError()
    group = ExceptionGroup("second", [error])
    failed, (_, second, _) = failing_with(error, group, ExceptionGroup("third", [error]))

    assert listeners(failed.subgroup(lambda one: one is group)) == [second]


def test_inner_groups_with_the_same_exception_are_distinguished() -> None:
    """Two errors have the same exceptions, but only one of them has the group in it."""
    error = ValueError()
    inner = ExceptionGroup("inner", [error])
    failed, (_, second) = failing_with(
        ExceptionGroup("first", [ExceptionGroup("other", [error])]), ExceptionGroup("second", [inner])
    )

    assert listeners(failed.subgroup(lambda one: one is inner)) == [second]


def test_one_group_that_two_listeners_raise_keeps_both() -> None:
    """Each part of it has its own listener."""
    group = ExceptionGroup("both", [ValueError(), LookupError()])
    failed, made = failing_with(group, group)

    assert listeners(failed.subgroup(ValueError)) == made


def test_derive_by_hand_keeps_listeners_in_any_order() -> None:
    """Members and parts of members may be given in another order than theirs."""
    inner = ExceptionGroup("inner", [ValueError(), LookupError()])
    failed, (first, second, third) = failing_with(KeyError(), inner, OSError())
    part = inner.subgroup(ValueError)
    assert part is not None

    derived = failed.derive([failed.exceptions[2], part, failed.exceptions[0]])

    assert listeners(derived) == [third, second, first]


def test_errors_that_replace_members_have_their_listeners() -> None:
    """`derive` of as many new errors as there are members, as code that translates errors does."""
    failed, made = failing_with(KeyError(), OSError(), ValueError())

    derived = failed.derive([RuntimeError(repr(error)) for error in failed.exceptions])

    assert listeners(derived) == made


@pytest.mark.parametrize("copied", [copy.copy, lambda group: pickle.loads(pickle.dumps(group))], ids=["copy", "pickle"])
def test_a_copy_of_a_group_splits_as_the_group_does(copied: Callable[[ChannelFailures], ChannelFailures]) -> None:
    """So does a copy of a part."""
    error = ConnectionError("the bank does not answer")
    inner = ChannelFailures("charged", [Failure("bank", "charged", error, bank)], [])
    whole = ChannelFailures(
        "placed", [Failure("reserve", "placed", ValueError(), reserve), Failure("pay", "placed", inner, ledger)], ["ok"]
    )
    whole.add_note("from the night shift")
    inner.add_note("from the bank")

    part = copied(whole).subgroup(ConnectionError)

    assert isinstance(part, ChannelFailures)
    for one in (part, copied(part)):
        assert listeners(one) == [ledger]
        assert listeners(one.exceptions[0]) == [bank]
        assert one.results == ("ok",)
        assert one.__notes__ == ["from the night shift"]
        assert one.exceptions[0].__notes__ == ["raised by pay on channel 'placed'", "from the bank"]


def test_the_traceback_of_a_part_names_each_listener_on_the_way() -> None:
    """The printed text agrees with `failures`."""
    bus, _, _ = shop()

    part = publish(bus).subgroup(ConnectionError)

    assert part is not None
    text = "".join(traceback.format_exception(part))
    assert "pay on channel 'placed'" in text
    assert f"raised by {__name__}.bank on channel 'charged'" in text
    assert "reserve" not in text


def test_parts_of_a_transition_s_failures_keep_their_listeners() -> None:
    """A listener of `STOP` that publishes, beside one that fails by itself."""
    bus, _, book = shop()
    inner = publish(bus, charged)
    error = OSError()
    failed = TransitionFailures(
        State.STOPPED,
        State.STOPPED,
        [Failure("Shop.disk.stop", "stop", error, reserve), Failure("Shop.till.stop", "stop", inner, ledger)],
    )

    part = failed.subgroup(LookupError)

    assert isinstance(part, TransitionFailures)
    assert [(failure.name, failure.listener) for failure in part.failures] == [("Shop.till.stop", ledger)]
    assert listeners(part.exceptions[0]) == [book]
    assert (part.goal, part.state) == (State.STOPPED, State.STOPPED)


trees: st.SearchStrategy[list[object]] = st.lists(
    st.recursive(st.integers(0, 5), lambda inner: st.lists(inner, min_size=1, max_size=3), max_leaves=6),
    min_size=1,
    max_size=5,
)


def error_of(tree: object, shared: dict[int, Exception] | None) -> Exception:
    """Return an exception for a number, and a group for a list; with *shared*, one exception object for each number."""
    if isinstance(tree, list):
        return ExceptionGroup("", [error_of(one, shared) for one in tree])
    if shared is None or not isinstance(tree, int):
        return ValueError(tree)
    return shared.setdefault(tree, ValueError(tree))


def leaves_of(error: BaseException) -> Sequence[object]:
    if isinstance(error, BaseExceptionGroup):
        return [leaf for member in error.exceptions for leaf in leaves_of(member)]
    return error.args


@pytest.mark.slow
@pytest.mark.parametrize("is_shared", [False, True], ids=["exceptions of their own", "shared exceptions"])
@settings(deadline=None)
@given(trees, st.sets(st.integers(0, 5)))
def test_each_part_has_the_matching_part_of_the_error_of_its_listener(
    is_shared: bool, forest: list[object], wanted: set[int]
) -> None:
    """For every tree of groups, and every choice of exceptions from it."""
    shared: dict[int, Exception] | None = {} if is_shared else None
    failures = [Failure(str(number), "placed", error_of(tree, shared), reserve) for number, tree in enumerate(forest)]
    whole = ChannelFailures("placed", failures, [])

    for part, kept in zip(
        whole.split(lambda error: isinstance(error, ValueError) and error.args[0] in wanted),
        (wanted, set(range(6)) - wanted),
        strict=True,
    ):
        expected = [(failure.name, [leaf for leaf in leaves_of(failure.error) if leaf in kept]) for failure in failures]
        expected = [(name, leaves) for name, leaves in expected if leaves]
        assert isinstance(part, ChannelFailures) or not expected
        if isinstance(part, ChannelFailures):
            assert [(failure.name, list(leaves_of(failure.error))) for failure in part.failures] == expected


def test_find_returns_the_first_exception_of_a_class() -> None:
    """In running order, inside nested groups too; None if there is none."""
    first, second, third = ValueError("first"), KeyError("second"), ValueError("third")
    inner = ExceptionGroup("inner", [second, ExceptionGroup("innermost", [first])])
    failed = ChannelFailures(
        "page_read", [Failure("a", "page_read", inner, print), Failure("b", "page_read", third, print)], []
    )

    assert failed.find(ValueError) is first
    assert failed.find(LookupError) is second
    assert failed.find(ExceptionGroup) is inner
    assert failed.find(OSError) is None


def test_channel_failures_take_a_parameter() -> None:
    """For annotations; at run time the class is the same."""
    failed = ChannelFailures[str]("page_read", [Failure("a", "page_read", ValueError(), print)], ["x"])

    assert type(failed) is ChannelFailures
    assert failed.results == ("x",)
