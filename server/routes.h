/* The one list of all route tables. A file of endpoints declares its table here and is listed in
 * routes.c. */
#ifndef SERVER_ROUTES_H
#define SERVER_ROUTES_H

#include "http/reply.h"
#include "http/request.h"

extern const struct route create_room_routes[];
extern const struct route health_routes[];
extern const struct route front_page_routes[];
extern const struct route login_routes[];
extern const struct route fallback_routes[];
extern const struct route membership_routes[];
extern const struct route register_routes[];
extern const struct route account_routes[];
extern const struct route devices_routes[];
extern const struct route profile_routes[];
extern const struct route capabilities_routes[];
extern const struct route openid_routes[];
extern const struct route voip_routes[];
extern const struct route third_party_lookup_routes[];
extern const struct route moderation_routes[];
extern const struct route registration_tokens_routes[];
extern const struct route room_send_routes[];
extern const struct route room_state_routes[];
extern const struct route directory_routes[];
extern const struct route reports_routes[];
extern const struct route room_previews_routes[];
extern const struct route room_upgrades_routes[];
extern const struct route user_directory_routes[];
extern const struct route sync_routes[];
extern const struct route context_routes[];
extern const struct route event_routes[];
extern const struct route messages_routes[];
extern const struct route relations_routes[];
extern const struct route old_sync_routes[];
extern const struct route sliding_routes[];
extern const struct route search_routes[];
extern const struct route threads_routes[];
extern const struct route timestamp_routes[];
extern const struct route account_data_routes[];
extern const struct route tags_routes[];
extern const struct route filters_routes[];
extern const struct route receipts_routes[];
extern const struct route typing_routes[];
extern const struct route presence_routes[];
extern const struct route push_rules_routes[];
extern const struct route pushers_routes[];
extern const struct route notifications_routes[];
extern const struct route versions_routes[];
extern const struct route wellknown_routes[];
extern const struct route keys_routes[];
extern const struct route keys_upload_routes[];
extern const struct route key_changes_routes[];
extern const struct route send_to_device_routes[];
extern const struct route cross_signing_routes[];
extern const struct route key_signatures_routes[];
extern const struct route room_keys_routes[];
extern const struct route room_keys_version_routes[];
extern const struct route dehydrated_device_routes[];
extern const struct route upload_routes[];
extern const struct route download_routes[];
extern const struct route thumbnail_routes[];

extern const struct route *const route_tables[];
extern const size_t route_tables_n;

void routes_add_table(struct buf *out); /* `concorde routes`: an aligned table of them all */

#endif
