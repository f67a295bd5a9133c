/* A whole node (server/node.h) on a database of pg_fixture.h, without its network, and users. A
 * test may start more of them: node_store() is the first, and has number 0. */
#ifndef TESTS_NODE_FIXTURE_H
#define TESTS_NODE_FIXTURE_H

#include "log_fixture.h"
#include "rooms/ahead.h"
#include "rooms/own_rules.h"
#include "rooms/room_cache.h"
#include "rooms/write/append.h"
#include "rooms/write/create.h"
#include "server/cli/data_dir.h"
#include "server/node.h"
#include "storage/db/intern.h"
#include "storage/schema/deployment.h"

enum { NODES_MAX = 2 };

static struct {
    struct running_node running[NODES_MAX];
    bool runs[NODES_MAX];
    const struct config *config;
    struct arena *arena;
    char dir[64];
} node_fixture_;

static inline struct node *node_numbered(int number)
{
    return &node_fixture_.running[number].node;
}

static inline struct node *node_store(void)
{
    return node_numbered(0);
}

/* The settings that the first `concorde serve` stores. */
static inline void node_make_deployment_(const struct config *config)
{
    const struct signing_key *keys;
    size_t n;
    struct data_dir_owner owner;
    struct tx tx;
    int fd = -1;
    pg_must("data_dir_make", data_dir_make(config));
    pg_must("data_dir_lock", data_dir_lock(node_fixture_.arena, config->data_dir, &fd, &owner));
    close(fd);
    pg_must("keys", data_dir_signing_keys(node_fixture_.arena, config, true, &keys, &n));
    tx_init(&tx, pg_db(), node_fixture_.arena);
    pg_must("deployment", deployment_check(&tx, config->server_name, true, NULL));
    tx_finish(&tx);
}

static inline void node_run(int number)
{
    pg_must("node_start",
            node_start(&node_fixture_.running[number], node_fixture_.config, NODE_COMMAND));
    node_fixture_.runs[number] = true;
}

static inline void node_end_running(int number)
{
    if (node_fixture_.runs[number])
        node_stop(&node_fixture_.running[number]);
    node_fixture_.runs[number] = false;
}

static inline void node_begin(void)
{
    const struct config_override set[] = {{"server_name", "test.example"}, {"database", pg_uri()}};
    buf_auto struct buf problems = {0};
    node_fixture_.config = NULL;
    node_fixture_.arena = arena_create();
    snprintf(node_fixture_.dir, sizeof node_fixture_.dir, "/tmp/concorde-node-XXXXXX");
    if (!mkdtemp(node_fixture_.dir))
        abort();
    config_read(node_fixture_.arena, NULL, node_fixture_.dir, set, 2, &problems,
                &node_fixture_.config);
    if (!node_fixture_.config) {
        fprintf(stderr, "%.*s\n", (int)problems.n, problems.p);
        abort();
    }
    node_make_deployment_(node_fixture_.config);
    node_run(0);
}

static inline void node_end(void)
{
    for (int i = 0; i < NODES_MAX; i++)
        node_end_running(i);
    arena_destroy(node_fixture_.arena);
    pg_remove_dir(node_fixture_.dir);
}

static inline struct author author_named(const char *user_id)
{
    struct author a = {.user_id = user_id};
    pg_must("intern", intern_id(node_store()->storage->intern, INTERN_USER, user_id, &a.user));
    return a;
}

/* A public room; its id, in the job's arena. */
static inline const char *create_public_room(struct job *job, const struct author *author,
                                             const char *version)
{
    json_auto_t *body = json_pack("{s:s,s:s}", "preset", "public_chat", "room_version", version);
    const char *room_id;
    struct invited_elsewhere none;
    pg_must("room_create", room_create(job, author, body, &room_id, &none));
    return room_id;
}

static inline struct room *room_named(struct job *job, const char *room_id)
{
    struct room *room;
    pg_must("room_get", room_get(job, room_id, &room));
    return room;
}

static inline struct new_event member_event(const char *user_id, const char *membership)
{
    struct new_event e = {.type = "m.room.member", .state_key = user_id};
    e.content = strcmp(membership, "join") == 0 ? STR("{\"membership\":\"join\"}")
                                                : STR("{\"membership\":\"leave\"}");
    return e;
}

static inline const struct err *set_membership(struct job *job, const char *room_id,
                                               const struct author *author, const char *membership)
{
    const char *id;
    struct new_event e = member_event(author->user_id, membership);
    return room_append(job, room_named(job, room_id), author, &e, 1, &id);
}

/* As an event that is built now sees it. */
static inline bool member_has_own_rules(struct job *job, struct room *room, int64_t user)
{
    LOCKED(&room->lock);
    pg_must("own rules", own_rules_follow_locked(job, room));
    const struct room_member *m = ahead_member_locked(room, user);
    return m && m->has_own_rules;
}

static inline const struct err *send_text(struct job *job, const char *room_id,
                                          const struct author *author, const char *body,
                                          const char **ret_id)
{
    const struct new_event e = {
        .type = "m.room.message",
        .content =
            str_of(arena_printf(job->arena, "{\"body\":\"%s\",\"msgtype\":\"m.text\"}", body)),
    };
    return room_append(job, room_named(job, room_id), author, &e, 1, ret_id);
}

#endif
