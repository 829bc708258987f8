"""What surrounds a capture: tested without a GPU, as far as it does not need one."""

from da3_ros.engine.stages import _tuned_convolutions, beside
import torch


def test_tuning_leaves_every_other_setting() -> None:
    """The settings' own context manager would switch cuDNN off by its defaults."""
    cudnn = torch.backends.cudnn
    before = cudnn.enabled, cudnn.benchmark, cudnn.allow_tf32, cudnn.deterministic
    with _tuned_convolutions():
        assert cudnn.benchmark
        inside = cudnn.enabled, before[1], cudnn.allow_tf32, cudnn.deterministic
        assert inside == before
    assert before == (cudnn.enabled, cudnn.benchmark, cudnn.allow_tf32, cudnn.deterministic)


def test_without_a_stream_work_is_done_after_the_block() -> None:
    done = []
    with beside(None, lambda: done.append('beside')):
        done.append('block')
    assert done == ['block', 'beside']
