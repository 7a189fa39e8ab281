"""The platform's event side: WebSocket session, shards."""
