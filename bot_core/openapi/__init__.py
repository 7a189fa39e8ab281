"""The platform's HTTP side: token, typed calls, error table."""
