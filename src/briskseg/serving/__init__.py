"""A predictor behind HTTP: labels of pictures, batches and streams, and KServe's protocol.

Importing this loads no package of the extra `serve`; `server.serve` does.
"""
