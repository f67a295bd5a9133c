/* Server-server API, "Spaces": our requests. */
#include "federation/users/hierarchy_ask.h"
#include "federation/federation.h"
#include "federation/peer/answers.h"
#include "federation/peer/path.h"
#include "federation/peer/request.h"
#include "federation/users/remote_summary.h"
#include "matrix/id.h"
#include "rooms/read/space.h"

enum {
    TIMEOUT_MS = 10000,
    KEPT_MS = 5 * 60 * 1000,
    NOTHING_KEPT_MS = 60 * 1000,
    REPLY_MAX = 4 << 20
};

/* ---- servers to ask ---- */

static void hierarchy_ask_add_server(struct job *job, const char **servers, size_t *n,
                                     const char *server)
{
    const struct config *c = job->config;
    if (*n == SPACE_SERVERS_MAX || !federation_may_contact(c, server))
        return;
    for (size_t i = 0; i < *n; i++)
        if (strcmp(servers[i], server) == 0)
            return;
    servers[(*n)++] = server;
}

static size_t choose_servers(struct job *job, const struct space_question *q,
                             const char *ret[SPACE_SERVERS_MAX])
{
    size_t n = 0;
    struct str own = id_server(str_of(q->room_id));
    for (size_t i = 0; i < q->servers_n; i++)
        hierarchy_ask_add_server(job, ret, &n, q->servers[i]);
    if (own.n)
        hierarchy_ask_add_server(job, ret, &n, str_dup(job->arena, own));
    return n;
}

static const char *hierarchy_ask_key_of(struct job *job, const struct space_question *q,
                                        const char *const *servers, size_t n)
{
    const char *key = arena_printf(job->arena, "hierarchy %s %d", q->room_id, q->suggested_only);
    for (size_t i = 0; i < n; i++)
        key = arena_printf(job->arena, "%s %s", key, servers[i]);
    return key;
}

/* ---- answers ---- */

/* Owned; NULL if it is not a room, or not `room_id` (NULL: any). */
static json_t *read_room(const json_t *answer, const char *room_id)
{
    const json_t *children = json_object_get(answer, "children_state");
    const char *id = json_text(answer, "room_id");
    if (room_id && (!id || strcmp(id, room_id) != 0))
        return NULL;
    json_t *room = remote_summary_read(answer);
    if (room && json_is_array(children))
        json_object_set(room, "children_state", (json_t *)children);
    return room;
}

static json_t *read_children(const json_t *list)
{
    json_t *children = json_array();
    for (size_t i = 0; i < json_array_size(list) && i < SPACE_CHILDREN_MAX; i++) {
        json_t *room = read_room(json_array_get(list, i), NULL);
        if (room)
            json_array_append_new(children, room);
    }
    return children;
}

static json_t *hierarchy_ask_read_ids(const json_t *list)
{
    json_t *ids = json_array();
    for (size_t i = 0; i < json_array_size(list) && i < SPACE_CHILDREN_MAX; i++) {
        json_t *item = json_array_get(list, i);
        struct str id = {json_string_value(item), json_string_length(item)};
        if (id.p && id_is_room(id))
            json_array_append(ids, item);
    }
    return ids;
}

/* The checked answer, as it is cached; NULL if it is not one. */
static json_t *read_answer(struct arena *a, const json_t *answer, const char *room_id)
{
    json_t *room = read_room(json_object_get(answer, "room"), room_id);
    if (!room)
        return NULL;
    return json_keep(
        a, json_pack("{s:o, s:o, s:o}", "room", room, "children",
                     read_children(json_object_get(answer, "children")), "inaccessible_children",
                     hierarchy_ask_read_ids(json_object_get(answer, "inaccessible_children"))));
}

static void hierarchy_ask_fill(const json_t *answer, struct space_answer *ret)
{
    ret->room = json_object_get(answer, "room");
    ret->children = json_object_get(answer, "children");
    ret->inaccessible = json_object_get(answer, "inaccessible_children");
}

/* ---- requests ---- */

bool federation_space_known(struct job *job, const struct space_question *q,
                            struct space_answer *ret)
{
    const char *servers[SPACE_SERVERS_MAX];
    size_t n = choose_servers(job, q, servers);
    struct str known;
    json_t *answer = NULL;
    if (n == 0) /* no server may be asked */
        *ret = (struct space_answer){0};
    if (n == 0)
        return true;
    if (!answers_get(job->federation->answers, job->arena, hierarchy_ask_key_of(job, q, servers, n),
                     &known))
        return false;
    if (known.p && json_read(job->arena, known, &answer))
        return false;
    hierarchy_ask_fill(answer, ret);
    return true;
}

/* *ret stays NULL if the server knows nothing of the room. */
static const struct err *ask_space_server(struct job *job, const struct space_question *q,
                                          const char *server, const json_t **ret)
{
    struct fed_request r = {
        .server = server,
        .method = GET,
        .path = federation_path(job->arena, "/_matrix/federation/v1/hierarchy/%s?suggested_only=%s",
                                q->room_id, q->suggested_only ? "true" : "false"),
        .timeout_ms = TIMEOUT_MS,
        .reply_max = REPLY_MAX};
    struct fed_reply reply;
    TRY(federation_question(job, &r, &reply));
    *ret = read_answer(job->arena, reply.json, q->room_id);
    return NULL;
}

/* Also caches that no server knows the room, but not that none could be asked. */
static void hierarchy_ask_remember(struct job *job, const char *key, const json_t *answer)
{
    buf_auto struct buf text = {0};
    if (answer)
        buf_add_json(&text, answer);
    answers_put(job->federation->answers, key, answer ? buf_str(&text) : (struct str){0},
                answer ? KEPT_MS : NOTHING_KEPT_MS);
}

const struct err *federation_ask_space(struct job *job, const struct space_question *q,
                                       struct space_answer *ret)
{
    const char *servers[SPACE_SERVERS_MAX];
    size_t n = choose_servers(job, q, servers);
    const json_t *answer = NULL;
    bool were_asked = true;
    for (size_t i = 0; i < n && !answer; i++) {
        const struct err *e = ask_space_server(job, q, servers[i], &answer);
        were_asked = were_asked && (!e || e->code != ERR_UNAVAILABLE);
    }
    if (answer || were_asked)
        hierarchy_ask_remember(job, hierarchy_ask_key_of(job, q, servers, n), answer);
    hierarchy_ask_fill(answer, ret);
    return NULL;
}
