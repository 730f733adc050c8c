"""What good images and zips become."""

import hashlib
import io

import numpy as np
import pytest
from hostile import dicom_bytes
from PIL import Image
from uploads import Decode, encoded, first_pixels, flat, zipped

from router.errors import UnsupportedImage

WINDOW = {"WindowCenter": "128", "WindowWidth": "256"}
RAMP = np.arange(256, dtype=np.uint8).reshape(16, 16)


def test_png_is_decoded_as_it_is(decode: Decode) -> None:
    content = encoded(RAMP, "PNG")
    study = decode(("image.png", content))
    assert (study.kind, study.tags, study.spacing, study.burned_in) == ("png", {}, None, "not-dicom")
    assert study.sha256 == study.key == hashlib.sha256(content).hexdigest()
    np.testing.assert_array_equal(study.images[0], RAMP)


def test_jpeg_is_turned_upright_by_its_exif_orientation(decode: Decode) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the first row of the file is the right column of the scene
    pixels = np.zeros((16, 32), np.uint8)
    pixels[:8] = 255
    image = decode(("image.jpg", encoded(pixels, "JPEG", exif=exif))).images[0]
    assert image.shape == (32, 16)
    assert image[:, 9:].min() > 200
    assert image[:, :7].max() < 50


def test_sixteen_bit_grey_is_scaled_by_its_range(decode: Decode) -> None:
    pixels = np.linspace(1000, 5000, 256).astype(np.uint16).reshape(16, 16)
    np.testing.assert_allclose(decode(("image.png", encoded(pixels, "PNG"))).images[0], RAMP, atol=1)


def test_transparency_is_dropped_and_palettes_become_rgb(decode: Decode) -> None:
    see_through = np.zeros((4, 4, 4), np.uint8)
    see_through[..., 0] = 200
    np.testing.assert_array_equal(decode(("a.png", encoded(see_through, "PNG"))).images[0], see_through[..., :3])
    stream = io.BytesIO()
    Image.fromarray(see_through[..., :3]).convert("P").save(stream, "PNG")
    assert decode(("a.png", stream.getvalue())).images[0].shape == (4, 4, 3)


def test_pages_of_a_tiff_are_a_series(decode: Decode) -> None:
    stream = io.BytesIO()
    pages = [Image.fromarray(flat(value)) for value in (10, 20, 30)]
    pages[0].save(stream, "TIFF", save_all=True, append_images=pages[1:])
    study = decode(("scan", stream.getvalue()))
    assert (study.kind, first_pixels(study)) == ("tiff", [10, 20, 30])


def test_several_images_are_in_the_natural_order_of_their_names_and_may_differ_in_size(decode: Decode) -> None:
    study = decode(
        ("slice10.png", encoded(flat(10), "PNG")),
        ("slice9.png", encoded(flat(9, (3, 3)), "PNG")),
        ("slice1.png", encoded(flat(1), "PNG")),
    )
    assert first_pixels(study) == [1, 9, 10]
    assert study.images[1].shape == (3, 3)


def test_digest_of_several_files_does_not_depend_on_their_order(decode: Decode) -> None:
    a, b = encoded(flat(1), "PNG"), encoded(flat(2), "PNG")
    digests = sorted(hashlib.sha256(content).digest() for content in (a, b))
    expected = hashlib.sha256(b"".join(digests)).hexdigest()
    assert decode(("a", a), ("b", b)).sha256 == decode(("a", b), ("b", a)).sha256 == expected


def test_content_decides_and_not_the_extension(decode: Decode) -> None:
    assert decode(("image.dcm", encoded(RAMP, "PNG"))).kind == "png"
    assert decode(("image.png", dicom_bytes(RAMP))).kind == "dicom"


def test_formats_are_not_mixed(decode: Decode) -> None:
    with pytest.raises(UnsupportedImage, match="file 1 of 2 is DICOM and file 2 of 2 is PNG"):
        decode(("a", dicom_bytes(RAMP)), ("b", encoded(RAMP, "PNG")))


def test_zip_is_one_series_without_what_systems_put_beside_it(decode: Decode) -> None:
    content = zipped(
        [
            ("scan/", b""),
            ("scan/2.png", encoded(flat(2), "PNG")),
            ("scan/10.png", encoded(flat(10), "PNG")),
            ("scan/.DS_Store", b"\0\0\0\1Bud1"),
            ("__MACOSX/scan/._2.png", b"\0\5\x16\7"),
            ("DICOMDIR", b"x"),
        ]
    )
    study = decode(("scan.zip", content))
    assert first_pixels(study) == [2, 10]
    assert study.sha256 == hashlib.sha256(content).hexdigest()


def test_zip_among_other_files_is_refused(decode: Decode) -> None:
    with pytest.raises(UnsupportedImage, match="file 2 of 2 is a zip among other files"):
        decode(("a.png", encoded(RAMP, "PNG")), ("b.zip", zipped([("a.png", encoded(RAMP, "PNG"))])))
