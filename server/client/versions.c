/* Client-server API, "API Versions". */
#include "server/routes.h"

static const char *const versions[] = {
    "r0.6.1", "v1.1",  "v1.2",  "v1.3",  "v1.4",  "v1.5",  "v1.6",  "v1.7",  "v1.8",  "v1.9",
    "v1.10",  "v1.11", "v1.12", "v1.13", "v1.14", "v1.15", "v1.16", "v1.17", "v1.18", "v1.19",
};

/* What clients look for beyond the versions: a row only once the thing works. */
static const char *const unstable_features[] = {
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
