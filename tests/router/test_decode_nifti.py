"""What good NIfTI volumes become."""

import gzip

import numpy as np
import pytest
from nibabel.nifti1 import Nifti1Image
from uploads import Decode

from router.errors import UnsupportedImage
from router.study import Spacing


def volume_bytes(voxels: np.ndarray, affine: np.ndarray | None = None) -> bytes:
    return Nifti1Image(voxels, np.diag([2.0, 3.0, 4.0, 1.0]) if affine is None else affine).to_bytes()


def marked_volume() -> np.ndarray:
    """[5, 6, 7] in RAS+: bright where the patient's right, anterior and inferior ends meet."""
    voxels = np.zeros((5, 6, 7), np.int16)
    voxels[-1, -1, 0] = 1000
    return voxels


def test_nifti_is_shown_axially_from_below_with_the_front_up_and_the_right_side_left(decode: Decode) -> None:
    study = decode(("a.nii", volume_bytes(marked_volume())))
    assert len(study.images) == 7
    assert study.images[0].shape == (6, 5)
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
