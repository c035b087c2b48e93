"""What a .tflite file says of itself: our card, and what other readers of metadata look for.

The card and `Exported` are entries of the file's `metadata`, as JSON. Beside them stands
TFLITE_METADATA, a FlatBuffer of its own (tflite-support's metadata_schema.fbs), which names the
input, the output and `labels.txt`; that file is in a zip archive behind the network, where
Android's MetadataExtractor and any unzip program find it.
"""

from __future__ import annotations

import io
import zipfile
from typing import Any

import numpy as np

from briskseg.core.card import CARD_KEY, Card
from briskseg.core.errors import needs
from briskseg.core.exported import EXPORT_KEY, Exported

with needs("exporting to LiteRT", "litert-export"):
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

LABELS_FILE = "labels.txt"
SIGNATURE, IMAGES, LOGITS = "serving_default", "images", "logits"
_MODEL, _METADATA = b"TFL3", b"M001"  # how files of these schemas are marked
_AXIS_LABELS = 2  # of AssociatedFileType: names along an axis of the tensor
_ZIP_TIME = (1980, 1, 1, 0, 0, 0)  # the earliest there is, so that files do not differ by their age


def with_card(model: bytes, card: Card, exported: Exported) -> bytes:
    """The .tflite file `model`, of one input and one output, with all of this; what it had of it
    before is replaced."""
    read = schema.ModelT.InitFromPackedBuf(model, 0)
    _take_in(read, model)
    _name_tensors(read)
    ours = {
        "TFLITE_METADATA": _for_other_readers(card, exported),
        CARD_KEY: card.to_json().encode(),
        EXPORT_KEY: exported.model_dump_json().encode(),
    }
    for entry in read.metadata or ():
        if entry.name.decode() in ours:
            read.buffers[entry.buffer].data = None
    read.metadata = [entry for entry in read.metadata or () if entry.name.decode() not in ours]
    for key, content in ours.items():
        buffer, entry = schema.BufferT(), schema.MetadataT()
        buffer.data = np.frombuffer(content, np.uint8)
        entry.name, entry.buffer = key, len(read.buffers)
        read.buffers.append(buffer)
        read.metadata.append(entry)
    read.description = f"{card.network.name}, written by briskseg"
    builder = flatbuffers.Builder(len(model))
    builder.Finish(read.Pack(builder), file_identifier=_MODEL)
    return bytes(builder.Output()) + _archive(len(builder.Output()), card)


def _take_in(read: Any, model: bytes) -> None:
    """Weights that lie behind the FlatBuffer, as the quantizer puts them: an archive is to follow,
    and the FlatBuffer is written anew."""
    for buffer in read.buffers:
        if buffer.offset:
            content = model[buffer.offset : buffer.offset + buffer.size]
            buffer.data, buffer.offset, buffer.size = np.frombuffer(content, np.uint8), 0, 0


def _name_tensors(model: Any) -> None:
    """As the file's users call them, in place of names that a compiler gave."""
    (signature,) = model.signatureDefs
    signature.signatureKey = SIGNATURE
    for tensors, name in ((signature.inputs, IMAGES), (signature.outputs, LOGITS)):
        (tensor,) = tensors
        tensor.name = name


def _archive(offset: int, card: Card) -> bytes:
    """A zip archive with the names of the classes, a line each, to follow `offset` bytes."""
    written = io.BytesIO()
    written.write(b"\0" * offset)  # zip counts from the beginning of the whole file
    with zipfile.ZipFile(written, "a") as archive:
        names = "".join(f"{name}\n" for name in card.labels.names)
        archive.writestr(zipfile.ZipInfo(LABELS_FILE, _ZIP_TIME), names)
    return written.getvalue()[offset:]


def _for_other_readers(card: Card, exported: Exported) -> bytes:
    """A ModelMetadata table; its fields have the numbers that the schema gives them."""
    builder = flatbuffers.Builder()
    labels = _table(builder, {0: LABELS_FILE, 1: "a class a line"}, {2: _AXIS_LABELS})
    images = _table(builder, {0: IMAGES, 1: "RGB from 0 to 255, not normalized"})
    logits = _table(
        builder,
        {0: LOGITS, 1: f"of each class, bilinearly {exported.enlarging}; the highest is the label"},
        tables={6: [labels]},
    )
    subgraph = _table(builder, {0: card.network.name}, tables={2: [images], 3: [logits]})
    about = {0: card.network.name, 1: "Semantic segmentation", 5: card.license, 7: "1.0.0"}
    builder.Finish(_table(builder, about, tables={3: [subgraph]}), file_identifier=_METADATA)
    return bytes(builder.Output())


def _table(
    builder: Any,
    texts: dict[int, str],
    numbers: dict[int, int] | None = None,
    tables: dict[int, list[int]] | None = None,
) -> int:
    """Append a table with these fields; where it lies."""
    places = {number: builder.CreateString(text) for number, text in texts.items()}
    for number, entries in (tables or {}).items():
        builder.StartVector(4, len(entries), 4)
        for entry in reversed(entries):
            builder.PrependUOffsetTRelative(entry)
        places[number] = builder.EndVector()
    builder.StartObject(1 + max([*places, *(numbers or {})]))
    for number, place in places.items():
        builder.PrependUOffsetTRelativeSlot(number, place, 0)
    for number, value in (numbers or {}).items():
        builder.PrependInt8Slot(number, value, 0)
    at: int = builder.EndObject()
    return at
