"""The router: decode, dispatch, inference, explanation, and the API that clinicians and the portal use."""
