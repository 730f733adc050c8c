"""What hostile and broken uploads get: a problem that names the fault, in time, within the memory of the decoder."""

import io
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Self

import numpy as np
import psutil
import pytest
from hostile import HOSTILE, dicom_bytes
from paths import ROOT
from PIL import Image
from uploads import Decode, decoding

from router.decode.limits import DecodeLimits
from router.errors import InvalidUpload, Problem, TooLarge, UndecodableImage

MIB = 2**20
NAMED_FAULT = {
    "truncated_dicom": "cut off",
    "dicom_cut_in_its_header": "cut off",
    "deflate_bomb": "deflated DICOM dataset of more than",
    "zero_length_jp2_box": "JPEG 2000",
    "huge_dicom": "65535 x 65535",
    "huge_png": "100000 x 100000",
    "png_that_needs_much_memory": "MiB of memory",
    "truncated_jpeg": "cut off",
    "text_called_png": "is text",
    "text_called_dicom": "no known image format",
    "empty_file": "is empty",
    "random_bytes": "no known image format",
    "random_bytes_behind_a_dicom_preamble": "DICOM without an image",
    "pdf": "PDF",
    "zip_slip": "outside the zip",
    "zip_bomb": "unfolds to more than",
    "zip_bomb_that_lies": "damaged zip",
    "nested_zip": "a zip inside a zip",
    "encrypted_zip": "encrypted",
    "zip_of_too_many_files": "2001 files",
    "zip_of_text": "file 2 of 2 in the zip is text",
    "empty_zip": "no image",
    "truncated_zip": "damaged zip",
    "gzip_bomb": "gzip file of something other than NIfTI",
    "gzip_bomb_with_nifti_header": "1907 MiB",
    "truncated_nifti": "cut off",
    "tiff_of_pages_in_a_circle": "runs in a circle",
}


@pytest.fixture
def decode_with_small_limits(tmp_path: Path) -> Iterator[Decode]:
    with decoding(tmp_path, DecodeLimits(files=2, upload_bytes=4096, pixels=100, series_pixels=250)) as run:
        yield run


class MemorySampler:
    """Highest resident memory of any decoding process, sampled while the block runs.

    Decoding processes and their fork server share a command line, which no other process below this one has.
    """

    def __enter__(self) -> Self:
        self.peak = 0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._sample)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._done.wait(0.005):
            for process in psutil.Process().children(recursive=True):
                with suppress(psutil.NoSuchProcess):
                    if any("forkserver" in argument for argument in process.cmdline()):
                        self.peak = max(self.peak, process.memory_info().rss)


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def png(width: int = 8, height: int = 8) -> bytes:
    stream = io.BytesIO()
    Image.new("L", (width, height), 7).save(stream, "PNG")
    return stream.getvalue()


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_upload_is_refused_in_time_and_memory_and_a_good_one_decodes_after_it(
    name: str, decode: Decode
) -> None:
    upload = HOSTILE[name]()
    with MemorySampler() as memory:
        start = time.perf_counter()
        with pytest.raises(Problem) as refusal:
            decode(upload)
        seconds = time.perf_counter() - start
    assert 400 <= refusal.value.status < 500
    assert NAMED_FAULT[name] in refusal.value.detail
    # What is limited is the time it computes; a busy machine takes longer for it.
    assert seconds < 10 * DecodeLimits().seconds
    assert memory.peak <= 512 * MIB
    assert decode(("image.png", png())).images[0].shape == (8, 8)


def test_refusal_names_the_file_by_its_position_and_never_repeats_names_or_header(decode: Decode) -> None:
    good = dicom_bytes(np.zeros((8, 8), np.uint16))
    with pytest.raises(UndecodableImage) as refusal:
        decode(("secret-a.dcm", good), ("secret-b.dcm", good[:-20]), ("secret-c.dcm", good))
    assert "file 2 of 3" in refusal.value.detail
    assert "secret" not in refusal.value.detail.lower()


@pytest.mark.filterwarnings("ignore:Invalid value for VR DA")  # pydicom, as the test writes it
def test_header_values_do_not_reach_the_log_of_the_service(decode: Decode, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UndecodableImage):
        decode(("image.dcm", dicom_bytes(np.zeros((8, 8), np.uint16), SpacingBetweenSlices="")[:-20]))
    decode(("image.dcm", dicom_bytes(np.zeros((8, 8), np.uint16), PatientBirthDate="not-a-date")))
    assert capfd.readouterr() == ("", "")


def test_no_file_is_an_invalid_upload(decode: Decode) -> None:
    with pytest.raises(InvalidUpload, match="holds no file"):
        decode()


def test_more_files_than_the_limit_are_too_large(decode_with_small_limits: Decode) -> None:
    with pytest.raises(TooLarge, match="3 files; at most 2"):
        decode_with_small_limits(*[("image.png", png())] * 3)


def test_more_bytes_than_the_limit_are_too_large(decode_with_small_limits: Decode) -> None:
    with pytest.raises(TooLarge, match="at most 0 MiB"):
        decode_with_small_limits(("image.png", bytes(5000)))


def test_more_pixels_than_the_limit_are_too_large_in_one_image_and_in_the_series(
    decode_with_small_limits: Decode,
) -> None:
    with pytest.raises(TooLarge, match="11 x 10 pixels"):
        decode_with_small_limits(("image.png", png(11, 10)))
    with pytest.raises(TooLarge, match="the images up to file 1 of 1"):
        decode_with_small_limits(("image.dcm", dicom_bytes(np.zeros((3, 10, 10), np.uint16))))


def test_decoder_survives_the_end_of_its_waiting_processes_and_of_the_server_that_forks_them(decode: Decode) -> None:
    servers = [process for process in psutil.Process().children() if process.children()]
    assert servers
    for server in servers:
        for process in [*server.children(), server]:
            process.kill()
        wait_until(lambda server=server: server.status() == psutil.STATUS_ZOMBIE)
    assert decode(("image.png", png())).images[0].shape == (8, 8)


def test_process_that_the_system_kills_while_it_decodes_is_told_as_a_fault_of_the_file(decode: Decode) -> None:
    def kill_the_busy_one() -> None:
        def busy() -> list[psutil.Process]:
            processes = [child for server in psutil.Process().children() for child in server.children()]
            return [process for process in processes if process.cpu_times().user > 0.2]

        wait_until(lambda: bool(busy()))
        busy()[0].kill()

    killer = threading.Thread(target=kill_the_busy_one)
    killer.start()
    with pytest.raises(UndecodableImage, match=r"frame 1 .* the decoding process died of it"):
        decode(HOSTILE["zero_length_jp2_box"]())
    killer.join()
    assert decode(("image.png", png())).images[0].shape == (8, 8)


def test_decoding_process_does_not_run_the_main_module_of_the_service(tmp_path: Path) -> None:
    image, log, script = tmp_path / "image.png", tmp_path / "log", tmp_path / "service.py"
    image.write_bytes(png())
    script.write_text(f"""
import asyncio, pathlib
with open({str(log)!r}, "a") as log:
    log.write(__name__ + " ")
from router.decode.decoder import Decoder
from router.decode.limits import UploadedFile

async def main():
    decoder = Decoder()
    await decoder.start()
    print((await decoder.decode([UploadedFile(pathlib.Path({str(image)!r}), "image.png")])).kind)
    await decoder.close()

if __name__ == "__main__":
    asyncio.run(main())
""")
    result = subprocess.run(
        [sys.executable, str(script)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (result.stdout, log.read_text()) == ("png\n", "__main__ ")
