"""A file by rows is the file in memory, and a killed run goes on where it was."""

from tests.files import TINY  # noqa
