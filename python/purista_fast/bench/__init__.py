"""What ``purista-fast bench`` measures: work of this package, without peers to compare it with.

The repository's ``benches/`` measures the very same work beside its peers. Nothing imports this package but the
command, so that it costs an application nothing.
"""
