"""The command `qqmedia`."""
