/* Reads PDUs of other servers and checks format, signatures and hash: the PDU_STEPs of
 * rooms/accept/steps.def ("Validating hashes and signatures on received events").
 *
 * A PDU with a wrong hash is redacted; one with a wrong signature or format is refused. Required
 * signatures: the sender's server (not for third-party invites), in versions 1 and 2 that of the
 * event id too, and that of join_authorised_via_users_server in versions that have it. An event
 * that needs the signature of a server that is not allowed is refused. */
#ifndef FEDERATION_IN_PDU_H
#define FEDERATION_IN_PDU_H

#include "matrix/event.h"
#include "rooms/accept/steps.h"
#include "storage/db/job.h"

struct pdu {
    struct str raw;            /* in */
    const struct event *event; /* out, kept by the arena; NULL: refused */
    struct err refused;        /* why, and ... */
    enum pdu_step step;        /* ... by which step */
};

/* Whether it was refused because a server that must have signed it is not allowed. */
static inline bool pdu_is_of_denied_server(const struct pdu *p)
{
    return p->step == STEP_FEDERATION;
}

/* The error for the server that sent the PDU by itself: a wrong signature is not a format error. */
const struct err *pdu_refusal(const struct pdu *p);

/* Threads that help to verify the signatures of many events; NULL: there is one processor only. */
struct helpers *pdu_judges_create(struct node *node);

/* All PDUs must have one room version; room_id NULL: any room, else events of other rooms are
 * refused. Missing keys are all fetched at once. Errors are our own failures only. */
const struct err *pdu_read(struct job *job, const struct room_version *v, const char *room_id,
                           struct pdu *pdus, size_t n);

/* The members of a raw JSON array as raw PDUs; M_TOO_LARGE for more than max. */
const struct err *pdu_list(struct arena *a, struct str array, size_t max, struct pdu **ret,
                           size_t *ret_n);

/* The event as other servers receive it: its bytes, without `unsigned`. */
static inline struct str pdu_bytes(const struct event *e)
{
    return e->json;
}

#endif
