"""JPEG and PNG: decoded by the conventions of the transport, refused before they do harm."""

import array
import struct
import time
import tracemalloc
import zlib

import cv2
from da3_ros.errors import FrameError
from da3_ros.ros.compressed import rgb_from_compressed
from da3_ros.ros.convert import rgb_from_image
from da3_ros.ros.picture_header import check_picture
from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest
from sensor_msgs.msg import CompressedImage, Image

RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 256, (6, 8, 3), dtype=np.uint8)
GREY16 = RNG.integers(0, 2**16, (6, 8), dtype=np.uint16)
# A picture that a JPEG keeps, and one that needs more than one scan to be one.
SMOOTH = cv2.resize(RNG.integers(0, 256, (4, 5, 3), dtype=np.uint8), (80, 64))


def encoded(stored: np.ndarray, codec: str = 'png', *options: int) -> bytes:
    """Return an image file of pixels that are in the order of OpenCV, blue first."""
    return cv2.imencode(f'.{codec}', stored, options)[1].tobytes()


def decoded(data: bytes, text: str = 'png') -> np.ndarray:
    """Return what the node makes of the message."""
    return rgb_from_compressed(CompressedImage(format=text, data=array.array('B', data)))


def refusal(data: bytes, text: str = 'png') -> str:
    """Return the reason why the message is refused, which is a sentence too."""
    with pytest.raises(FrameError, match=r'\.$') as caught:
        decoded(data, text)
    assert len(str(caught.value)) < 500
    return caught.value.reason


def png(width: int, height: int, *chunks: tuple[bytes, bytes]) -> bytes:
    """Return a PNG whose header promises a size, with other chunks behind it."""
    header = struct.pack('>IIBBBBB', width, height, 8, 2, 0, 0, 0)
    parts = [b'\x89PNG\r\n\x1a\n']
    for kind, data in [(b'IHDR', header), *chunks, (b'IEND', b'')]:
        checksum = struct.pack('>I', zlib.crc32(kind + data))
        parts.append(struct.pack('>I', len(data)) + kind + data + checksum)
    return b''.join(parts)


@pytest.mark.parametrize(
    ('stored', 'text', 'expected'),
    [
        (RGB[..., ::-1], 'png', RGB),
        (RGB[..., ::-1], '', RGB),
        (RGB[..., ::-1], 'rgb8; png compressed bgr8', RGB),
        (RGB[..., ::-1], 'bgr8; png compressed bgr8', RGB),
        (RGB[..., ::-1], 'rgba8; png compressed bgr8', RGB),
        (RGB[..., ::-1], 'bayer_rggb8; png compressed bgr8', RGB),
        (RGB, 'rgb8; png compressed rgb8', RGB),
        (RGB[..., ::-1].astype(np.uint16) * 257, 'rgb16; png compressed bgr16', RGB),
        (np.dstack([RGB[..., ::-1], RGB[..., 0]]), 'bgra8; png compressed bgra8', RGB),
        (RGB[..., 0], 'mono8; png compressed ', np.repeat(RGB[..., :1], 3, axis=2)),
        (GREY16, 'mono16; png compressed ', np.dstack([np.rint(GREY16 / 257)] * 3)),
        (GREY16, 'png', np.dstack([np.rint(GREY16 / 257)] * 3)),
    ],
)
def test_the_format_says_what_was_compressed(
    stored: np.ndarray, text: str, expected: np.ndarray
) -> None:
    """As compressed_image_transport writes it, and as camera drivers write less."""
    np.testing.assert_array_equal(decoded(encoded(stored), text), expected)


@pytest.mark.parametrize('bits', [8, 16])
@pytest.mark.parametrize('pattern', ['rggb', 'bggr', 'gbrg', 'grbg'])
def test_a_compressed_mosaic_becomes_colour(pattern: str, bits: int) -> None:
    """The PNG transport leaves a Bayer pattern as it is; a JPEG of mono8 is grey already."""
    mosaic = GREY16 if bits == 16 else RGB[..., 0]
    raw = Image(width=8, height=6, step=bits, encoding=f'bayer_{pattern}{bits}')
    raw.data = array.array('B', mosaic.tobytes())
    rgb = decoded(encoded(mosaic), f'bayer_{pattern}{bits}; png compressed ')
    np.testing.assert_array_equal(rgb, rgb_from_image(raw))
    grey = decoded(encoded(mosaic), f'bayer_{pattern}{bits}; jpeg compressed mono8')
    assert (grey[..., 0] == grey[..., 1]).all()


@pytest.mark.parametrize('text', ['jpeg', 'rgb8; jpeg compressed bgr8', 'mjpeg', 'bgr8; jpeg'])
@pytest.mark.parametrize('is_progressive', [0, 1])
def test_jpegs_are_decoded(text: str, is_progressive: int) -> None:
    """In colour, baseline and progressive, with restart markers and with rubbish behind them."""
    options = (cv2.IMWRITE_JPEG_PROGRESSIVE, is_progressive, cv2.IMWRITE_JPEG_RST_INTERVAL, 2)
    data = encoded(SMOOTH, 'jpg', *options)
    difference = decoded(data, text).astype(int) - SMOOTH[..., ::-1]
    assert np.abs(difference).mean() < 3
    np.testing.assert_array_equal(decoded(data + b'\0' * 50, text), decoded(data, text))
    grey = decoded(encoded(SMOOTH[..., 0], 'jpg'), 'mono8; jpeg compressed mono8')
    assert np.abs(grey.astype(int) - SMOOTH[..., :1]).mean() < 3


def test_the_orientation_of_exif_is_not_applied() -> None:
    """The CameraInfo is of the sensor, however the camera was held."""
    tiff = b'II*\0\x08\0\0\0\x01\0' + struct.pack('<HHIHH', 0x112, 3, 1, 6, 0) + b'\0\0\0\0'
    exif = b'Exif\0\0' + tiff
    data = encoded(SMOOTH, 'jpg')
    turned = data[:2] + b'\xff\xe1' + struct.pack('>H', 2 + len(exif)) + exif + data[2:]
    assert decoded(turned).shape == SMOOTH.shape


@pytest.mark.parametrize('codec', ['jpg', 'png'])
def test_a_picture_that_is_cut_off_is_refused_wherever(codec: str) -> None:
    """Also one byte before its end, where decoders would fill up what is missing."""
    data = encoded(SMOOTH, codec)
    for length in {*range(8, 700, 7), *range(8, len(data), 97), len(data) - 1, len(data) - 2}:
        assert refusal(data[:length]) == 'frame_decode'
        with pytest.raises(FrameError):  # not only what this version of OpenCV says
            check_picture(memoryview(data[:length]))


@pytest.mark.parametrize(
    ('reason', 'data'),
    [
        ('frame_format', b''),
        ('frame_format', b'\x03' * 500),
        ('frame_format', b'GIF89a' + bytes(100)),
        ('frame_format', cv2.imencode('.tiff', RGB)[1].tobytes()),
        ('frame_format', b'\0' * 12 + encoded(GREY16)),  # compressedDepth
        ('frame_decode', b'\xff\xd8\xff' + b'\xff' * 10**6 + b'\0'),
        ('frame_decode', b'\xff\xd8\xff\xd9\0\0'),
        ('frame_decode', encoded(SMOOTH, 'jpg').replace(b'\xff\xda', b'\xff\xd8', 1)),
        ('frame_decode', png(8, 6).replace(b'IHDR', b'IDAT')),
        ('frame_size', png(0, 6)),
        ('frame_size', png(2**13, 2**13 + 1)),
    ],
)
def test_what_is_no_picture_is_refused(reason: str, data: bytes) -> None:
    """From what the file says of itself, whatever a decoder would make of it."""
    assert refusal(data) == reason
    with pytest.raises(FrameError) as caught:
        check_picture(memoryview(data))
    assert caught.value.reason == reason


def test_what_cannot_be_decoded_is_refused() -> None:
    """Whole files of an allowed size, without pixels."""
    assert refusal(png(8, 6)) == 'frame_decode'
    assert refusal(png(2**13, 2**13, (b'IDAT', b'not zlib'))) == 'frame_decode'


@pytest.mark.parametrize(
    'text', ['16UC1; png compressed ', '32FC1; png compressed ', '16SC1; png']
)
def test_depth_is_no_picture(text: str) -> None:
    """A compressed depth topic by mistake."""
    assert refusal(encoded(GREY16), text) == 'frame_encoding'


def test_what_would_fill_the_memory_is_refused_before_it_is_decoded() -> None:
    """A few kilobytes that promise gigabytes: from the header alone, and without allocating."""
    line = zlib.compress(bytes(10**6), 9)
    jpeg = bytearray(encoded(SMOOTH, 'jpg'))
    frame = jpeg.index(b'\xff\xc0')
    jpeg[frame + 5 : frame + 9] = struct.pack('>HH', 65000, 65000)
    tracemalloc.start()
    start = time.process_time()
    try:
        for bomb in (
            png(60_000, 60_000, (b'IDAT', line)),
            png(2**31 - 1, 1, (b'IDAT', line)),
            png(40_000, 1, (b'IDAT', line)),
            bytes(jpeg),
        ):
            assert refusal(bomb) == 'frame_size'
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()
    assert time.process_time() - start < 1.0


def test_a_jpeg_of_many_scans_is_refused() -> None:
    """Each is a pass over all pixels, for a few bytes."""
    data = encoded(SMOOTH, 'jpg', cv2.IMWRITE_JPEG_PROGRESSIVE, 1)
    last = data.rindex(b'\xff\xda')
    scan = data[last:-2]
    decoded(data[:-2] + 3 * scan + data[-2:])
    assert refusal(data[:-2] + 1000 * scan + data[-2:]) == 'frame_decode'


def test_files_of_many_small_parts_are_refused_in_bounded_time() -> None:
    """Millions of empty segments or chunks."""
    scan = encoded(SMOOTH, 'jpg')[:-2]
    start = time.process_time()
    assert refusal(b'\xff\xd8' + b'\xff\xe0\0\x02' * 4 * 10**6) == 'frame_decode'
    assert refusal(png(8, 6)[:-12] + (bytes(4) + b'teXt' + bytes(4)) * 10**6) == 'frame_decode'
    assert refusal(scan + b'\xff' * 10**6 + b'\0') == 'frame_decode'
    assert time.process_time() - start < 1.0


_BYTES = st.one_of(
    st.binary(max_size=300),
    st.binary(max_size=100).map(lambda data: b'\xff\xd8\xff' + data),
    st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1), st.binary(max_size=50)).map(
        lambda fields: png(fields[0], fields[1], (b'IDAT', fields[2]))
    ),
)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """Give a real file with some bytes changed."""
    data = bytearray(draw(st.sampled_from([encoded(RGB), encoded(GREY16), encoded(RGB, 'jpg')])))
    changes = st.tuples(st.integers(0, len(data) - 1), st.integers(0, 255))
    for place, value in draw(st.lists(changes, max_size=4)):
        data[place] = value
    return bytes(data[: draw(st.integers(len(data) // 2, len(data)))])


@settings(max_examples=400, deadline=None, derandomize=True)
@given(
    data=st.one_of(_BYTES, damaged()),
    text=st.one_of(
        st.sampled_from(['png', 'rgb8; jpeg compressed rgb8', 'bayer_gbrg8; png compressed ']),
        st.text(),
    ),
)
def test_any_compressed_image_gives_pixels_or_a_frame_error(data: bytes, text: str) -> None:
    """Whatever it holds, nothing else comes of it."""
    try:
        rgb = decoded(data, text)
    except FrameError as error:
        assert error.reason.startswith('frame_') and str(error).endswith('.')
        return
    assert rgb.ndim == 3 and rgb.shape[2] == 3 and rgb.dtype == np.uint8
