"""Choosing where and in what precision the network runs, from the names in the configuration."""

import gc
from pathlib import Path

from da3_ros.errors import ConfigError
import torch

_PRECISIONS = {'fp32': torch.float32, 'bf16': torch.bfloat16, 'fp16': torch.float16}

# Models known to compute nothing that float16 can't hold; its errors are a fifth of bfloat16's.
_FIT_FLOAT16 = {'embedded'}

# Instructions that multiply bfloat16 at twice the pace of float32, as Linux names them.
_BFLOAT16_FLAGS = {'avx512_bf16', 'amx_bf16'}
_CPU_INFO = Path('/proc/cpuinfo')


def resolve_device(name: str) -> torch.device:
    """
    Return the device of ``auto``, ``cpu``, ``cuda`` or ``cuda:N``; a GPU with its number.

    Raises:
        ConfigError: if a GPU is asked for by name and is not there; only ``auto`` falls back to
        the CPU.

    """
    if name == 'auto':
        name = 'cuda' if torch.cuda.is_available() else 'cpu'
    device = torch.device(name)
    if device.type != 'cuda':
        return device
    device = torch.device('cuda', device.index or 0)
    if device.index >= torch.cuda.device_count():
        raise ConfigError(
            f"'device' is '{name}', but PyTorch {torch.__version__} sees "
            f'{torch.cuda.device_count()} CUDA devices; install a CUDA build and a driver for '
            "it, or set device to 'cpu' or 'auto'."
        )
    return device


def resolve_precision(name: str, device: torch.device, model: str = '') -> torch.dtype:
    """
    Return the type of the trunk's matrices; ``auto`` is the fastest that is native.

    Of two that are as fast on a GPU it is the one with more bits for a ``model`` that fits in it.
    """
    if name != 'auto':
        return _PRECISIONS[name]
    if device.type == 'cpu':
        return torch.bfloat16 if _cpu_multiplies_bfloat16() else torch.float32
    if model in _FIT_FLOAT16:
        return torch.float16
    # Older GPUs emulate bfloat16, slower and in more memory than float16.
    native = torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.bfloat16 if native else torch.float16


def downloaded(*tensors: torch.Tensor) -> list[torch.Tensor]:
    """Return tensors in main memory; those of a GPU are waited for together, once."""
    here = [downloading(tensor) for tensor in tensors]
    finish(tensors[0].device)
    return here


def downloading(tensor: torch.Tensor) -> torch.Tensor:
    """Return a tensor in main memory that is complete after the next ``finish``."""
    if not tensor.is_cuda:
        return tensor
    # The allocator of pinned memory lends none again before copies to it are done.
    here = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
    return here.copy_(tensor, non_blocking=True)


def finish(device: torch.device) -> None:
    """Wait until a device has done what this thread's stream was given."""
    if device.type == 'cuda':
        torch.cuda.current_stream(device).synchronize()


def empty_cache(device: torch.device) -> None:
    """Give memory back to the device that PyTorch keeps and nobody uses."""
    gc.collect()
    if device.type == 'cuda':
        torch.cuda.empty_cache()


def _cpu_multiplies_bfloat16() -> bool:
    """Tell whether bfloat16 is native to this CPU; where it is emulated it is the slower type."""
    if not _CPU_INFO.exists():
        return False
    return not _BFLOAT16_FLAGS.isdisjoint(_CPU_INFO.read_text().split())
