"""Files that are whole or not there: atomic writing, temporary files, locks."""
