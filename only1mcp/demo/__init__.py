"""Small servers that come with the gateway, so that it has something to show on a fresh machine."""
