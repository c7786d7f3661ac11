"""The uplink: a second bridge, by which a device shares chosen messages with a broker elsewhere."""
