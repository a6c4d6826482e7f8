"""The two errors of this package; files of videos have those of millivid-data."""


class EvaluationError(ValueError):
    """Videos, settings or folders that do not go together; the message names what came and what would work."""


class MissingWeights(RuntimeError):
    """A pretrained network that a metric needs is not installed; the message says how to get it."""


def name_some(names: list[str], limit: int = 5) -> str:
    """`a, b, c and 7 more`: names for an error message, at most `limit` of them in full."""
    shown = ", ".join(names[:limit])
    return shown if len(names) <= limit else f"{shown} and {len(names) - limit} more"
