/* Asking other servers for spaces (server-server-api, "Spaces"). */
#ifndef FEDERATION_USERS_HIERARCHY_ASK_H
#define FEDERATION_USERS_HIERARCHY_ASK_H

#include "federation/routes/hierarchy.h"

/* From the cache; false if a server must be asked. */
bool federation_space_known(struct job *job, const struct space_question *q,
                            struct space_answer *ret);
/* Blocks. ret->room is NULL if no server knows the room. Errors are our own failures only. */
const struct err *federation_ask_space(struct job *job, const struct space_question *q,
                                       struct space_answer *ret);

#endif
