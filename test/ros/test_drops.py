"""What is said in the log cannot be mistaken for something else."""

from da3_ros.ros.drops import loggable
from hypothesis import given, settings
from hypothesis import strategies as st


@settings(derandomize=True)
@given(st.text())
def test_any_text_is_printable_lines(text: str) -> None:
    """No control characters, and only the first line begins where a record of the log does."""
    first, *others = loggable(text).split('\n')
    assert first.isprintable() or not first
    assert all(line.startswith('  ') and line.isprintable() for line in others)


def test_sentences_stay_as_they_are() -> None:
    """And tracebacks keep their lines."""
    assert loggable("Kein Bild für 'ü'.") == "Kein Bild für 'ü'."
    assert loggable('Traceback:\n  File\nError: x\n') == 'Traceback:\n    File\n  Error: x'


def test_the_length_is_bounded() -> None:
    """A message can hold a text of any length."""
    assert len(loggable('x' * 10**7)) < 10_000
    assert loggable('x' * 10**7).endswith(' ...')
