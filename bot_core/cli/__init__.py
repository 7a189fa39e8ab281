"""The command qqbot."""
