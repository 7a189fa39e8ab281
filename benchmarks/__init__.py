"""What produces every figure that the README quotes: ratios between two bots, measured in one run."""
