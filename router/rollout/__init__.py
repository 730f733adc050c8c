"""The operator's tool that takes a candidate from the shadow to being the model, or back: `dokuei rollout`.

It changes the values of the Helm release and nothing else, so that Helm and cluster agree at every step; only `abort`
first takes the traffic away by itself, because that must not wait. It asks the router what the gates say.
"""
