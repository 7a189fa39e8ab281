"""A QQ open platform on loopback, for development and tests."""
