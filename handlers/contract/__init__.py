"""The contract between training, model servers and router.

The model card, the archive that carries it, the Open Inference Protocol on the wire, and the one preprocessing
function. It needs numpy, Pillow, pydantic and PyYAML, and nothing of the parts that share it.
"""
