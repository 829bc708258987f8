"""What a network's weights may be used for, in a sentence."""

_TERMS = {
    'Apache-2.0': 'free to use, commercially too',
    'CC-BY-NC-4.0': 'not for commercial use',
}


def licence_line(model: str, licence: str | None) -> str:
    """Return one sentence on the licence (SPDX name) of the weights of ``model``."""
    if not licence:
        return f"The licence of the weights of '{model}' is not known."
    terms = f' ({_TERMS[licence]})' if licence in _TERMS else ''
    return f"The weights of '{model}' are licensed under {licence}{terms}."
