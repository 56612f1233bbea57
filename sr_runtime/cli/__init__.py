"""The command line: which files to read and write, many of them at once, and `info`."""
