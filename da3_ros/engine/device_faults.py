"""What an engine does when its device fails: give up views for memory, or say that it is lost."""

from collections.abc import Callable, Iterator, Sized
from contextlib import AbstractContextManager, contextmanager, nullcontext
import functools

from da3_ros.engine.frame import Update
from da3_ros.errors import DeviceMemoryError, FrameError
import torch

# PyTorch has a class for them since 2.8; before that they are known by their text alone.
_ACCELERATOR_ERROR = getattr(torch, 'AcceleratorError', ())
_DEVICE_ERRORS = ('CUDA error:', 'CUDA driver error:', 'cuDNN error:')
# What the driver and the libraries say, where it is not PyTorch that allocates.
_ALLOCATION_ERRORS = ('CUDA error: out of memory', 'STATUS_ALLOC_FAILED')

# What helps where a window cannot shrink.
_ADVICE = 'end what else uses the GPU, or configure a lower resolution or a smaller model'

Push = Callable[..., Update | None]


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether an error, or one that led to it, is that a device has no memory left."""
    return any(
        isinstance(e, torch.OutOfMemoryError) or any(text in str(e) for text in _ALLOCATION_ERRORS)
        for e in _chain(error)
    )


def is_device_error(error: BaseException) -> bool:
    """Tell whether an error is one of the device's own, after which nothing on it can be used."""
    return not is_out_of_memory(error) and any(
        isinstance(e, _ACCELERATOR_ERROR)
        or (isinstance(e, RuntimeError) and any(text in str(e) for text in _DEVICE_ERRORS))
        for e in _chain(error)
    )


def spares_memory(push: Push) -> Push:
    """
    Let a push that runs out of memory shrink the engine's window: the frame is lost, no more.

    Or another method on new views, as many as its argument is long. What it raises then is a
    ``FrameError`` with the reason ``frame_memory``.
    """

    @functools.wraps(push)
    def wrapper(engine: object, frames: Sized) -> Update | None:
        try:
            with _current(engine.device):
                return push(engine, frames)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
        # Only here, for as long as the error is handled its traceback keeps the push's tensors.
        size = engine.status.views_in_window
        shrunk = engine.shrink(len(frames))
        if shrunk:
            sentence = f'window shrunk to {shrunk}: out of GPU memory'
        else:
            sentence = (
                f'out of GPU memory with {max(size, 1)} views in a window that cannot shrink; '
                f'{_ADVICE}'
            )
        raise FrameError('frame_memory', f'{sentence[0].upper()}{sentence[1:]}.')

    return wrapper


def fits_memory(warm_up: Callable[..., None]) -> Callable[..., None]:
    """
    Let a warm-up that runs out of memory shrink the engine's window, until it fits.

    Raises ``DeviceMemoryError`` where it never does.
    """

    @functools.wraps(warm_up)
    def wrapper(engine: object, *args: object, new: int = 1, **kwargs: object) -> None:
        while True:
            try:
                with _current(engine.device):
                    return warm_up(engine, *args, new=new, **kwargs)
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
            if not engine.shrink(new):  # only here is what the warm-up had allocated free
                raise DeviceMemoryError(
                    f"'{engine.model_name}' does not fit into the memory of the GPU with "
                    f'{new + 1} views, the smallest window there is; {_ADVICE}.'
                )

    return wrapper


@contextmanager
def loading(model: str) -> Iterator[None]:
    """Make ``DeviceMemoryError`` of memory that runs out while a model's networks are loaded."""
    try:
        yield
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        raise DeviceMemoryError(
            f"The weights of '{model}' do not fit into the memory of the GPU; {_ADVICE}."
        ) from error


def _current(device: torch.device) -> AbstractContextManager:
    """Make a GPU the current one, on which Triton launches kernels wherever their tensors are."""
    return torch.cuda.device(device) if device.type == 'cuda' else nullcontext()


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Go through an error and those that it came from: a capture that fails hides its cause."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
