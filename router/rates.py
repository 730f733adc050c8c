"""How often each user may ask. Every router counts for itself: several let through as many times more."""

from __future__ import annotations

import math
import time

from limits import RateLimitItem, RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import MovingWindowRateLimiter

from .errors import TooManyRequests
from .settings import Settings
from .user import User

FAILED_LOGINS = RateLimitItemPerMinute(20, namespace="failed logins")
"""Of one address; more are answered, and neither told nor recorded one by one."""


class Rates:
    """Counts what is asked in the last minute."""

    def __init__(self, settings: Settings) -> None:
        self._limiter = MovingWindowRateLimiter(MemoryStorage())
        self._requests = RateLimitItemPerMinute(settings.user_requests_per_minute, namespace="requests")
        self._analyses = RateLimitItemPerMinute(
            settings.user_analyses_per_minute, namespace="analyses and explanations"
        )

    async def request(self, user: User) -> None:
        """Count a request of any kind.

        Raises:
            TooManyRequests: there were too many.
        """
        await self._count(self._requests, user.subject, "your account has")

    async def analysis(self, user: User) -> None:
        """Count an upload, or an explanation that is asked for.

        Raises:
            TooManyRequests: there were too many.
        """
        await self._count(self._analyses, user.subject, "your account has")

    async def failed_login(self, address: str | None) -> None:
        """Count a token that was refused.

        Raises:
            TooManyRequests: there were too many.
        """
        await self._count(FAILED_LOGINS, str(address), "your address has")

    async def _count(self, limit: RateLimitItem, key: str, whose: str) -> None:
        if not await self._limiter.hit(limit, key):
            again = (await self._limiter.get_window_stats(limit, key)).reset_time - time.time()
            raise TooManyRequests(
                f"{whose} {limit.amount} {limit.namespace} in a minute; wait, and go on more slowly",
                retry_after=max(1, math.ceil(again)),
            )
