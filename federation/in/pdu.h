/* Reading PDUs of other servers: format, hash and signatures (server-server-api, "Checks performed
 * on receipt of a PDU", steps 1 to 3; "Validating hashes and signatures on received events").
 *
 * A PDU with a wrong hash comes back redacted; one with a wrong signature or format is refused.
 * Signatures wanted: the sender's server (not for third-party invites), in versions 1 and 2 that of
 * the event id too, and that of join_authorised_via_users_server in versions that have it. Servers
 * named in them are refused when closed federation does not allow them. */
#ifndef FEDERATION_IN_PDU_H
#define FEDERATION_IN_PDU_H

#include "matrix/event.h"
#include "storage/db/job.h"

struct pdu {
    struct str raw;            /* in */
    const struct event *event; /* out, kept by the arena; NULL: refused */
    struct err refused;        /* why */
};

/* Was it refused because closed federation does not allow a server that must have signed it? */
static inline bool pdu_is_of_denied_server(const struct pdu *p)
{
    return !p->event && p->refused.code == ERR_FORBIDDEN;
}

/* What the server that sent it by itself is told: a wrong signature is no matter of its form. */
const struct err *pdu_refusal(const struct pdu *p);

/* All of one room version; room_id NULL: any, else events of other rooms are refused. All keys that
 * are missing are asked for at once. Errors are ours alone. */
const struct err *pdu_read(struct job *job, const struct room_version *v, const char *room_id,
                           struct pdu *pdus, size_t n);

/* The members of a raw JSON array as raw PDUs; at most max, M_TOO_LARGE for more. */
const struct err *pdu_list(struct arena *a, struct str array, size_t max, struct pdu **ret,
                           size_t *ret_n);

/* What the stored event looks like to another server: its bytes, without `unsigned`. */
static inline struct str pdu_bytes(const struct event *e)
{
    return e->json;
}

#endif
