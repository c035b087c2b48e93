"""Cityscapes: its tree of files, its benchmark's scores, and files for its evaluation server."""

from __future__ import annotations

from briskseg.data.cityscapes.tree import FORMAT

__all__ = ["FORMAT"]
