/* Received EDUs (server-server-api, "EDUs"): one handler for each type, in the table of
 * federation/in/edu_in.c. Unknown types are ignored, and a refused EDU does not affect others. */
#ifndef FEDERATION_IN_EDU_IN_H
#define FEDERATION_IN_EDU_IN_H

#include "storage/db/job.h"

/* content is hostile: the handler checks that origin may send it for the users and rooms it names.
 * It keeps no reference to content. */
typedef const struct err *edu_handler(struct job *job, const char *origin, const json_t *content);

edu_handler edu_in_typing, edu_in_receipt, edu_in_presence; /* edu_<type>.c */
edu_handler edu_in_device_list_update, edu_in_signing_key_update;

/* The same for a type that may be large: content is the bytes of an object of a VALID document. */
const struct err *edu_in_direct_to_device(struct job *job, const char *origin, struct str content);

/* Runs the handler of {"edu_type":…,"content":…}, an object of a VALID document. Only our own
 * failures are errors. */
const struct err *edu_receive(struct job *job, const char *origin, struct str edu);

#endif
