"""
What the first bytes of a JPEG or PNG promise, read before anybody decodes it.

A few kilobytes can promise gigabytes of pixels, and decoders differ in what they make of half a
file. So size and completeness are checked here, without decoding, in time that grows with the file
alone. Sources: ITU-T T.81 annex B (JPEG), ISO/IEC 15948 section 5 (PNG).
"""

from collections.abc import Iterator
import re
import struct

from da3_ros.errors import FrameError

# The largest camera sensors have 64 million pixels; more is a mistake or an attack.
MAX_PIXELS = 2**26
# OpenCV's remap, which takes lens distortion away, counts pixels along a side in 16 bits.
MAX_SIDE = 2**15 - 2
# A progressive JPEG goes over all of its pixels with every scan, and encoders make about ten.
_MAX_SCANS = 100
# Segments of a JPEG and chunks of a PNG; a file of millions of empty ones would take seconds.
_MAX_PARTS = 2**17

_PNG_SIGNATURE = b'\x89PNG\r\n\x1a\n'
_JPEG_SIGNATURE = b'\xff\xd8\xff'
# A marker is FF and its code, and more FF may stand before it. In the compressed data of a scan,
# FF 00 is a byte of data, and D0 to D7 only count.
_FILL = re.compile(rb'\xff*')
_NEXT_MARKER = re.compile(rb'\xff[^\x00\xff\xd0-\xd7]')
_END, _SCAN = 0xD9, 0xDA
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}


def check_size(width: int, height: int) -> None:
    """Raise ``FrameError`` ``frame_size`` for an image of no pixels, or of too many."""
    if width == 0 or height == 0:
        raise FrameError(
            'frame_size', f'An image has the size {width}x{height}; expected at least 1x1.'
        )
    if width * height > MAX_PIXELS or max(width, height) > MAX_SIDE:
        raise FrameError(
            'frame_size',
            f'An image has the size {width}x{height}; expected at most {MAX_PIXELS} pixels and '
            f'{MAX_SIDE} along a side.',
        )


def check_picture(data: memoryview) -> None:
    """
    Check that bytes are one whole JPEG or PNG of a size that may be decoded.

    Raises:
        FrameError: ``frame_format`` for anything else than a JPEG or PNG, ``frame_decode`` for one
            that is cut off or contradicts itself, ``frame_size`` for one of too many pixels.

    """
    try:
        if data[:8] == _PNG_SIGNATURE:
            _check_png(data)
        elif data[:3] == _JPEG_SIGNATURE:
            _check_jpeg(data)
        else:
            raise FrameError(
                'frame_format',
                f'A compressed image of {len(data)} bytes starts with {bytes(data[:8])!r}; '
                'expected a JPEG or a PNG.',
            )
    except (struct.error, IndexError):
        raise FrameError(
            'frame_decode',
            f'A compressed image ends after {len(data)} bytes, before its end; expected a whole '
            'JPEG or PNG.',
        ) from None


def _check_png(data: memoryview) -> None:
    """Check the header, and that chunks follow each other to the last one."""
    length, kind, width, height = struct.unpack_from('>I4sII', data, 8)
    if kind != b'IHDR' or length != 13:
        raise FrameError('frame_decode', f'A PNG starts with a {kind!r}; expected its header.')
    check_size(width, height)
    at = 8
    for _ in range(_MAX_PARTS):
        length, kind = struct.unpack_from('>I4s', data, at)
        at += 12 + length  # length, kind, data, checksum
        if kind == b'IEND' and at <= len(data):
            return
    raise FrameError(
        'frame_decode', f'A PNG has more than {_MAX_PARTS} chunks; expected its last one.'
    )


def _check_jpeg(data: memoryview) -> None:
    """Check the frame header, and that segments follow each other to the end of the image."""
    is_sized, scans = False, 0
    for marker, at in _segments(data):
        if marker in _FRAMES:
            height, width = struct.unpack_from('>HH', data, at + 5)
            check_size(width, height)
            is_sized = True
        scans += marker == _SCAN
        if marker == _END and is_sized and scans:
            return
        if scans > _MAX_SCANS:
            break
    raise FrameError(
        'frame_decode',
        f'A JPEG of {len(data)} bytes has {scans} scans, {"a" if is_sized else "no"} size and no '
        f'end of an image where one must be; expected a size and 1 to {_MAX_SCANS} scans.',
    )


def _segments(data: memoryview) -> Iterator[tuple[int, int]]:
    """Yield the marker of each segment and where it is, for as long as they follow each other."""
    at = len(_JPEG_SIGNATURE) - 1
    for _ in range(_MAX_PARTS):
        end_of_fill = _FILL.match(data, at).end()
        if end_of_fill == at:
            return
        at = end_of_fill - 1
        marker = data[at + 1]
        yield marker, at
        (length,) = struct.unpack_from('>H', data, at + 2)
        at += 2 + length
        if marker == _SCAN:
            found = _NEXT_MARKER.search(data, at)
            at = found.start() if found else len(data)
