"""Guidance as weighted rows: the weights are classifier-free guidance's, of several texts composed diffusion's; and
which texts steer which step."""

from dataclasses import replace
from itertools import product

import pytest
import torch

from webui.engine.guidance import Plan, rows
from webui.types import Condition, Model, TextCondition
from webui.types.calls import holds

COND = TextCondition(torch.ones(77, 4))
UNCOND = TextCondition(torch.zeros(77, 4), "uncond")
TEXTS = (COND, UNCOND)


@pytest.mark.parametrize("scale", [0.0, 2.5, 7.0, 30.0])
def test_the_weighted_sum_is_classifier_free_guidance(scale):
    cond, uncond = 0.3, -1.2
    said = {"cond": cond, "uncond": uncond}
    total = sum(row.weight * said[row.role] for row in rows(TEXTS, scale))
    assert total == pytest.approx(uncond + scale * (cond - uncond))


def test_scale_one_is_one_row_unless_the_unconditional_is_wanted():
    assert [row.role for row in rows(TEXTS, 1.0)] == ["cond"]
    both = rows(TEXTS, 1.0, want_uncond=True)
    assert [(row.role, row.weight) for row in both] == [("cond", 1.0), ("uncond", 0.0)]


@pytest.mark.parametrize("scale", [1.0, 5.0])
@pytest.mark.parametrize("weights", [(0.6, 0.4), (1.0, 1.0), (1.5, -0.5), (0.1, 0.2, 0.7)])
def test_several_texts_are_composed(scale, weights):
    """uncond + s * (the sum of w * (cond - uncond)), whatever the weights come to."""
    texts = [replace(COND, weight=weight) for weight in weights]
    values = [0.3 * i - 1 for i in range(len(texts))]
    uncond = 0.8
    made = rows((*texts, UNCOND), scale)
    assert sum(row.weight for row in made) == pytest.approx(1)
    said = [*values, uncond][: len(made)]
    total = sum(row.weight * value for row, value in zip(made, said, strict=True))
    expected = uncond + scale * sum(w * (c - uncond) for w, c in zip(weights, values, strict=True))
    assert total == pytest.approx(expected)
    assert len(made) == len(texts) + (abs(1 - scale * sum(weights)) > 1e-6)


def test_negative_texts_weigh_by_their_shares():
    negative = [replace(UNCOND, weight=weight) for weight in (3.0, 1.0)]
    made = rows((COND, *negative), 5.0)
    assert [row.weight for row in made] == [5.0, -3.0, -1.0]


@pytest.mark.parametrize("scale", [0.0, 1.0, 4.0])
def test_texts_count_in_their_role_as_they_weigh_whatever_the_scale(scale):
    """At scale 0 no text with the role "cond" weighs anything in the sum, at 1 none with "uncond"."""
    conds = [replace(COND, weight=weight) for weight in (0.7, 0.3)]
    unconds = [replace(UNCOND, weight=weight) for weight in (3.0, 1.0)]
    made = rows((*conds, *unconds), scale, want_uncond=True)
    assert [row.counts for row in made] == [0.7, 0.3, 3.0, 1.0]


def test_a_row_has_all_that_its_text_has():
    pooled, mask = torch.ones(3), torch.ones(77, dtype=torch.bool)
    row = rows((replace(COND, pooled=pooled, mask=mask, patches=("a",)), UNCOND), 2.0)[0]
    assert (row.context, row.pooled, row.mask, row.patches) == (COND.context, pooled, mask, ("a",))


@pytest.mark.parametrize("count", [1, 2, 3, 7, 20, 150])
@pytest.mark.parametrize("cut", [0.0, 0.1, 1 / 3, 0.5, 0.8, 1.0])
def test_two_parts_share_no_step_and_leave_none_out(count, cut):
    for step in range(count):
        assert holds((0.0, cut), step, count) + holds((cut, 1.0), step, count) == 1
        assert holds((0.0, 1.0), step, count)


def conditions(*parts):
    model = Model("none", 4, False, (0.03, 14.0))
    return [
        Condition(model, (*(replace(COND, steps=steps) for steps in texts), UNCOND), steps=at)
        for at, texts in parts
    ]


def test_a_plan_has_the_rows_of_each_step():
    """Editing, alternation, and another condition from a step on."""
    every = (0.0, 1.0)
    plan = Plan(
        conditions(
            ((0.0, 0.5), [(0.0, 0.25), (0.25, 1.0)]),
            (every, [range(0, 8, 2), range(1, 8, 2), every]),
        ),
        2.0,
        8,
        range(8),
    )
    found = [
        (plan.at(step)[0].steps, [row.context.shape[0] for row in plan.at(step)[1]])
        for step in range(8)
    ]
    assert [len(made) for _, made in found] == [2, 2, 2, 2, 3, 3, 3, 3]
    assert [at for at, _ in found] == [(0.0, 0.5)] * 4 + [every] * 4
    assert plan.at(2)[1] is plan.at(3)[1] and plan.at(1)[1] is not plan.at(2)[1]
    for step, want in product(range(8), (False, True)):
        assert sum(row.weight for row in plan.at(step, want)[1]) == pytest.approx(1)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (conditions(((0.0, 0.5), [(0.0, 1.0)])), "step 3 of 4: no condition holds"),
        (conditions(((0.0, 1.0), [(0.0, 0.5)])), "step 3 of 4: no text with the role 'cond'"),
    ],
)
def test_a_step_that_nothing_steers_is_refused_before_the_first(given, why):
    with pytest.raises(ValueError, match=why):
        Plan(given, 2.0, 4, range(4))
    Plan(given, 2.0, 4, range(2))  # it is not made


def test_guidance_without_a_negative_text_is_refused():
    with pytest.raises(ValueError, match="no text with the role 'uncond' holds"):
        rows((COND,), 3.0)
    assert len(rows((COND,), 1.0)) == 1
