import io
import struct
import zlib

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from PIL import Image, ImageCms, ImageOps

from sfumato.document.compositor import flatten
from sfumato.document.layers import Document, Layer
from sfumato.errors import InputError, SfumatoError, StorageError
from sfumato.files.images import export_image, open_image, open_mask

RNG = np.random.default_rng(3)
NOISE = RNG.integers(0, 256, (30, 40, 4), np.uint8)
FORMATS = ["PNG", "JPEG", "WEBP", "TIFF", "AVIF"]


def encoded(image, file_format="PNG", **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def only(document: Document):
    (layer,) = document.layers
    assert (document.height, document.width) == layer.pixels.shape[:2]
    return layer.pixels


@pytest.mark.parametrize("file_format", ["PNG", "TIFF", "WEBP"])
def test_lossless_pictures_open_bit_for_bit(file_format, tmp_path):
    path = tmp_path / "picture"
    path.write_bytes(encoded(Image.fromarray(NOISE), file_format, lossless=True, exact=True))
    document = open_image(path)
    assert_array_equal(only(document), NOISE)
    assert (document.title, document.source_path, document.notes) == ("picture", path, ())


@pytest.mark.parametrize("file_format", FORMATS)
def test_every_format_opens(file_format):
    y, x = np.mgrid[:48, :64]
    smooth = np.stack([x * 4, y * 5, (x + y) * 2], axis=-1).astype(np.uint8)
    pixels = only(open_image(encoded(Image.fromarray(smooth), file_format, quality=95)))
    assert np.abs(pixels[..., :3].astype(int) - smooth).mean() < 4
    assert (pixels[..., 3] == 255).all()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_photographs_come_upright_and_stay_so(orientation, file_format, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010F] = "Maker"
    exif.get_ifd(0x8769)[0x9003] = "2026:01:02 03:04:05"
    stored = Image.fromarray(np.kron(NOISE[:6, :9, :3], np.ones((8, 8, 1), np.uint8)))
    data = encoded(stored, file_format, exif=exif.tobytes(), quality=100)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGBA"))
    document = open_image(data)
    assert_array_equal(only(document), expected)
    path = tmp_path / "out.jpg"
    export_image(document, path)
    with Image.open(path) as exported:
        assert exported.size == (document.width, document.height)
        kept = exported.getexif()
        assert kept.get(0x0112, 1) == 1
        assert kept[0x010F] == "Maker"
        assert kept.get_ifd(0x8769)[0x9003] == "2026:01:02 03:04:05"


def test_layout_tags_among_a_cameras_exif_do_not_disturb_a_tiff(tmp_path):
    exif = Image.Exif()
    exif[0x0100], exif[0x0101], exif[0x0103], exif[0x0110] = 9999, 8888, 6, "Camera"
    document = open_image(encoded(Image.fromarray(NOISE), exif=exif.tobytes()))
    export_image(document, tmp_path / "out.tif")
    again = open_image(tmp_path / "out.tif")
    assert_array_equal(only(again), NOISE)
    with Image.open(tmp_path / "out.tif") as image:
        assert image.getexif()[0x0110] == "Camera"


def test_modes_of_all_kinds():
    grey = RNG.integers(0, 256, (20, 20), np.uint8)
    alpha = RNG.integers(0, 256, (20, 20), np.uint8)
    expected = np.dstack([grey, grey, grey, np.full_like(grey, 255)])
    assert_array_equal(only(open_image(encoded(Image.fromarray(grey)))), expected)
    two = Image.merge("LA", [Image.fromarray(grey), Image.fromarray(alpha)])
    assert_array_equal(only(open_image(encoded(two))), np.dstack([grey, grey, grey, alpha]))
    bits = Image.fromarray(grey).convert("1")
    assert set(np.unique(only(open_image(encoded(bits)))[..., :3])) == {0, 255}
    palette = Image.fromarray(NOISE[..., :3]).quantize(16)
    assert_array_equal(only(open_image(encoded(palette)))[..., :3], np.asarray(palette.convert("RGB")))
    clear = only(open_image(encoded(palette, transparency=3)))
    assert_array_equal(clear[..., 3] == 0, np.asarray(palette) == 3)
    keyed = Image.new("RGB", (2, 1), (1, 2, 3))
    keyed.putpixel((1, 0), (9, 9, 9))
    assert only(open_image(encoded(keyed, transparency=(1, 2, 3))))[0, :, 3].tolist() == [0, 255]


@pytest.mark.parametrize("file_format", ["PNG", "TIFF"])
def test_sixteen_bits_are_rounded_to_eight(file_format):
    deep = np.linspace(0, 65535, 400).astype(np.uint16).reshape(20, 20)
    document = open_image(encoded(Image.fromarray(deep), file_format))
    assert_array_equal(only(document)[..., 0], np.rint(deep / 257))
    assert any("16 bits" in note for note in document.notes)


def test_sixteen_bit_colour_png():
    deep = RNG.integers(0, 65536, (4, 4, 3)).astype(">u2")

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + row.tobytes() for row in deep)
    header = struct.pack(">IIBBBBB", 4, 4, 16, 2, 0, 0, 0)
    png = (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )
    document = open_image(png)
    assert np.abs(only(document)[..., :3] - deep / 257).max() <= 1
    assert any("16 bits" in note for note in document.notes)


def test_fractional_tiff():
    ramp = np.linspace(0, 1, 16, dtype=np.float32).reshape(4, 4)
    assert_array_equal(only(open_image(encoded(Image.fromarray(ramp), "TIFF")))[..., 1], np.rint(ramp * 255))


def test_cmyk_becomes_srgb_and_says_so():
    document = open_image(encoded(Image.new("CMYK", (4, 4), (0, 255, 255, 0)), "JPEG"))
    assert only(document)[0, 0, 0] > 200
    assert only(document)[0, 0, 1] < 60
    assert any("CMYK" in note for note in document.notes)
    assert document.profile is None


@pytest.mark.parametrize("file_format", FORMATS)
def test_a_wide_gamut_profile_is_kept_to_the_byte(file_format, display_p3, tmp_path):
    document = open_image(encoded(Image.fromarray(NOISE[..., :3]), file_format, icc_profile=display_p3))
    assert document.profile == display_p3
    for suffix in ("png", "jpg", "webp", "tif"):
        path = tmp_path / f"out.{suffix}"
        export_image(document, path)
        assert open_image(path).profile == display_p3


def test_a_profile_that_cannot_be_used_is_left_out_with_a_note():
    document = open_image(encoded(Image.fromarray(NOISE), icc_profile=b"nonsense" * 40))
    assert document.profile is None
    assert any("profile" in note for note in document.notes)
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    assert open_image(encoded(Image.fromarray(NOISE), icc_profile=lab)).profile is None


@pytest.mark.parametrize("file_format", ["PNG", "WEBP", "AVIF", "TIFF"])
def test_of_several_pictures_the_first_opens_with_a_note(file_format):
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "blue")]
    document = open_image(encoded(frames[0], file_format, save_all=True, append_images=frames[1:]))
    assert only(document)[8, 8, 0] > 200
    assert any("first" in note for note in document.notes)


def png_header(width, height):
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))


@pytest.mark.parametrize(
    "size", [(60000, 60000), (12000, 11000), (50000, 2), (2, 50000), (2**31 - 1, 2**31 - 1)]
)
def test_pictures_beyond_the_limits_are_refused_by_their_header(size):
    body = b"IDAT" + zlib.compress(b"")
    data = png_header(*size) + struct.pack(">I", 8) + body + struct.pack(">I", zlib.crc32(body))
    with pytest.raises(InputError, match="too large"):
        open_image(data)


@pytest.mark.parametrize("size", [(10000, 9500), (40000, 1)])
def test_pictures_within_the_limits_are_not(size):
    with pytest.raises(InputError, match="damaged"):  # no pixels follow, but it was not the size
        open_image(png_header(*size) + b"\0\0\0\0IDAT\0\0\0\0")


def test_what_is_no_picture_is_refused_in_a_sentence(tmp_path):
    for data in (b"", b"hello", b"GIF89a" + bytes(40), b"%PDF-1.4", b"8BPS" + bytes(40)):
        with pytest.raises(InputError, match="not a picture"):
            open_image(data)
    gif = encoded(Image.new("P", (4, 4)), "GIF")
    with pytest.raises(InputError, match="not a picture"):
        open_image(gif)
    with pytest.raises(InputError, match="no file"):
        open_image(tmp_path / "absent.png")
    with pytest.raises(InputError, match="folder"):
        open_image(tmp_path)
    with pytest.raises(InputError):
        open_image("nul\0byte.png")


@pytest.mark.parametrize("file_format", FORMATS)
def test_truncated_pictures_are_refused(file_format):
    data = encoded(Image.fromarray(RNG.integers(0, 256, (64, 64, 3), np.uint8)), file_format, quality=90)
    for share in (0.1, 0.3, 0.6, 0.9):
        with pytest.raises(InputError):
            open_image(data[: int(len(data) * share)])


@pytest.mark.parametrize("file_format", FORMATS)
def test_damaged_pictures_open_or_are_refused_and_nothing_else(file_format, damaged, display_p3):
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encoded(Image.fromarray(NOISE[..., :3]), file_format, exif=exif, icc_profile=display_p3)
    refused = 0
    for broken in damaged(data, 300, seed=7):
        try:
            document = open_image(broken)
        except SfumatoError:
            refused += 1
        else:
            assert only(document).dtype == np.uint8
    assert refused > 30, "the damage is real"


def test_masks_open_as_white_times_opaque(tmp_path):
    path = tmp_path / "mask.png"
    grey = RNG.integers(0, 256, (30, 40), np.uint8)
    for image in (
        Image.fromarray(grey),
        Image.fromarray(grey).convert("RGB"),
        Image.fromarray(grey.astype(np.uint16) * 257),
    ):
        image.save(path)
        assert_array_equal(open_mask(path, (40, 30)), grey)
    Image.merge("LA", [Image.new("L", (40, 30), 255), Image.fromarray(grey)]).save(path)
    assert_array_equal(open_mask(path, (40, 30)), grey)


def test_a_mask_of_another_size_is_refused_with_both_sizes(tmp_path):
    path = tmp_path / "mask.png"
    Image.new("L", (40, 30)).save(path)
    with pytest.raises(InputError, match=r"40 x 30.*3000 x 2000"):
        open_mask(path, (3000, 2000))


def test_lossless_exports_are_bit_exact_and_alpha_is_kept(tmp_path):
    document = Document(40, 30, [Layer("picture", NOISE)])
    for suffix, options in (("png", {}), ("tif", {}), ("webp", {"quality": 100})):
        path = tmp_path / f"out.{suffix}"
        export_image(document, path, **options)
        assert_array_equal(only(open_image(path)), flatten(document))


def test_jpeg_lies_over_white_and_opaque_pictures_have_no_alpha(tmp_path):
    clear = np.zeros((16, 16, 4), np.uint8)
    export_image(Document(16, 16, [Layer("clear", clear)]), tmp_path / "out.jpg")
    assert only(open_image(tmp_path / "out.jpg"))[..., :3].min() > 250
    opaque = NOISE.copy()
    opaque[..., 3] = 255
    export_image(Document(40, 30, [Layer("opaque", opaque)]), tmp_path / "out.png")
    with Image.open(tmp_path / "out.png") as image:
        assert image.mode == "RGB"


def test_exports_that_cannot_be(tmp_path):
    document = Document(4, 4, [Layer("picture", np.zeros((4, 4, 4), np.uint8))])
    for name in ("out.gif", "out", "out.psd"):
        with pytest.raises(InputError, match="export"):
            export_image(document, tmp_path / name)
    with pytest.raises(InputError, match="WebP"):
        export_image(Document(20000, 1), tmp_path / "wide.webp")
    with pytest.raises(StorageError, match="folder does not exist"):
        export_image(document, tmp_path / "nowhere" / "out.png")
    assert not list(tmp_path.iterdir())
