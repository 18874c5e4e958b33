"""The Arrow format: rows as an Arrow IPC stream, predictions as another.

Streams come from outside and are read by C++ code: compressed buffers are refused before they are decompressed, since a
kilobyte may expand to gigabytes, and every batch is validated in full before it is used.
"""

from __future__ import annotations

import struct

import pyarrow as pa
from fastapi import HTTPException

from refit.inference.predictor import Prediction
from refit.inference.request_rows import measure_table, parse_table
from refit_serving.rows.loaded_model import LoadedModel
from refit_serving.rows.memory import Reserve
from refit_serving.rows.request import BodyFormat, Limits, PredictionRequest, choose_request_id, require_count

STREAM = "application/vnd.apache.arrow.stream"
_RECORD_BATCH, _DICTIONARY_BATCH = "record batch", "dictionary"
_HEADER, _DATA, _COMPRESSION = 2, 1, 3
"""Field numbers in Arrow's flatbuffers tables: header of a message, data of a dictionary batch, compression of a
record batch."""
_READ_ERRORS = (pa.ArrowException, ValueError, OverflowError, OSError, EOFError, struct.error)


def parse_request(
    body: bytes, header_id: str, model: LoadedModel, limits: Limits, reserve: Reserve
) -> PredictionRequest:
    """Reads a stream.

    Args:
        body: The body.
        header_id: The request id of the headers.
        model: The model that predicts.
        limits: The limits of the server.
        reserve: Takes the memory of the request before it is unpacked.

    Returns:
        The request.

    Raises:
        HTTPException: With 400 if it is not a valid stream, 413 or 422 for a wrong number of rows.
        DataError: If a column or a cell does not fit the model.
        ModelError: If a column has another type than the model's.
    """
    try:
        _reject_compressed(body)
        with pa.ipc.open_stream(body) as reader:
            table = _read_batches(reader, limits)
    except _READ_ERRORS as fault:
        reason = " ".join(str(fault).split())[:200]
        raise HTTPException(
            400, f"the body is not a valid Arrow IPC stream ({reason}): send an uncompressed stream of record batches"
        ) from fault
    require_count(table.num_rows, limits)
    held = reserve(measure_table(model.spec, table))
    return PredictionRequest(parse_table(model.spec, table), choose_request_id(None, header_id), held)


def render_response(model: LoadedModel, request: PredictionRequest, prediction: Prediction) -> bytes:
    """Writes predictions as an Arrow IPC stream.

    Args:
        model: The model that predicted.
        request: The request.
        prediction: The predictions of its rows.

    Returns:
        A stream with `prediction` and, for two classes, `score`; project, version, generation and request id are in the
        metadata of the schema.
    """
    values = prediction.predictions
    is_plain = values.dtype.kind in "fiub"
    columns = {"prediction": pa.array(values if is_plain else [str(value) for value in values])}
    if prediction.scores is not None:
        columns["score"] = pa.array(prediction.scores)
    metadata = {
        "project": model.project,
        "version": str(model.version),
        "generation": str(model.generation),
        "request_id": request.request_id,
    }
    table = pa.table(columns).replace_schema_metadata(metadata)
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
    (offset,) = struct.unpack_from("<I", metadata, 0)
    return int(offset)


def _field_offset(metadata: bytes, table: int, number: int) -> int:
    """Finds the table that a field of a flatbuffers table points to; 0 where the field is absent."""
    (back,) = struct.unpack_from("<i", metadata, table)
    (size,) = struct.unpack_from("<H", metadata, table - back)
    if 4 + 2 * number >= size:
        return 0
    (offset,) = struct.unpack_from("<H", metadata, table - back + 4 + 2 * number)
    if not offset:
        return 0
    (relative,) = struct.unpack_from("<I", metadata, table + offset)
    return int(table + offset + relative)
