"""Labeling in bulk: shards in, shards out, by processes, array jobs or a Ray cluster."""
