"""What an instance keeps on disk of messages: the outbox, the spool of its subscriptions, the dead letters."""
