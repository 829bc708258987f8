"""What all networks of the family have in common: where they come from and what they weigh."""

from collections.abc import Iterator

from da3_ros.model.presets import NetworkConfig
import torch
from torch import nn

_PRECISE = ('camera_encoder', 'camera_decoder', 'gaussian_head')


class Network(nn.Module):
    """
    Base of the networks.

    Attributes:
        config: the network's constants.
        source_name: where the weights came from: 'embedded', a Hugging Face id or a path.
        is_trained: False while the weights are random.
        licence: SPDX name of the weights' licence, None if unknown.

    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        self.source_name = 'random'
        self.is_trained = False
        self.licence: str | None = None

    @property
    def dtype(self) -> torch.dtype:
        """The dtype that the matrices of the trunk and the dense heads are stored in."""
        return next(module.weight.dtype for _, module in self.half_precision_modules())

    def half_precision_modules(self) -> Iterator[tuple[str, nn.Module]]:
        """
        Name the modules that may be stored in half precision.

        They are the matrices of the trunk and the dense heads, less the last layers before the
        exponentials. Norms, gains, tokens, tables, the camera modules and the Gaussian head, which
        nobody runs in a hurry, stay in float32.
        """
        matrices = (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)
        for name, module in self.named_modules():
            is_precise = any(part in name for part in _PRECISE) or name.endswith('_output.last')
            if isinstance(module, matrices) and not is_precise:
                yield name, module

    def inference_dtypes(self, dtype: torch.dtype, device: torch.device) -> dict[str, torch.dtype]:
        """
        Return the name and the dtype of each of those modules when the trunk is in ``dtype``.

        With a trunk in bfloat16 the dense heads are in float16: eight bits of mantissa there cost
        four times the accuracy that they cost in the trunk, and the official network keeps its
        heads in float32. CPUs convolve in float32.
        """
        heads = dtype
        if dtype == torch.bfloat16:
            heads = torch.float32 if device.type == 'cpu' else torch.float16
        return {
            name: dtype if 'backbone.' in name else heads
            for name, _ in self.half_precision_modules()
        }

    def store_for_inference(self, dtype: torch.dtype, device: torch.device) -> 'Network':
        """
        Cast, once, to ``inference_dtypes``; returns itself.

        Parameters become new ones. Casting in place would leave those of a network that was made
        in inference mode half in it, without the version that convolutions on a GPU ask for.
        """
        for name, stored in self.inference_dtypes(dtype, device).items():
            module = self.get_submodule(name)
            for key, old in module.named_parameters(recurse=False):
                if old.dtype != stored:
                    cast = old.detach().to(stored)
                    setattr(module, key, nn.Parameter(cast, requires_grad=old.requires_grad))
        return self

    def store_in(self, dtype: torch.dtype) -> 'Network':
        """Cast, once, all that may be stored in half precision, for training; returns itself."""
        for _, module in self.half_precision_modules():
            module.to(dtype)
        return self
