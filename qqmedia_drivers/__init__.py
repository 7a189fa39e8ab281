"""Where media are hosted: drivers of `qqmedia`, found through the entry point group `qqmedia` like anybody's."""
