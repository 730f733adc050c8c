"""What an upload gets on a machine that is too busy to decode it."""

from pathlib import Path

import psutil
import pytest
from uploads import decoding, encoded, flat

from router.decode.limits import DecodeLimits
from router.errors import Overloaded


def test_an_upload_that_gets_no_processor_is_not_called_damaged(tmp_path: Path) -> None:
    with decoding(tmp_path, DecodeLimits(seconds=0.1)) as decode:
        fork_servers = psutil.Process().children()
        for process in (worker for server in fork_servers for worker in server.children()):
            process.suspend()
        with pytest.raises(Overloaded, match="too busy"):
            decode(("image.png", encoded(flat(7), "PNG")))
