"""Who asks, and what they may do: OpenID Connect bearer tokens, verified by the router itself.

A browser's tokens are put on its requests by the proxy that signs its user in (OAuth 2.0 for Browser-Based Apps,
section 6.1: a backend for the frontend); a program brings its own. Both are verified here (RFC 7519, OpenID Connect
Core section 3.1.3.7), so that no header of a proxy has to be believed. Without a provider everybody is the one local
user, and the router listens on loopback only (`router.cli`).
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Mapping, Sequence
from typing import Any

import httpx
import jwt

from . import telemetry
from .errors import NotSignedIn, ProviderUnavailable, TokenRefused
from .settings import Settings
from .user import ANYONE, User

ALGORITHMS = ("RS256", "PS256", "ES256", "EdDSA")
"""Of asymmetric keys only: a provider's public key must not pass for a shared secret."""
SKEW_SECONDS = 30
RENEW_SECONDS = 300
"""How long keys are kept; those of a provider that has gone away stay."""
LEAST_SECONDS = 5
"""Between two requests to the provider, however many tokens name keys that it has not."""
TIMEOUT_SECONDS = 10


class Access:
    """Tells users apart.

    Args:
        settings: with `oidc_issuer`, tokens of that provider are asked for; without it, everybody is `ANYONE`.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._client = httpx.AsyncClient(timeout=TIMEOUT_SECONDS, trust_env=True)
        self._keys: list[jwt.PyJWK] = []
        self._asked = -math.inf
        self._asking = asyncio.Lock()

    @property
    def signs_in(self) -> bool:
        """Whether there is a provider."""
        return self._settings.oidc_issuer is not None

    async def close(self) -> None:
        """Close the connections to the provider."""
        await self._client.aclose()

    async def user(self, headers: Mapping[str, str]) -> User:
        """Who sent a request with these headers.

        Raises:
            NotSignedIn: no token.
            TokenRefused: one that this provider did not give for this router, or not for now.
            ProviderUnavailable: its keys cannot be asked for.
        """
        if not self.signs_in:
            return ANYONE
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise NotSignedIn("sign in, or send a bearer token of the provider: Authorization: Bearer …")
        try:
            key = await self._key(jwt.get_unverified_header(token).get("kid"))
            claims = jwt.decode(
                token,
                key,
                algorithms=ALGORITHMS,
                issuer=self._settings.oidc_issuer,
                audience=self._settings.oidc_audience,
                leeway=SKEW_SECONDS,
                options={"require": ["exp", "iat", "iss", "aud", "sub"]},
            )
        except jwt.PyJWTError as error:
            raise TokenRefused(f"the token is not good: {error}") from None
        return self._described(claims)

    def _described(self, claims: Mapping[str, Any]) -> User:
        given = _texts(claims.get(self._settings.oidc_roles_claim))
        mapping = self._settings.oidc_roles
        of_departments = self._settings.oidc_departments_claim
        return User(
            subject=claims["sub"],
            client=str(claims.get("azp") or self._settings.oidc_audience),
            name=str(claims.get("name") or claims.get("preferred_username") or claims["sub"]),
            roles=frozenset(mapping[value] for value in given if value in mapping),
            departments=None if of_departments is None else tuple(_texts(claims.get(of_departments))),
        )

    async def _key(self, kid: str | None) -> jwt.PyJWK:
        # Only who cannot do without waits for another's question to the provider.
        if self._due(kid) and not (self._asking.locked() and self._known(kid)):
            async with self._asking:
                if self._due(kid):
                    await self._renew()
        if not self._keys:
            raise ProviderUnavailable("the identity provider does not answer, so nobody can be let in")
        found = self._known(kid)
        if found is None:
            raise jwt.InvalidKeyError("it is signed with a key that the provider does not have")
        return found

    def _due(self, kid: str | None) -> bool:
        age = time.monotonic() - self._asked
        return age > RENEW_SECONDS or (self._known(kid) is None and age > LEAST_SECONDS)

    def _known(self, kid: str | None) -> jwt.PyJWK | None:
        """The key of that name; a provider with one key need not name it (OpenID Connect Core, section 10.1)."""
        named = self._keys if kid is None else [key for key in self._keys if key.key_id == kid]
        return named[0] if len(named) == 1 else None

    async def _renew(self) -> None:
        """Ask for the keys; those that were known stay where no others come."""
        issuer = str(self._settings.oidc_issuer).rstrip("/")
        try:
            discovered = await self._get(f"{issuer}/.well-known/openid-configuration")
            keys = jwt.PyJWKSet.from_dict(await self._get(discovered["jwks_uri"])).keys
            self._keys = [key for key in keys if key.public_key_use in (None, "sig")]
        except (httpx.HTTPError, ValueError, KeyError, TypeError, jwt.PyJWTError) as error:
            telemetry.log.warning("the identity provider's keys cannot be read", issuer=issuer, error=repr(error))
        finally:
            self._asked = time.monotonic()

    async def _get(self, url: str) -> Any:
        answer = await self._client.get(url)
        return answer.raise_for_status().json()


def _texts(claim: object) -> Sequence[str]:
    """A claim that is a text or a list of texts."""
    values = claim if isinstance(claim, list) else [claim]
    return [value for value in values if isinstance(value, str) and value]
