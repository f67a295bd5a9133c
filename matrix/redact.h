/* Redaction: which members of an event survive (rooms/vN, "Redactions"). Pure. */
#ifndef MATRIX_REDACT_H
#define MATRIX_REDACT_H

#include "base/str.h"
#include "matrix/room_version.h"

/* The redacted form of a canonical PDU, canonical again. for_signing leaves out `signatures`, too:
 * these are the bytes for signatures and the reference hash. */
void redact_add(struct buf *b, const struct room_version *v, struct str event, bool for_signing);

/* The redacted form of a canonical content object alone. */
void redact_add_content(struct buf *b, const struct room_version *v, struct str type,
                        struct str content);

#endif
