"""Embedding over ZeroMQ and msgpack: a server around an engine, and a client for it.

Import `engine.service.client` or `engine.service.server`; neither is loaded here.
"""
