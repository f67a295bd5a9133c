/* Client-server API, "API Versions". */
#include "server/routes.h"

static const char *const versions[] = {
    "r0.6.1", "v1.1",  "v1.2",  "v1.3",  "v1.4",  "v1.5",  "v1.6",  "v1.7",  "v1.8",  "v1.9",
    "v1.10",  "v1.11", "v1.12", "v1.13", "v1.14", "v1.15", "v1.16", "v1.17", "v1.18", "v1.19",
};

/* Features that clients look for beyond the versions: only those that work. */
static const char *const unstable_features[] = {
    "org.matrix.e2e_cross_signing",
    "org.matrix.msc2285.stable",               /* private read receipts */
    "org.matrix.msc2432",                      /* aliases of a room */
    "org.matrix.msc3030",                      /* events by time */
    "org.matrix.msc3440.stable",               /* threads */
    "org.matrix.msc3771",                      /* read receipts in threads */
    "org.matrix.msc3827.stable",               /* the directory by type of room */
    "org.matrix.msc3856",                      /* the list of threads */
    "org.matrix.msc3874",                      /* filters by rel_type */
    "org.matrix.msc3881",                      /* pushers that are switched off */
    "org.matrix.msc3952_intentional_mentions", /* m.mentions */
    "org.matrix.msc3981",                      /* relations of relations */
    "org.matrix.msc4380.stable",               /* blocking invites */
    "org.matrix.simplified_msc3575",           /* simplified sliding sync */
    "uk.half-shot.msc2666.query_mutual_rooms", /* rooms shared with a user */
    "uk.half-shot.msc2666.query_mutual_rooms.stable",
    "uk.tcpip.msc4133", /* further fields of profiles */
    "uk.tcpip.msc4133.stable",
    "uk.timedout.msc4323", /* locking and suspending accounts */
    NULL,
};

static const struct err *get_versions(struct request *rq, struct reply *rp)
{
    json_t *list = json_array(), *features = json_object();
    for (size_t i = 0; i < sizeof versions / sizeof *versions; i++)
        json_array_append_new(list, json_string(versions[i]));
    for (size_t i = 0; unstable_features[i]; i++)
        json_object_set_new(features, unstable_features[i], json_true());
    return reply_json(rp, 200, "{s:o, s:o}", "versions", list, "unstable_features", features);
}

const struct route versions_routes[] = {
    {.method = GET,
     .path = "/_matrix/client/versions",
     .handler = get_versions,
     .spec = "API versions"},
    {.path = NULL},
};
