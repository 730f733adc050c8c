"""The router: decode, dispatch, inference, explanation, and the API that clinicians and the portal use."""

DEFAULT_PORT = 8000
"""Of the router, where no other is given. Here, so that a command that asks one loads no settings of it."""
