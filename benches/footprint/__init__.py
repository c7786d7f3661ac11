"""``make footprint``: what an application takes of a device, idle, at work, and for an hour."""
