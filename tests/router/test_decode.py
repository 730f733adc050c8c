"""What good uploads of every format become."""

import asyncio
import gzip
import hashlib
import io
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from hostile import Upload, dicom_bytes
from nibabel.nifti1 import Nifti1Image
from PIL import Image
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as DicomSequence
from pydicom.uid import RLELossless

from router.decode.decoder import Decoder
from router.decode.limits import UploadedFile
from router.errors import UndecodableImage, UnsupportedImage
from router.study import Spacing, Study

Decode = Callable[..., Study]


@pytest.fixture(scope="module")
def decode(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Decode]:
    folder = tmp_path_factory.mktemp("uploads")
    with asyncio.Runner() as runner:
        decoder = Decoder()
        runner.run(decoder.start())

        def run(*uploads: Upload) -> Study:
            files = []
            for n, (name, content) in enumerate(uploads):
                (folder / str(n)).write_bytes(content)
                files.append(UploadedFile(folder / str(n), name))
            return runner.run(decoder.decode(files))

        yield run
        runner.run(decoder.close())


def encoded(pixels: np.ndarray, format_: str, **options: object) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, format_, **options)
    return stream.getvalue()


def flat(value: int, shape: tuple[int, int] = (4, 6)) -> np.ndarray:
    return np.full(shape, value, np.uint8)


def zipped(members: Sequence[Upload]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in members:
            archive.writestr(name, content)
    return stream.getvalue()


def first_pixels(study: Study) -> list[int]:
    return [int(image.flat[0]) for image in study.images]


WINDOW = {"WindowCenter": "128", "WindowWidth": "256"}
RAMP = np.arange(256, dtype=np.uint8).reshape(16, 16)


# --- PNG, JPEG, TIFF


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
    assert image[:, 9:].min() > 200 and image[:, :7].max() < 50


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


# --- zip


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


# --- DICOM


def test_window_is_applied(decode: Decode) -> None:
    pixels = np.array([[0, 1000, 1050, 1100, 4000]], np.uint16)
    content = dicom_bytes(pixels, WindowCenter="1050", WindowWidth="100", VOILUTFunction="LINEAR_EXACT", BitsStored=12)
    np.testing.assert_allclose(decode(("a", content)).images[0], [[0, 0, 127, 255, 255]], atol=1)


def test_rescale_comes_before_the_window(decode: Decode) -> None:
    pixels = np.array([[0, 1024, 1064, 1104, 4000]], np.uint16)
    content = dicom_bytes(
        pixels, RescaleSlope="1", RescaleIntercept="-1024", WindowCenter="40", WindowWidth="80", BitsStored=12
    )
    np.testing.assert_allclose(decode(("ct", content)).images[0], [[0, 0, 128, 255, 255]], atol=2)


def test_monochrome1_is_inverted_with_and_without_a_window(decode: Decode) -> None:
    for window in (WINDOW, {}):
        image = decode(("a", dicom_bytes(RAMP, PhotometricInterpretation="MONOCHROME1", **window))).images[0]
        np.testing.assert_allclose(image, 255 - RAMP, atol=2)


def test_voi_lut_is_applied(decode: Decode) -> None:
    lut = Dataset()
    lut.LUTDescriptor, lut.LUTData = [256, 0, 16], [65535 - 257 * n for n in range(256)]
    lut["LUTDescriptor"].VR = lut["LUTData"].VR = "US"
    image = decode(("a", dicom_bytes(RAMP, VOILUTSequence=DicomSequence([lut])))).images[0]
    np.testing.assert_allclose(image, 255 - RAMP, atol=1)


def test_series_without_window_has_one_scale_for_all_slices(decode: Decode) -> None:
    dark, bright = (np.full((16, 16), value, np.uint16) for value in (100, 3000))
    bright[0, 0] = 100
    study = decode(
        ("a", dicom_bytes(dark, InstanceNumber="1")),
        ("b", dicom_bytes(bright, InstanceNumber="2")),
    )
    assert study.images[0].max() == study.images[1][0, 0] == 0
    assert study.images[1][1, 1] == 255


def test_slices_are_sorted_by_position_along_the_normal_whatever_their_order_and_number(decode: Decode) -> None:
    uploads = [
        (
            f"{n}.dcm",
            dicom_bytes(
                flat(40 * n),
                ImagePositionPatient=[0, 0, 2.5 * n],
                ImageOrientationPatient=[1, 0, 0, 0, 1, 0],
                InstanceNumber=str(100 - n),
                PixelSpacing=[0.5, 0.75],
                SliceThickness="9",
                **WINDOW,
            ),
        )
        for n in (3, 0, 4, 1, 2)
    ]
    study = decode(*uploads)
    np.testing.assert_allclose(first_pixels(study), [0, 40, 80, 120, 160], atol=1)
    assert study.spacing == Spacing(0.5, 0.75, 2.5)


def test_slices_of_uneven_spacing_have_none(decode: Decode) -> None:
    geometry = {"ImageOrientationPatient": [1, 0, 0, 0, 1, 0], "PixelSpacing": [1, 1], "SpacingBetweenSlices": "1"}
    uploads = [("a", dicom_bytes(RAMP, ImagePositionPatient=[0, 0, z], **geometry)) for z in (0, 1, 5)]
    assert decode(*uploads).spacing == Spacing(1, 1, None)


def test_slices_without_positions_are_sorted_by_instance_number_and_thickness_is_no_spacing(decode: Decode) -> None:
    uploads = [
        (f"{10 - n}", dicom_bytes(flat(n), InstanceNumber=str(n), PixelSpacing=[1, 1], SliceThickness="5", **WINDOW))
        for n in (10, 9, 2)
    ]
    study = decode(*uploads)
    assert first_pixels(study) == sorted(first_pixels(study))
    assert study.spacing == Spacing(1, 1, None)


def test_multi_frame_image_is_a_series_with_its_functional_groups(decode: Decode) -> None:
    def group(**sequences: Dataset) -> Dataset:
        dataset = Dataset()
        for keyword, item in sequences.items():
            setattr(dataset, keyword, DicomSequence([item]))
        return dataset

    def item(**values: object) -> Dataset:
        dataset = Dataset()
        dataset.update(values)
        return dataset

    shared = group(
        PixelMeasuresSequence=item(PixelSpacing=[2, 2]),
        PlaneOrientationSequence=item(ImageOrientationPatient=[1, 0, 0, 0, 1, 0]),
        FrameVOILUTSequence=item(WindowCenter="128", WindowWidth="256"),
    )
    frames = [group(PlanePositionSequence=item(ImagePositionPatient=[0, 0, z])) for z in (30, 20, 10)]
    content = dicom_bytes(
        np.stack([flat(30), flat(20), flat(10)]),
        SharedFunctionalGroupsSequence=DicomSequence([shared]),
        PerFrameFunctionalGroupsSequence=DicomSequence(frames),
    )
    study = decode(("a", content))
    np.testing.assert_allclose(first_pixels(study), [10, 20, 30], atol=1)
    assert study.spacing == Spacing(2, 2, 10)


def test_rle_and_jpeg_2000_decode_to_the_same_image_as_uncompressed(decode: Decode) -> None:
    dataset = dcmread(io.BytesIO(dicom_bytes(RAMP, **WINDOW)))
    dataset.compress(RLELossless, generate_instance_uid=False)
    stream = io.BytesIO()
    dataset.save_as(stream)
    plain = decode(("a", dicom_bytes(RAMP, **WINDOW))).images[0]
    np.testing.assert_array_equal(decode(("a", stream.getvalue())).images[0], plain)

    bundled = [
        Path(str(get_testdata_file(name))).read_bytes() for name in ("MR_small.dcm", "MR_small_jp2klossless.dcm")
    ]
    uncompressed, compressed = (decode(("a", content)).images[0] for content in bundled)
    np.testing.assert_array_equal(uncompressed, compressed)


@pytest.mark.parametrize("name", ["examples_palette.dcm", "examples_ybr_color.dcm", "SC_rgb_rle_16bit.dcm"])
def test_colour_becomes_eight_bit_rgb(name: str, decode: Decode) -> None:
    image = decode(("a", Path(str(get_testdata_file(name))).read_bytes())).images[0]
    assert image.dtype == np.uint8 and image.shape[2] == 3
    assert image.min() < 10 and image.max() > 200


def test_dicom_without_preamble_is_read(decode: Decode) -> None:
    content = dicom_bytes(RAMP, **WINDOW)[132:]
    np.testing.assert_allclose(decode(("a", content)).images[0], RAMP, atol=1)


def test_deflated_dataset_is_read(decode: Decode) -> None:
    assert decode(("a", Path(str(get_testdata_file("image_dfl.dcm"))).read_bytes())).images[0].shape == (512, 512)


def test_only_dispatch_tags_leave_the_header_and_the_key_hides_the_study_uid(decode: Decode) -> None:
    study = decode(("a", dicom_bytes(RAMP, BodyPartExamined="BRAIN")))
    assert study.tags == {"Modality": "MR", "BodyPartExamined": "BRAIN"}
    assert study.key == hashlib.sha256(b"1.2.3").hexdigest()
    assert "Secret" not in repr(study)


@pytest.mark.filterwarnings("ignore:Invalid value for VR CS")  # pydicom, as the test writes it
def test_dispatch_tag_that_is_no_code_string_is_dropped(decode: Decode) -> None:
    assert decode(("a", dicom_bytes(RAMP, BodyPartExamined="head of Jane^Doe"))).tags == {"Modality": "MR"}


def test_burned_in_annotation_is_yes_if_any_image_says_so_and_no_only_if_all_do(decode: Decode) -> None:
    def burned_in(*declared: str | None) -> str:
        return decode(
            *(
                ("a", dicom_bytes(RAMP, **({} if value is None else {"BurnedInAnnotation": value})))
                for value in declared
            )
        ).burned_in

    assert burned_in("NO", "YES") == "yes"
    assert burned_in("NO", "NO") == "no"
    assert burned_in("NO", None) == "undeclared"


def test_several_series_are_refused(decode: Decode) -> None:
    uploads = [("a", dicom_bytes(RAMP, SeriesInstanceUID=f"1.2.{n}")) for n in (1, 2, 2)]
    with pytest.raises(UnsupportedImage, match="images of 2 DICOM series; send one"):
        decode(*uploads)


@pytest.mark.parametrize("name", ["test-SR.dcm", "rtplan.dcm", "waveform_ecg.dcm"])
def test_dicom_without_an_image_is_refused(name: str, decode: Decode) -> None:
    with pytest.raises(UnsupportedImage, match="DICOM without an image"):
        decode(("a", Path(str(get_testdata_file(name))).read_bytes()))


def test_unsupported_compression_is_named(decode: Decode) -> None:
    with pytest.raises(UndecodableImage, match="JPEG Extended"):
        decode(("a", Path(str(get_testdata_file("JPEG-lossy.dcm"))).read_bytes()))


# --- NIfTI


def volume_bytes(voxels: np.ndarray, affine: np.ndarray | None = None) -> bytes:
    return Nifti1Image(voxels, np.diag([2.0, 3.0, 4.0, 1.0]) if affine is None else affine).to_bytes()


def marked_volume() -> np.ndarray:
    """[5, 6, 7] in RAS+: bright where the patient's right, anterior and inferior ends meet."""
    voxels = np.zeros((5, 6, 7), np.int16)
    voxels[-1, -1, 0] = 1000
    return voxels


def test_nifti_is_shown_axially_from_below_with_the_front_up_and_the_right_side_left(decode: Decode) -> None:
    study = decode(("a.nii", volume_bytes(marked_volume())))
    assert len(study.images) == 7 and study.images[0].shape == (6, 5)
    assert study.images[0][0, 0] == 255
    assert sum(int(np.count_nonzero(image)) for image in study.images) == 1
    assert study.spacing == Spacing(3, 2, 4)


def test_nifti_stored_along_other_axes_is_shown_the_same(decode: Decode) -> None:
    stored = np.transpose(marked_volume(), (2, 0, 1))[:, ::-1, :]  # axes S, L, A
    affine = np.array([[0, -2.0, 0, 0], [0, 0, 3.0, 0], [4.0, 0, 0, 0], [0, 0, 0, 1]])
    straight = decode(("a.nii", volume_bytes(marked_volume())))
    turned = decode(("a.nii", volume_bytes(np.ascontiguousarray(stored), affine)))
    np.testing.assert_array_equal(turned.images, straight.images)
    assert turned.spacing == straight.spacing


def test_compressed_nifti_is_the_same_volume(decode: Decode) -> None:
    content = volume_bytes(marked_volume())
    study = decode(("a", gzip.compress(content)))
    assert study.kind == "nifti"
    np.testing.assert_array_equal(study.images, decode(("a", content)).images)


def test_values_that_are_not_finite_do_not_shift_the_scale(decode: Decode) -> None:
    voxels = np.tile(np.linspace(0, 1, 100, dtype=np.float32)[:, None, None], (1, 10, 3))
    voxels[0, 0, 0], voxels[1, 0, 0], voxels[2, 0, 0] = np.nan, np.inf, -np.inf
    study = decode(("a.nii", volume_bytes(voxels)))
    assert abs(int(np.median(study.images[1])) - 127) <= 2
    assert study.images[0][-1, -1] == 0  # not a number


def test_fourth_axis_of_three_and_rgb_voxels_are_colour(decode: Decode) -> None:
    colour = np.zeros((4, 5, 2, 3), np.uint8)
    colour[..., 1] = 90
    expected = np.broadcast_to(np.array([0, 90, 0], np.uint8), (5, 4, 3))
    np.testing.assert_array_equal(decode(("a.nii", volume_bytes(colour))).images[0], expected)
    rgb = colour.view(np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")]))[..., 0]
    np.testing.assert_array_equal(decode(("a.nii", volume_bytes(rgb))).images[0], expected)


def test_volumes_over_time_are_refused(decode: Decode) -> None:
    with pytest.raises(UnsupportedImage, match="holds 8 volumes"):
        decode(("a.nii", volume_bytes(np.zeros((4, 4, 4, 8), np.int16))))


def test_several_volumes_are_refused(decode: Decode) -> None:
    with pytest.raises(UnsupportedImage, match="2 NIfTI volumes"):
        decode(("a.nii", volume_bytes(marked_volume())), ("b.nii", volume_bytes(marked_volume())))
