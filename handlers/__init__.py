"""What runs inside a model server: the handlers, the light server, TorchServe, and the contract they share."""

import os

# The official builds of ONNX Runtime send events with model names and digests to their vendor unless this is set before
# it is first imported (onnxruntime/Privacy.md, "Disabling Telemetry"). Nothing leaves a model server but its answers.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
