/* The route tables of the server-server API; server/routes.c lists them all. */
#ifndef FEDERATION_ROUTES_H
#define FEDERATION_ROUTES_H

#include "http/reply.h"
#include "http/request.h"

extern const struct route federation_keys_routes[];
extern const struct route federation_event_routes[];
extern const struct route federation_transactions_routes[];
extern const struct route federation_notary_routes[];
extern const struct route federation_user_keys_routes[];
extern const struct route federation_hierarchy_routes[];
extern const struct route federation_timestamp_routes[];
extern const struct route federation_query_routes[];
extern const struct route federation_public_rooms_routes[];
extern const struct route federation_make_membership_routes[];
extern const struct route federation_send_membership_routes[];
extern const struct route federation_send_join_routes[];
extern const struct route federation_invite_routes[];
extern const struct route federation_third_party_routes[];

#endif
