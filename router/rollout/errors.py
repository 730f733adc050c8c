"""What a rollout cannot do."""

from handlers.contract.errors import DokueiError


class RolloutError(DokueiError):
    """A step of a rollout is refused or did not work; says why, and what would be right."""
