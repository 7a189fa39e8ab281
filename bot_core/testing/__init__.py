"""For tests of bots."""
