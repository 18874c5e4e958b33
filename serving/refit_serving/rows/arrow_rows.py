"""Rows as an Arrow IPC stream, and answers as another.

A stream comes from outside and is read by C++: compressed buffers are refused before they are unpacked, since a
kilobyte may unpack into gigabytes, and every batch is validated in full before anything is made of it.
"""

from __future__ import annotations

import struct

import pyarrow as pa
from fastapi import HTTPException

from refit.inference.predictor import Prediction
from refit.inference.request_rows import parse_table
from refit_serving.rows.loaded_model import LoadedModel
from refit_serving.rows.request import BodyFormat, Limits, PredictionRequest, choose_request_id, require_count

STREAM = "application/vnd.apache.arrow.stream"
_RECORD_BATCH, _DICTIONARY_BATCH = "record batch", "dictionary"
_HEADER, _DATA, _COMPRESSION = 2, 1, 3
"""The places of fields in Arrow's tables: the header in a message, the batch in a dictionary, its compression."""
_READ_ERRORS = (pa.ArrowException, ValueError, OverflowError, OSError, EOFError, struct.error)


def parse_request(body: bytes, header_id: str, served: LoadedModel, limits: Limits) -> PredictionRequest:
    """Reads a stream.

    Args:
        body: The body.
        header_id: The request id of the headers.
        served: Who answers.
        limits: How much may be asked.

    Returns:
        What is asked.

    Raises:
        HTTPException: If it is no valid stream.
        DataError: If a column or a cell is not what the model knows.
        ModelError: If a column is of another kind.
    """
    try:
        _reject_compressed(body)
        with pa.ipc.open_stream(body) as reader:
            table = _read_batches(reader, limits)
    except _READ_ERRORS as fault:
        reason = " ".join(str(fault).split())[:200]
        raise HTTPException(400, f"the body is no valid Arrow IPC stream ({reason}): send one") from fault
    require_count(table.num_rows, limits)
    return PredictionRequest(parse_table(served.wanted, table), choose_request_id(None, header_id))


def render_response(served: LoadedModel, asked: PredictionRequest, said: Prediction) -> bytes:
    """Writes the answer.

    Args:
        served: Who answered.
        asked: What was asked.
        said: What it says.

    Returns:
        A stream with `prediction` and, of two classes, `score`; who answered is in the schema's metadata.
    """
    plain = said.predictions.dtype.kind in "fiub"
    columns = {"prediction": pa.array(said.predictions if plain else [str(one) for one in said.predictions])}
    if said.scores is not None:
        columns["score"] = pa.array(said.scores)
    about = {
        "project": served.project,
        "version": str(served.version),
        "generation": str(served.generation),
        "request_id": asked.request_id,
    }
    table = pa.table(columns).replace_schema_metadata(about)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return bytes(sink.getvalue())


ARROW_ROWS = BodyFormat(STREAM, parse_request, render_response)


def _read_batches(reader: pa.RecordBatchReader, limits: Limits) -> pa.Table:
    batches, rows = [], 0
    for batch in reader:
        rows += batch.num_rows
        require_count(max(rows, 1), limits)
        batch.validate(full=True)
        batches.append(batch)
    return pa.Table.from_batches(batches, reader.schema)


def _reject_compressed(body: bytes) -> None:
    for message in pa.ipc.MessageReader.open_stream(body):
        if message.type in (_RECORD_BATCH, _DICTIONARY_BATCH):
            metadata = message.metadata.to_pybytes()
            header = _field_offset(metadata, _root_offset(metadata), _HEADER)
            batch = header if message.type == _RECORD_BATCH else _field_offset(metadata, header, _DATA)
            if _field_offset(metadata, batch, _COMPRESSION):
                raise ValueError("its buffers are compressed")


def _root_offset(metadata: bytes) -> int:
    (place,) = struct.unpack_from("<I", metadata, 0)
    return int(place)


def _field_offset(metadata: bytes, table: int, number: int) -> int:
    """Finds the table that a field of a flatbuffers table points to; 0 where it has none."""
    (back,) = struct.unpack_from("<i", metadata, table)
    (size,) = struct.unpack_from("<H", metadata, table - back)
    if 4 + 2 * number >= size:
        return 0
    (offset,) = struct.unpack_from("<H", metadata, table - back + 4 + 2 * number)
    if not offset:
        return 0
    (relative,) = struct.unpack_from("<I", metadata, table + offset)
    return int(table + offset + relative)
