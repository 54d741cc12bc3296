"""The error tree.

::

    AlgokError              anything a user can act on; the command line prints it without a traceback
    ├── RecipeError         a recipe key is unknown, misspelt, out of range or contradicts another
    ├── InputError          an input file is missing, empty, unreadable or of an unknown format
    ├── StageError          a stage cannot run: its predecessor is missing, the disk is full, the folder is in use
    ├── LedgerError         documents in and out of a stage do not add up
    └── CorruptionError     a file written by algok is not what its manifest says

A *record* that cannot be processed is no exception: it becomes a row in the dead-letter table.
"""

__all__ = ["AlgokError", "CorruptionError", "InputError", "LedgerError", "RecipeError", "StageError"]


class AlgokError(Exception):
    """Base of all errors that algok raises on purpose; the message says what to do."""


class RecipeError(AlgokError):
    """A recipe cannot be used; the message names the key."""


class InputError(AlgokError):
    """An input file cannot be used; the message names the file."""


class StageError(AlgokError):
    """A stage cannot start or cannot finish; the message names the stage and the remedy."""


class LedgerError(AlgokError):
    """Documents in and out of a stage do not add up; the message names the source and the counts."""


class CorruptionError(AlgokError):
    """A file that algok wrote differs from its manifest or its checksum."""
