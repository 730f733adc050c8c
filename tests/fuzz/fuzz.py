"""Feed mutated bytes to what takes bytes from outside, led by the code that they reach (libFuzzer, through atheris).

    make fuzz MINUTES=10                                               # all targets, in turn
    python tests/fuzz/fuzz.py image --seconds 60                       # one of them
    python tests/fuzz/fuzz.py image --input build/fuzz/image/crash-…   # repeat what was found

Begins from generated seeds. What it finds lies in build/fuzz/<target>: the inputs that reached new code, from which the
next run goes on, and crash-…, timeout-… or oom-… for a fault. Such an input, made small, goes into
tests/fuzz/corpus/<target>, which `make test` repeats.
"""

from __future__ import annotations

import argparse
import hashlib
import logging
import resource
import sys
import warnings
from pathlib import Path

import atheris
from PIL import Image

sys.path[:0] = [str(Path(__file__).parents[up]) for up in (2, 1)] + [str(Path(__file__).parents[1] / "router")]

with atheris.instrument_imports(
    include=["fuzz_targets", "handlers", "router", "pydicom", "nibabel", "PIL", "starlette", "yaml"]
):
    import fuzz_seeds
    from fuzz_targets import MIB, TARGETS

SECONDS = 20
"""Of one input, on a machine that does other things beside it; the decoder itself ends after 1.5 of computing."""
MEMORY_MIB = 4096
"""Address space: more than the fuzzer takes, less than a file that asks for gigabytes."""


def main() -> None:
    """Run one target; ends with 0 if no input found a fault."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("target", choices=TARGETS)
    length = parser.add_mutually_exclusive_group(required=True)
    length.add_argument("--runs", type=int, help="inputs to try")
    length.add_argument("--seconds", type=int, help="time to try inputs for")
    length.add_argument("--input", type=Path, help="an input to repeat")
    parser.add_argument("--seed", type=int, default=1, help="of the mutations (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=Path("build/fuzz"), help="default: %(default)s")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable()
    Image.MAX_IMAGE_PIXELS = None
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_MIB * MIB, MEMORY_MIB * MIB))
    target = TARGETS[given.target]
    if given.input:
        target(given.input.read_bytes())
        print(f"{given.input}: no fault")
        return
    out = given.out / given.target
    out.mkdir(parents=True, exist_ok=True)
    for content in fuzz_seeds.of(given.target):
        (out / hashlib.sha256(content).hexdigest()[:16]).write_bytes(content)
    length_of = f"-runs={given.runs}" if given.runs is not None else f"-max_total_time={given.seconds}"
    options = [
        length_of, f"-seed={given.seed}", f"-artifact_prefix={out}/", f"-timeout={SECONDS}", "-rss_limit_mb=2048",
        f"-max_len={64 * 1024}", "-print_final_stats=1",
    ]  # fmt: skip
    atheris.Setup([sys.argv[0], *options, str(out)], target)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
