from __future__ import annotations

from random import Random

from sbs.testing.simclock import Clock, Connection, Faults, Network


def network(**faults: float) -> tuple[Clock, Network]:
    clock = Clock()
    return clock, Network(clock, Random(1), Faults(**faults))  # type: ignore[arg-type]


def test_actions_run_at_their_times_and_equal_times_in_order() -> None:
    clock, ran = Clock(), list[tuple[float, str]]()
    for time, name in ((2.0, "c"), (1.0, "a"), (1.0, "b"), (9.0, "later")):
        clock.at(time, lambda name=name: ran.append((clock.now, name)))  # type: ignore[misc]
    clock.run_until(3.0)
    assert ran == [(1.0, "a"), (1.0, "b"), (2.0, "c")]
    assert clock.now == 3.0
    clock.at(0.5, lambda: ran.append((clock.now, "at once")))
    clock.run_until(3.0)
    assert ran[-1] == (3.0, "at once")


def test_a_lost_packet_arrives_late_not_never() -> None:
    clock, net = network(loss=0.5)
    arrived: list[float] = []
    for _ in range(20):
        net.send(0, lambda: arrived.append(clock.now))
    clock.run_until(1e12)
    assert len(arrived) == 20
    assert max(arrived) > net.faults.retransmit_s


def test_a_cut_direction_holds_packets_until_it_is_healed() -> None:
    clock, net = network()
    arrived: list[int] = []
    net.cut(0)
    net.send(0, lambda: arrived.append(0))
    net.send(1, lambda: arrived.append(1))
    clock.run_until(10.0)
    assert arrived == [1]
    net.heal()
    clock.run_until(20.0)
    assert arrived == [1, 0]


def test_a_connection_keeps_the_order_of_what_is_sent() -> None:
    clock, net = network(loss=0.5)
    connection, arrived = Connection(1, net, clock), list[int]()
    for number in range(50):
        connection.send(0, lambda number=number: arrived.append(number))  # type: ignore[misc]
    connection.close(0, lambda: arrived.append(-1))
    connection.send(0, lambda: arrived.append(-2))
    clock.run_until(1e9)
    assert arrived == [*range(50), -1]


def test_nothing_arrives_at_a_closed_side() -> None:
    clock, net = network()
    connection, arrived = Connection(1, net, clock), list[int]()
    connection.send(0, lambda: arrived.append(0))
    connection.close(1, lambda: arrived.append(1))
    clock.run_until(1.0)
    assert arrived == [1]
