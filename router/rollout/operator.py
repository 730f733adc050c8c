"""Who acts."""

import getpass
import os
import socket


def operator() -> str:
    """User, machine and process."""
    return f"{getpass.getuser()}@{socket.gethostname()}/{os.getpid()}"
