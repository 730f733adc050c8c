"""The token that Dokuei's own commands send to a router where users sign in."""

from __future__ import annotations

import os

VARIABLE = "DOKUEI_TOKEN"


def headers() -> dict[str, str]:
    """`Authorization` with the token in the environment, where there is one."""
    token = os.environ.get(VARIABLE)
    return {"Authorization": f"Bearer {token}"} if token else {}
