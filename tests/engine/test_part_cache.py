"""Laws of what is in memory, in whole numbers: budget, order of leaving, pins, and that all bytes are accounted for."""

from __future__ import annotations

import random
from contextlib import ExitStack

import pytest

from webui.engine.part_cache import Part, PartCache


def part(key: str, size: int = 1, group: str | None = None, **more: object) -> Part:
    return Part(key, "network", key.upper(), size, group=group, **more)  # type: ignore[arg-type]


def model(cache: PartCache, name: str, size: int = 1) -> None:
    """A model of three parts of one size."""
    cache.make_room(3 * size, group=name)
    for kind in ("unet", "vae", "text"):
        cache.add(Part((kind, name), kind, name, size, group=name, base=True))


def keys(cache: PartCache, place: str | None = None) -> list[object]:
    return [one.key for one in cache if place in (None, one.place)]


def test_the_one_used_longest_ago_leaves_and_a_use_is_a_use() -> None:
    cache = PartCache(3)
    for key in "abc":
        cache.add(part(key))
    assert cache.use("a") == "A" and cache.find("b") is not None  # which is no use of it
    cache.add(part("d"))
    assert keys(cache) == ["c", "a", "d"]
    with cache.using(["c"]):
        pass
    cache.add(part("e"))
    assert keys(cache) == ["d", "c", "e"]


def test_what_a_picture_needs_stays_until_it_is_released_however_many_there_are() -> None:
    cache = PartCache(4)
    for key in "abcde":
        cache.add(part(key))
        cache.hold("picture", [key])
    assert keys(cache) == [*"abcde"] and cache.bytes() == 5
    cache.add(part("f"))
    cache.add(part("g"))
    assert keys(cache) == [*"abcdeg"]  # over the budget by pinned parts and by what is new
    cache.release("picture")
    assert keys(cache) == [*"cdeg"]


def test_a_part_needed_by_two_pictures_stays_for_the_second() -> None:
    cache = PartCache(0)
    cache.add(part("a"))
    for picture in (1, 2):
        cache.hold(picture, ["a"])
    assert cache.find("a").pins == 2  # type: ignore[union-attr]
    cache.release(1)
    assert "a" in cache
    cache.release(2)
    assert "a" not in cache and cache.bytes() == 0


def test_one_model_stays_however_small_the_budget() -> None:
    cache = PartCache(0)
    for name in "ab":
        model(cache, name)
        assert {one.group for one in cache} == {name} and cache.bytes() == 3
    cache.add(part("network"))
    assert len(cache) == 4
    cache.add(part("other"))
    assert keys(cache)[-1] == "other" and len(cache) == 4  # the model, and what came last


def test_what_is_of_no_use_without_its_model_leaves_with_it() -> None:
    cache = PartCache(10)
    model(cache, "a")
    cache.add(part("lora", 2, "a"))
    cache.add(part("network", 1))
    assert len(cache.make_room(9, group="b")) == 4  # as many as it takes: the model, and its LoRA
    assert keys(cache) == ["network"]


def test_a_replaced_part_goes_first_but_not_from_a_picture_that_needs_it() -> None:
    cache = PartCache(3)
    for key in "abc":
        cache.add(part(key))
    cache.hold("picture", ["b"])
    for key in "bc":
        cache.retire(key)
    cache.add(part("d"))
    assert keys(cache) == ["a", "b", "d"]
    assert [one.key for one in cache.put_away(lambda one: False)] == ["a", "d"]  # "b" is no more
    cache.release("picture")
    cache.add(part("e", 3))
    assert keys(cache) == ["e"]


def test_a_part_leaves_for_the_host_and_comes_back_to_be_used() -> None:
    moved: list[tuple[object, str]] = []
    cache = PartCache(2, 2, lambda one, place: moved.append((one.key, place)))
    for key in "abcd":
        cache.add(part(key))
    assert (keys(cache, "host"), keys(cache, "device")) == ([*"ab"], [*"cd"])
    with cache.using(["a"]):
        assert (keys(cache, "host"), keys(cache, "device")) == ([*"bc"], [*"da"])
    assert moved == [("a", "host"), ("b", "host"), ("c", "host"), ("a", "device")]
    cache.add(part("e"))
    assert keys(cache) == [*"cdae"]  # the host's was full: its oldest is dropped


def test_what_a_picture_needs_may_wait_in_the_hosts_memory_and_is_not_dropped_there() -> None:
    cache = PartCache(1, 1)
    for key in "abc":
        cache.add(part(key))
        cache.hold("picture", [key])
    assert (keys(cache, "host"), keys(cache, "device")) == ([*"ab"], ["c"])
    with cache.using(["b"]):
        assert keys(cache, "device") == ["b"]
    cache.release("picture")
    cache.make_room(0, "host")
    assert keys(cache, "host") == ["c"]


def test_what_can_be_made_anew_pushes_nothing_out_that_was_read() -> None:
    cache = PartCache(5)
    model(cache, "a")
    for key in ("x", "y"):
        cache.add(Part(key, "merged weights", {}, 0, group="a"))
    assert cache.grow("x", 2) and cache.bytes() == 5
    assert cache.grow("y", 1) and cache.find("x") is None  # its like makes room
    assert not cache.grow("y", 3) and len(cache) == 4
    with cache.using(["y"]):
        assert cache.grow("y", 3)  # over the budget, while a call works with it
    assert cache.bytes() == 7


def test_for_want_of_memory_all_goes_but_what_a_call_works_with() -> None:
    cache = PartCache(100)
    model(cache, "a")
    for key in "xyz":
        cache.add(part(key))
    cache.hold("picture", ["x"])
    cache.find("y").again = False  # type: ignore[union-attr]
    cache.hold("picture", ["y"])
    with cache.using(["z"]):
        cache.put_away(lambda one: one.kind == "unet")
        assert keys(cache) == [("unet", "a"), "y", "z"]
    cache.add(part("x"))
    assert cache.find("x").pins == 1  # type: ignore[union-attr]  # the picture needs it still


@pytest.mark.parametrize("host_limit", [0, 30])
@pytest.mark.parametrize("seed", range(8))
def test_laws_hold_whatever_happens(seed: int, host_limit: int) -> None:
    """Random turns of what the engine does, each law looked at after each."""
    dice = random.Random(seed)
    dropped: list[Part] = []
    added: list[Part] = []
    forced: set[Part] = set()

    def move(one: Part, place: str) -> None:
        assert one.place != place and not (place == "host" and one.calls)

    def drop(one: Part) -> None:
        assert one not in dropped and (one in forced or not one.pins)
        dropped.append(one)

    cache = PartCache(40, host_limit, move, drop)

    def new() -> Part:
        group = dice.choice([None, *"ABC"])
        key = f"{group}{dice.randrange(6)}"
        base = group is not None and key[1] < "3"
        place = "host" if host_limit and dice.random() < 0.3 else "device"
        return Part(key, "p", key, dice.randrange(12), place, group, base, dice.random() < 0.8)  # type: ignore[arg-type]

    for _ in range(400):
        known = [one.key for one in cache]
        some = dice.sample(known, min(len(known), dice.randrange(4)))
        act = dice.randrange(7)
        newest = None
        if act == 0:
            fresh = newest = new()
            if (before := cache.find(fresh.key)) is not None:
                forced.add(before)
            added.append(fresh)
            cache.add(fresh)
        elif act == 1:
            cache.hold(dice.randrange(3), some)
        elif act == 2:
            cache.release(dice.randrange(3))
        elif act == 3:
            for key in some:
                if (one := cache.find(key)) and not one.calls:
                    forced.add(one)
                    cache.drop(key)
        elif act == 4:
            leaving = [one for one in cache._leaving("device", cache._last_group)]
            cache.make_room(0)
            left = [one for one in leaving if one.place != "device" or one in dropped]
            alone = [one for one in left if not (one.group and one in dropped)]
            stayed = [one for one in leaving if one not in left]
            for one in alone:  # of the same kind, none that was used before it stayed
                assert not [o for o in stayed if leaves_before(o, one)]
        elif act == 5:
            with ExitStack() as calls:
                calls.enter_context(cache.using(some))
                there = [cache.find(key) for key in some]
                assert all(one is not None and one.place == "device" for one in there)
                fresh = newest = new()
                if (before := cache.find(fresh.key)) is None or not before.calls:
                    if before is not None:
                        forced.add(before)
                    added.append(fresh)
                    cache.add(fresh)
                assert all(one is cache.find(key) for key, one in zip(some, there, strict=True))
        else:
            for key in some:
                cache.use(key)
        for place in ("device", "host"):
            here = [one for one in cache if one.place == place]
            assert sum(one.bytes for one in here) == cache.bytes(place)  # type: ignore[arg-type]
        assert set(added) == {*dropped, *cache}, "a part is neither in memory nor gone"
        if act in (0, 4) or (act == 2 and not host_limit):
            over = [
                one
                for one in cache
                if one.place == "device" and one is not newest and one.bytes
                and not (one.calls or (one.holders and not (host_limit and one.movable)))
                and not (one.base and one.group in (cache._last_group, newest and newest.group))
            ]  # fmt: skip
            due = newest is None or newest.place == "device"
            assert not over or cache.bytes() <= 40 or not due
    assert len(dropped) > 20
    for holder in range(3):
        cache.release(holder)
    assert all(one.pins == 0 for one in cache) and not list(cache.holders)


def leaves_before(one: Part, other: Part) -> bool:
    def order(p: Part) -> tuple[bool, bool, int]:
        return not p.former, bool(p.holders), p.used

    return order(one) < order(other) and one.bytes > 0 and other.bytes > 0


def test_a_part_that_takes_the_place_of_one_in_use_is_not_pinned_by_that_use() -> None:
    cache = PartCache(10)
    cache.add(Part("a", "p", 1, 4))
    with cache.using(["a"]):
        cache.add(Part("a", "p", 2, 4))
    part = cache.find("a")
    assert part is not None and part.pins == 0
