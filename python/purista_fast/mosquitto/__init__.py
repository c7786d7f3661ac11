"""mosquitto done right: a configuration that keeps the promises, access rules from services, and a reader of both."""
