/* Input: a letter for the request to another server (`questions`), the Content-Type of its answer,
 * a newline, and the answer's body, which later requests get too. "THERE" is replaced by that
 * server's name. */
#include "answering_host.h"
#include "base/clock.h"
#include "federation/federation.h"
#include "federation/in/ask.h"
#include "federation/keys/key_fetch.h"
#include "federation/keys/keyring.h"
#include "federation/rooms/handshake.h"
#include "federation/rooms/join.h"
#include "federation/rooms/knock.h"
#include "federation/routes/hierarchy.h"
#include "federation/routes/public_rooms.h"
#include "federation/routes/query.h"
#include "federation/routes/timestamp.h"
#include "federation/users/hierarchy_ask.h"
#include "federation/users/media.h"
#include "federation/users/query_ask.h"
#include "federation/users/remote_keys.h"
#include "fuzz.h"
#include "matrix/device_keys.h"
#include "matrix/id.h"
#include "rooms/room_internal.h"
#include "storage/devices/one_time_keys.h"
#include "whole_server.h"

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { INPUT_MAX = 1 << 16, MEDIA_MAX = 4096 };

static const char *server; /* the other server */

static const struct author alice = {.user = 1, .user_id = "@alice:us"};

static const char *id_there(struct job *job, char sigil, const char *localpart)
{
    return arena_printf(job->arena, "%c%s:%s", sigil, localpart, server);
}

/* ---- requests on behalf of clients ---- */

static void ask_alias(struct job *job)
{
    const char *room_id, *const *servers;
    size_t n;
    if (federation_resolve_alias(job, id_there(job, '#', "a"), &room_id, &servers, &n))
        return;
    HOLDS(id_is_room(str_of(room_id)) && n >= 1 && n <= QUERY_SERVERS_MAX);
    for (size_t i = 0; i < n; i++)
        HOLDS(id_is_server_name(str_of(servers[i])) && strcmp(servers[i], "us") != 0);
}

static void check_profile(struct job *job, const char *field)
{
    const json_t *profile;
    if (federation_get_profile(job, id_there(job, '@', "b"), field, &profile))
        return;
    HOLDS(json_is_object(profile) && (!field || json_object_size(profile) <= 1));
    for (int i = 0; i < 2; i++) {
        const char *key = i ? "avatar_url" : "displayname";
        HOLDS(!json_object_get(profile, key) || json_text(profile, key));
    }
}

static void ask_profile(struct job *job)
{
    check_profile(job, NULL);
    check_profile(job, "displayname");
    check_profile(job, "m.tz");
}

static void ask_space(struct job *job)
{
    const struct space_question q = {.room_id = id_there(job, '!', "s")};
    struct space_answer received, again = {0};
    size_t i;
    json_t *one;
    HOLDS(!federation_ask_space(job, &q, &received));
    if (federation_space_known(job, &q, &again) && received.room) /* unless just forgotten */
        HOLDS(json_equal(received.room, again.room) &&
              json_equal(received.children, again.children));
    HOLDS(!received.room || strcmp(json_text(received.room, "room_id"), q.room_id) == 0);
    json_array_foreach (received.children, i, one)
        HOLDS(id_is_room(str_of(json_text(one, "room_id"))));
    json_array_foreach (received.inaccessible, i, one)
        HOLDS(id_is_room(str_of(json_string_text(one))));
}

static void ask_directory(struct job *job)
{
    const struct public_rooms q = {.list = {.limit = 5}};
    json_t *page;
    if (federation_public_rooms(job, server, &q, &page))
        return;
    HOLDS(json_array_size(json_object_get(page, "chunk")) <= DIRECTORY_PAGE_MAX);
    json_decref(page);
}

/* ---- requests about a room ---- */

static void make_room(struct room *room)
{
    *room = (struct room){.id = 1, .room_id = "!r:us", .version = room_version_find("11")};
    lock_init(&room->lock, RANK_ROOM);
    room_servers_add_named_locked(room, server);
}

static void end_room(struct room *room)
{
    room_servers_finish(room);
    lock_finish(&room->lock);
}

static void ask_event_by_time(struct job *job)
{
    enum { TS = 1000 };
    struct room room;
    const char *event_id, *who;
    int64_t ts;
    make_room(&room);
    for (int backwards = 0; backwards < 2; backwards++) {
        HOLDS(!federation_event_by_time(job, &room, TS, backwards, &event_id, &ts, &who));
        HOLDS(!event_id || (id_is_event(str_of(event_id)) && ts >= 0));
        HOLDS(!event_id || (backwards ? ts <= TS : ts >= TS));
    }
    end_room(&room);
}

static void ask_for_events(struct job *job)
{
    static const char *const ids[] = {"$Rqnc1F2dvnEYJTyHq3iKxU2bZ1CI922kuZq3a5lr5Zg"};
    struct room room;
    struct events events;
    struct ask ask;
    const char *const *state;
    size_t n;
    bool known;
    make_room(&room);
    ask_init(&ask, job, &room, server);
    HOLDS(!ask_missing(&ask, NULL, 0, ids, 1, 1, &events) && events.n <= MISSING_LIMIT);
    HOLDS(!ask_backfill(&ask, ids, 1, 5, &events) && events.n <= 5);
    const struct err *e = ask_state_before(&ask, ids[0], &state, &n, &known);
    HOLDS(e ? e->code == ERR_INTERNAL : !known || n); /* nothing can be stored */
    end_room(&room);
}

/* ---- keys ---- */

static void ask_device_keys(struct job *job)
{
    const char *users[] = {id_there(job, '@', "b"), id_there(job, '@', "c")};
    json_t *failed = json_keep(job->arena, json_object());
    const struct err *e = remote_keys_fetch(job, users, 2, 5000, failed);
    HOLDS(!e || e->code == ERR_INTERNAL); /* nothing can be stored */
}

static void ask_claims(struct job *job)
{
    const char *user = id_there(job, '@', "b");
    const struct key_claim claims[] = {{user, "D", "signed_curve25519"}, {user, "E", "x"}};
    json_t *failed = json_keep(job->arena, json_object()), *tree;
    buf_auto struct buf received = {0}, whole = {0};
    HOLDS(!remote_keys_claim(job, claims, 2, 5000, &received, failed));
    BUF_LIT(&whole, "{");
    buf_add_str(&whole, buf_str(&received));
    BUF_LIT(&whole, "}");
    HOLDS(!json_read(job->arena, buf_str(&whole), &tree) && json_object_size(tree) <= 1);
}

static void ask_server_keys(struct job *job)
{
    struct key_answer one;
    const struct key_query query = {server, NULL};
    const struct server_key notary = {server, "ed25519:n", "", INT64_MAX};
    const struct key_answer *several;
    size_t n;
    if (!key_fetch_direct(job, server, &one))
        HOLDS(strcmp(one.keys.server, server) == 0 && one.keys.n);
    if (!key_fetch_from_notary(job, &notary, &query, 1, &several, &n))
        HOLDS(n <= 1);
}

/* ---- joining and leaving ---- */

static void check_template(struct job *job, enum membership membership)
{
    struct handshake h = {.job = job,
                          .room_id = id_there(job, '!', "r"),
                          .server = server,
                          .author = &alice,
                          .membership = membership};
    struct event *again;
    if (handshake_make(&h))
        return;
    HOLDS(h.event->prev_n >= 1 && h.event->depth >= 0);
    HOLDS(!event_parse(h.version, h.event->json, &again));
    HOLDS(strcmp(again->sender, "@alice:us") == 0 && strcmp(again->state_key, "@alice:us") == 0);
    HOLDS(strcmp(again->type, "m.room.member") == 0);
    HOLDS(strcmp(json_text(event_content(again), "membership"), membership_text(membership)) == 0);
    event_unref(again);
}

static void ask_templates(struct job *job)
{
    check_template(job, MEMBERSHIP_JOIN);
    check_template(job, MEMBERSHIP_KNOCK);
    check_template(job, MEMBERSHIP_LEAVE);
}

static void ask_join(struct job *job)
{
    const struct via via = {&server, 1, false};
    const char *event_id;
    const json_t *content = json_keep(job->arena, json_object());
    HOLDS(federation_join(job, id_there(job, '!', "r"), &via, &alice, content, &event_id));
}

static void ask_knock(struct job *job)
{
    const struct via via = {&server, 1, false};
    const json_t *content = json_keep(job->arena, json_object());
    HOLDS(federation_knock(job, id_there(job, '!', "r"), &via, &alice, content));
}

/* ---- media ---- */

static void check_text(const char *text)
{
    for (; text && *text; text++)
        HOLDS((unsigned char)*text >= ' ' && *text != 0x7f);
}

static void check_media(int fd, const struct fetched_media *m)
{
    struct stat st;
    HOLDS(!fstat(fd, &st) && st.st_size == m->bytes && m->bytes <= MEDIA_MAX);
    check_text(m->content_type);
    check_text(m->content_disposition);
}

static void ask_media(struct job *job)
{
    struct fetched_media m;
    int fd = memfd_create("media", MFD_CLOEXEC);
    HOLDS(fd >= 0);
    if (!federation_fetch_media(job, server, "abc", MEDIA_MAX, fd, &m))
        check_media(fd, &m);
    if (!federation_fetch_thumbnail(job, server, "abc", "width=32", MEDIA_MAX, fd, &m))
        check_media(fd, &m);
    close(fd);
}

/* ---- the whole ---- */

static const struct {
    char letter;
    void (*ask)(struct job *job);
} questions[] = {
    {'a', ask_alias},         {'p', ask_profile},     {'s', ask_space},  {'d', ask_directory},
    {'t', ask_event_by_time}, {'k', ask_device_keys}, {'c', ask_claims}, {'n', ask_server_keys},
    {'h', ask_templates},     {'j', ask_join},        {'u', ask_knock},  {'m', ask_media},
    {'e', ask_for_events},
};

static struct str with_name(struct arena *a, struct str text)
{
    buf_auto struct buf b = {0};
    const char *at;
    while (text.n && (at = memmem(text.p, text.n, "THERE", 5))) {
        size_t n = (size_t)(at - text.p);
        buf_add(&b, text.p, n);
        buf_add_text(&b, server);
        text = (struct str){at + 5, text.n - n - 5};
    }
    buf_add_str(&b, text);
    return (struct str){arena_memdup(a, b.p, b.n), b.n};
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *end = size > 1 && size <= INPUT_MAX ? memchr(data, '\n', size) : NULL;
    if (!end || end == (const char *)data)
        return 0;
    arena_auto struct arena *a = arena_create();
    if (!server)
        server = answering_host_start();
    struct node *node = whole_server_store(ANSWERING_HOST);
    struct job job;
    struct str body =
        fuzz_str((const uint8_t *)end + 1, size - 1 - (size_t)(end - (const char *)data));
    size_t line = (size_t)(end - (const char *)data) - 1;
    job_init(&job, node, a);
    answering_host_say((struct str){(const char *)data + 1, line}, with_name(a, body));
    for (size_t i = 0; i < sizeof questions / sizeof *questions; i++)
        if (questions[i].letter == data[0])
            questions[i].ask(&job);
    federation_forget_answers(&job, id_there(&job, '@', "b"));
    answering_host_say(STR(""), STR(""));
    job_finish(&job);
    return 0;
}
