"""What the router refuses or cannot do, each with the HTTP status and title of its RFC 9457 problem.

    DokueiError
    └── Problem
        ├── InvalidUpload       400  nothing usable was sent
        ├── NotSignedIn         401  no token
        │   └── TokenRefused    401  not a good one
        ├── NotAllowed          403  a user whose roles or departments do not let them
        ├── CrossSite           403  a page of another site asks in a user's name
        ├── UndecodableImage    422  a file is damaged, hostile or of an unknown format
        ├── TooLarge            413  more bytes, pixels or files than are taken
        ├── UnsupportedImage    422  a good image that no model accepts
        ├── UnknownModel        404  a model that is not served
        ├── NotFound            404  an analysis, image or route that does not exist
        │   └── NotTheirs       404  an analysis of another department, which is not there for the user
        ├── TooManyRequests     429  a user who asks too often
        ├── Overloaded          503  this machine is too busy for it
        ├── ProviderUnavailable 503  the identity provider does not answer
        ├── ModelUnavailable    503  the model's server does not answer
        ├── ModelFailed         502  the model's server answers with an error or nonsense
        └── StoreUnavailable    503  the database does not work

A message never holds what a file says about its patient: no tag values but those of dispatch, no file names.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any, ClassVar

from handlers.contract.errors import DokueiError


class Problem(DokueiError):
    """An error with an answer for the caller.

    Args:
        detail: what was wrong, where, and what would be right; for people.
        extra: members of the problem document beside the standard ones, for programs.
    """

    status: ClassVar[int] = 500
    title: ClassVar[str] = "Internal error"
    slug: ClassVar[str] = "internal-error"
    retry_after: int | None = None
    """Seconds after which the same request can be good."""
    headers: ClassVar[Mapping[str, str]] = {}

    def __init__(self, detail: str, **extra: Any) -> None:
        super().__init__(detail)
        self.detail = detail
        self.extra = extra

    def document(self) -> dict[str, Any]:
        """The `application/problem+json` document (RFC 9457 section 3)."""
        return {
            "type": f"/problems/{self.slug}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            **self.extra,
        }


class InvalidUpload(Problem):
    """The request holds no files, or fields that are not known."""

    status, title, slug = 400, "The upload cannot be used", "invalid-upload"


class NotSignedIn(Problem):
    """The request carries no token."""

    status, title, slug = 401, "Sign in first", "not-signed-in"
    headers: ClassVar[Mapping[str, str]] = {"WWW-Authenticate": "Bearer"}


class TokenRefused(NotSignedIn):
    """The request carries a token that is not good."""


class NotAllowed(Problem):
    """The user is known, and may not do this."""

    status, title, slug = 403, "Your account may not do this", "not-allowed"


class CrossSite(Problem):
    """A page of another site asks for a change in the name of a user who is signed in."""

    status, title, slug = 403, "Asked from another site", "cross-site"


class UndecodableImage(Problem):
    """A file is damaged, hostile, or of an unknown format."""

    status, title, slug = 422, "The image cannot be decoded", "undecodable-image"


class TooLarge(Problem):
    """The upload has more bytes, pixels or files than the router takes."""

    status, title, slug = 413, "The upload is too large", "too-large"


class UnsupportedImage(Problem):
    """A good image, but of a kind that no model accepts."""

    status, title, slug = 422, "No model accepts this image", "unsupported-image"


class UnknownModel(Problem):
    """The caller named a model that is not served."""

    status, title, slug = 404, "No such model", "unknown-model"


class NotFound(Problem):
    """The analysis, image or route does not exist."""

    status, title, slug = 404, "Not found", "not-found"


class NotTheirs(NotFound):
    """The analysis is another department's: the answer is that of one that does not exist."""


class TooManyRequests(Problem):
    """A user, or an address with bad tokens, asks more often than it may."""

    status, title, slug = 429, "Too many requests", "too-many-requests"

    def __init__(self, detail: str, retry_after: int) -> None:
        super().__init__(detail)
        self.retry_after = retry_after


class Overloaded(Problem):
    """This machine has not the processors to do in time what was asked for; the same upload can be good later."""

    status, title, slug = 503, "Too much is asked at once", "overloaded"

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        # Each another time: those that were refused together must not come again together.
        self.retry_after = random.randint(2, 10)  # noqa: S311 (nobody gains by guessing it)


class ProviderUnavailable(Problem):
    """The identity provider's keys cannot be asked for, so no token can be verified."""

    status, title, slug = 503, "The identity provider does not answer", "provider-unavailable"
    retry_after = 5


class ModelUnavailable(Problem):
    """The model's server does not answer; trying again later can help."""

    status, title, slug = 503, "The model does not answer", "model-unavailable"
    retry_after = 5


class ModelFailed(Problem):
    """The model's server answered with an error, or with something that is not its contract."""

    status, title, slug = 502, "The model failed", "model-failed"


class StoreUnavailable(Problem):
    """The database cannot be reached or written; the message says whether nothing was stored, or that is not known."""

    status, title, slug = 503, "The database does not work", "store-unavailable"
    retry_after = 5
