"""The processes that ``benches/mqtt.py`` measures; each is one end of a pair, and takes its work by lines of JSON."""
