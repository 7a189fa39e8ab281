"""QQ groups and private chats."""
