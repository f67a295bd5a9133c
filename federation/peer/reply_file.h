/* Replies of any size, such as the state of a large room: stored in a file and mapped, so that they
 * only use memory for what is parsed from them. */
#ifndef FEDERATION_PEER_REPLY_FILE_H
#define FEDERATION_PEER_REPLY_FILE_H

#include "federation/peer/request.h"

/* Like federation_request, for a JSON value that is scanned (matrix/json_scan.h) rather than parsed
 * into a tree; it is valid JSON. r->reply_max bounds it. The bytes live as long as the job's arena.
 */
const struct err *federation_request_file(struct job *job, const struct fed_request *r,
                                          struct str *ret);

#endif
