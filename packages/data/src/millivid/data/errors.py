"""The error that every problem with a user's files becomes."""


class DatasetError(ValueError):
    """A file or folder is not what it has to be.

    The message is one or two sentences: which file, what was found, what was expected and what to do about it.
    """
