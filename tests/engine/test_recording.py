"""What pictures receive is written down beside the loop: one copy a batch, in order, of what somebody reads."""

import threading
from dataclasses import replace
from itertools import pairwise

import pytest
import torch

from tests.engine.conftest import request
from webui.engine import recording
from webui.engine.recording import HostCopy, Recorder, fingerprint
from webui.engine.samplers import SAMPLERS
from webui.store.jobs import JobStore
from webui.store.replies import ReplyLog
from webui.types import UNCOND, Sampler, Wrapper


def both(x, sigmas, noise):
    """Euler, which asks for the unconditional prediction too."""
    for sigma, sigma_next in pairwise(sigmas):
        denoised, uncond = yield x, sigma, UNCOND
        x = x + (x - denoised) / sigma * (sigma_next - sigma) + 0 * uncond
    return x


def wrap(call, asked):
    reply = yield call
    return replace(reply, denoised=reply.denoised + 0 * (reply.cond - reply.uncond))


KINDS = {
    "plain": ("Euler", (), 1),
    "a sampler that reads uncond": ("Both", (), 3),
    "a wrapper": ("Euler", [Wrapper("w", wrap)], 3),
    "a wrapper that lets it pass": ("Euler", [Wrapper("w", lambda call, asked: None)], 1),
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_nobody_reads_is_not_recorded(start, tmp_path, monkeypatch, kind):
    sampler, wrappers, parts = KINDS[kind]
    seen = []
    append = ReplyLog.append

    def appended(self, record):
        if record.call["kind"] == "Denoise":
            seen.append(len(record.parts))
        append(self, record)

    monkeypatch.setattr(ReplyLog, "append", appended)
    keeper = JobStore(tmp_path / "kept")
    samplers = {**SAMPLERS, "Both": Sampler("Both", both)}
    bench = start(persistence=keeper, samplers=samplers, wrappers=wrappers)
    job = bench.engine.submit(request(steps=3, sampler_name=sampler))
    assert bench.end(job).state == "done"
    bench.engine.stop()
    keeper.close()
    assert seen == [parts] * 3


def test_a_batch_is_copied_once_and_waited_for_off_the_loops_thread(start, tmp_path, monkeypatch):
    """Two pictures with guidance share each call: one copy for both, of x and of what was denoised."""
    copied, waited = [], []

    class Counted(HostCopy):
        def __init__(self, tensors):
            copied.append((len(tensors), threading.current_thread().name))
            super().__init__(tensors)

        def parts(self):
            waited.append(threading.current_thread().name)
            return super().parts()

    monkeypatch.setattr(recording, "HostCopy", Counted)
    keeper = JobStore(tmp_path / "kept")
    bench = start(persistence=keeper)
    job = bench.engine.submit(request(steps=5, batch_size=2))
    assert bench.end(job).state == "done"
    calls = bench.engine._devices[0].runner.calls
    bench.engine.stop()
    keeper.close()
    decoded = 2
    assert len(copied) == calls + decoded and max(count for count, _ in copied) == 4
    assert {thread for _, thread in copied} == {"easel-engine"}
    assert len(waited) == len(copied) and {name[:14] for name in waited} == {"easel-recorder"}


@pytest.mark.parametrize(
    "dtype", [torch.float32, torch.float16, torch.bfloat16, torch.uint8, torch.int32, torch.bool]
)
def test_a_copy_holds_what_the_tensors_were(dtype):
    one = torch.arange(6).reshape(2, 3).to(dtype)
    tensors = [one, one.T, torch.zeros(0, 4, dtype=dtype), torch.ones((), dtype=dtype), one[:, 1]]
    expected = [tensor.clone() for tensor in tensors]
    copy = HostCopy(tensors)
    for tensor in tensors:
        tensor.zero_()
    for part, tensor in zip(copy.parts(), expected, strict=True):
        kind, shape, content = part
        assert getattr(torch, kind) == dtype and shape == tuple(tensor.shape)
        assert bytes(content) == tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
    assert fingerprint(copy.parts()[0]) != fingerprint(copy.parts()[1])


def test_what_is_asked_of_the_recorder_is_done_in_order_and_all_of_it():
    recorder, done = Recorder(), []
    for number in range(200):
        recorder.later(lambda number=number: done.append(number), size=recording.AHEAD_BYTES // 3)
    assert len(done) >= 190, "no more is under way than there is room for"
    recorder.close()
    recorder.later(lambda: done.append(200))
    assert done == list(range(201))


def test_what_cannot_be_copied_costs_the_log_and_no_picture(start, tmp_path, monkeypatch, caplog):
    def broken(tensors):
        raise RuntimeError("no memory on the host")

    monkeypatch.setattr(recording, "HostCopy", broken)
    keeper = JobStore(tmp_path / "kept")
    bench = start(persistence=keeper)
    job = bench.engine.submit(request(steps=2))
    assert bench.end(job).state == "done"
    bench.engine.stop()
    keeper.close()
    assert "its replies are no longer kept: no memory on the host" in caplog.text
    assert not list((tmp_path / "kept" / "replies").glob("*"))
