/* Redaction: which members of an event survive (rooms/vN, "Redactions"). Pure. */
#ifndef MATRIX_REDACT_H
#define MATRIX_REDACT_H

#include "base/json.h"
#include "matrix/room_version.h"

/* The redacted form of a PDU (or of a client-format event), a new reference. */
json_t *redact(const struct room_version *v, const json_t *event);

#endif
