"""The policy in integers: no call starves, no batch is too wide, what fits runs together."""

import random

from webui.engine.scheduler import PATIENCE, Pending, choose


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


# --- Between owners, jobs and models ----------------------------------------------------------------


class Shop:
    """The engine's side of `choose`, in integers: calls come back after they were served."""

    def __init__(self, calls):
        """`calls` are (key, rows, owner, job, model); model None is always warm."""
        self.calls = dict(enumerate(calls))
        self.since = dict.fromkeys(self.calls, 0)
        self.served: dict[str, int] = {}
        self.turn = 0
        self.resident: list[str] = []

    def pending(self):
        return [
            Pending(
                key,
                rows,
                self.since[i],
                owner,
                job,
                self.served.get(owner, 0),
                self.served.get(job, 0),
                model is None or model in self.resident,
            )
            for i, (key, rows, owner, job, model) in self.calls.items()
        ]

    def take(self, capacity=8):
        self.turn += 1
        names = list(self.calls)
        batch = [names[i] for i in choose(self.pending(), capacity, self.turn)]
        for i in batch:
            _, _, owner, job, model = self.calls[i]
            self.served[owner] = self.served[job] = self.since[i] = self.turn
            if model and model not in self.resident:
                self.resident = [*self.resident[-1:], model]
        return batch


def test_owners_with_one_kind_of_call_share_the_rows_evenly():
    """One owner with twenty pictures, one with two, one with one: nobody has more than their share while
    others could use it."""
    calls = [("k", 2, owner, f"{owner}{n}", None) for owner, n in
             [*[("a", n) for n in range(20)], ("b", 0), ("b", 1), ("c", 0)]]  # fmt: skip
    shop = Shop(calls)
    rows = {"a": 0, "b": 0, "c": 0}
    for _ in range(100):
        batch = shop.take(capacity=8)
        assert sum(calls[i][1] for i in batch) == 8, "work-conserving"
        for i in batch:
            rows[calls[i][2]] += 2
    assert rows["c"] == 200  # its one picture is in every batch
    assert rows["b"] >= 200 and rows["a"] >= 200
    assert abs(rows["a"] - rows["b"]) <= 200 + 8


def test_a_newcomer_is_in_the_next_batch_whatever_others_have_waiting():
    shop = Shop([("k", 2, "a", "a-large", None) for _ in range(40)])
    for _ in range(5):
        shop.take()
    shop.calls[99] = ("k", 2, "b", "b0", None)
    shop.since[99] = shop.turn
    assert 99 in shop.take()
    shop.calls[100] = ("k", 2, "a", "a-small", None)  # a small job of the busy owner
    shop.since[100] = shop.turn
    assert 100 in shop.take()


def test_nobody_starves_whatever_comes():
    """Random owners, jobs, kinds and models: every call is made again within a bound of turns."""
    dice = random.Random(5)
    for _ in range(20):
        owners = dice.randint(1, 5)
        calls = [
            (
                dice.choice("xyz"),
                dice.randint(1, 4),
                f"o{(o := dice.randrange(owners))}",
                f"o{o}j{dice.randrange(3)}",
                f"m{dice.randrange(4)}",
            )
            for _ in range(dice.randint(1, 12))
        ]
        calls = [((key, model), *rest, model) for key, *rest, model in calls]
        shop = Shop(calls)
        bound = owners * 3 * len(calls) + 2 * PATIENCE
        last = dict.fromkeys(shop.calls, 0)
        for _ in range(400):
            for i in shop.take(capacity=6):
                last[i] = shop.turn
            assert all(shop.turn - last[i] <= bound for i in last), bound


def test_nothing_that_would_fit_is_left_behind_whoever_owns_it():
    dice = random.Random(6)
    for _ in range(200):
        calls = [
            (dice.choice("xy"), dice.randint(1, 4), dice.choice("ab"), dice.choice("12"), None)
            for _ in range(dice.randint(1, 15))
        ]
        shop = Shop(calls)
        batch = shop.take(capacity=6)
        key = calls[batch[0]][0]
        rows = sum(calls[i][1] for i in batch)
        left = [c for i, c in enumerate(calls) if i not in batch and c[0] == key]
        assert all(rows + call[1] > 6 for call in left)


def test_models_are_swapped_once_in_a_while_and_not_every_turn():
    """Three models, two in memory, one owner each: without grouping each turn would load one."""
    shop = Shop([(m, 2, m, m, m) for m in ("m1", "m2", "m3")])
    swaps, turns = 0, 0
    last = {}
    for _ in range(300):
        before = list(shop.resident)
        for i in shop.take():
            last[i] = shop.turn
        swaps += shop.resident != before
        turns += 1
    assert turns / swaps > PATIENCE / 2
    assert all(shop.turn - at <= 3 * PATIENCE for at in last.values())
