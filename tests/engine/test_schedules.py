"""Which schedule a sampler runs with."""

from webui.diffusion import sampling_schedules
from webui.engine.samplers import SAMPLERS
from webui.engine.schedules import SCHEDULES, resolve


def test_the_mapping_keeps_its_path():
    assert SCHEDULES is sampling_schedules.SCHEDULES


def test_automatic_is_each_samplers_usual_schedule():
    assert resolve("automatic", SAMPLERS["DPM++ 2M"]).name == "karras"
    assert resolve("automatic", SAMPLERS["Euler a"]).name == "uniform"
    assert resolve("exponential", SAMPLERS["DPM++ 2M"]).name == "exponential"
