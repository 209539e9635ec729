"""The policy in integers: no call starves, no batch is too wide, what fits runs together."""

import random

from webui.engine.scheduler import Pending, choose


def test_the_longest_waiting_call_is_always_served():
    dice = random.Random(1)
    for _ in range(300):
        pending = [
            Pending(dice.choice("abc"), dice.randint(1, 4), dice.randint(0, 9))
            for _ in range(dice.randint(1, 12))
        ]
        first = choose(pending, capacity=6)[0]
        assert pending[first].since == min(p.since for p in pending)


def test_a_batch_has_one_key_and_fits():
    dice = random.Random(2)
    for _ in range(300):
        pending = [
            Pending(dice.choice("ab"), dice.randint(1, 4), i) for i in range(dice.randint(1, 20))
        ]
        batch = choose(pending, capacity=8)
        assert len({pending[i].key for i in batch}) == 1
        assert len(set(batch)) == len(batch)
        assert sum(pending[i].rows for i in batch) <= 8


def test_nothing_that_would_fit_is_left_behind():
    pending = [Pending("a", 4, 0), Pending("a", 6, 1), Pending("b", 1, 2), Pending("a", 4, 3)]
    assert choose(pending, capacity=8) == [0, 3]


def test_a_call_wider_than_the_capacity_runs_alone():
    assert choose([Pending("a", 20, 0), Pending("a", 1, 1)], capacity=8) == [0]


def test_calls_without_a_key_run_alone():
    assert choose([Pending(None, 1, 0), Pending(None, 1, 1)], capacity=8) == [0]


def test_nothing_pending_gives_an_empty_batch():
    assert choose([], capacity=8) == []


def test_two_kinds_of_calls_take_turns():
    """Each turn a served call comes back with a new turn number, as in the engine."""
    since = {"a1": 0, "a2": 0, "b": 0}
    served = []
    for turn in range(1, 9):
        names = list(since)
        pending = [Pending(name[0], 2, since[name]) for name in names]
        batch = [names[i] for i in choose(pending, capacity=8)]
        served.append(batch[0][0])
        for name in batch:
            since[name] = turn
    assert served == list("abababab")


def test_every_call_is_served_within_as_many_turns_as_there_are_calls():
    dice = random.Random(3)
    calls = {i: (dice.choice("abc"), dice.randint(1, 4), 0) for i in range(15)}
    last = dict.fromkeys(calls, 0)
    for turn in range(1, 200):
        ids = list(calls)
        batch = [ids[i] for i in choose([Pending(*calls[i]) for i in ids], capacity=6)]
        for i in batch:
            assert turn - last[i] <= len(calls)
            last[i] = turn
            calls[i] = (calls[i][0], calls[i][1], turn)
    assert min(last.values()) > 180
