"""Guidance as weighted rows: the weights are classifier-free guidance's, and one row when the scale is 1."""

import pytest
import torch

from webui.engine.guidance import rows
from webui.types import TextCondition

TEXT = TextCondition(torch.ones(77, 4), torch.zeros(77, 4))


@pytest.mark.parametrize("scale", [0.0, 2.5, 7.0, 30.0])
def test_the_weighted_sum_is_classifier_free_guidance(scale):
    cond, uncond = 0.3, -1.2
    said = {"cond": cond, "uncond": uncond}
    total = sum(row.weight * said[row.role] for row in rows(TEXT, scale))
    assert total == pytest.approx(uncond + scale * (cond - uncond))


def test_scale_one_is_one_row_unless_the_unconditional_is_wanted():
    assert [row.role for row in rows(TEXT, 1.0)] == ["cond"]
    both = rows(TEXT, 1.0, want_uncond=True)
    assert [(row.role, row.weight) for row in both] == [("cond", 1.0), ("uncond", 0.0)]
