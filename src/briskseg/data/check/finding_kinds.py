"""Every kind of trouble that the doctor tells apart; docs/check.md is this table in Markdown."""

from __future__ import annotations

from briskseg.data.check.file_kinds import FILE_KINDS
from briskseg.data.check.finding_kind import Kind
from briskseg.data.check.label_kinds import LABEL_KINDS

KINDS: dict[str, Kind] = FILE_KINDS | LABEL_KINDS
