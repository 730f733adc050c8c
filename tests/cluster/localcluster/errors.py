"""What can go wrong with the cluster."""

from handlers.contract.errors import DokueiError


class ClusterError(DokueiError):
    """The cluster cannot be started, reached or stopped as asked for."""
