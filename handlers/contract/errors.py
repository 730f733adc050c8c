"""The error tree of Dokuei.

    DokueiError
    ├── CardError        a model card that cannot be used
    ├── ArchiveError     a model archive that cannot be used
    ├── ProtocolError    a message that is not Open Inference Protocol v2, or not for this model
    ├── SettingsError    an environment variable that is missing or wrong
    ├── DeviceError      an execution provider that was asked for and is not there
    ├── EvidenceError    a heat map that does not explain its logit
    ├── GoldenError      a server that answers otherwise than the archive was verified to
    └── router.errors    what the router refuses, each with its HTTP status

Every message says what was wrong, where, and what would be right.
"""


class DokueiError(Exception):
    """Base of every error that Dokuei raises on purpose."""


class CardError(DokueiError):
    """A model card is missing, unreadable, or breaks its schema; the message names file and field."""


class ArchiveError(DokueiError):
    """A model archive is missing, damaged, or does not match its card; the message names file and field."""


class ProtocolError(DokueiError):
    """A request or response breaks the Open Inference Protocol v2 or does not fit the model."""


class SettingsError(DokueiError):
    """A setting is missing or wrong; the message names its environment variable and what it may be."""


class DeviceError(DokueiError):
    """The deployment asked for an execution provider (a GPU) that this process does not have."""


class EvidenceError(DokueiError):
    """The class activation map and the logit of one image contradict each other, so neither is shown."""


class GoldenError(DokueiError):
    """What a server computes of the archive's golden set is not what was computed when the archive was verified."""
