"""What good DICOM files become."""

import hashlib
import io
from pathlib import Path

import numpy as np
import pytest
from hostile import dicom_bytes
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as DicomSequence
from pydicom.uid import RLELossless
from uploads import Decode, first_pixels, flat

from router.errors import UndecodableImage, UnsupportedImage
from router.study import Spacing, patient_digest

WINDOW = {"WindowCenter": "128", "WindowWidth": "256"}
RAMP = np.arange(256, dtype=np.uint8).reshape(16, 16)


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
    assert image.dtype == np.uint8
    assert image.shape[2] == 3
    assert image.min() < 10
    assert image.max() > 200


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


def test_a_patients_id_leaves_the_decoder_as_a_digest_alone(decode: Decode) -> None:
    def patient(*ids: str) -> str | None:
        return decode(*(("a", dicom_bytes(RAMP, PatientID=each)) for each in ids)).patient

    assert patient("4711", " 4711 ") == patient_digest("4711")
    assert patient("", " ") is None
    for mixed in (("4711", "4712"), ("4711", "")):
        with pytest.raises(UnsupportedImage, match="2 different patient ids; send those of one"):
            patient(*mixed)


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
