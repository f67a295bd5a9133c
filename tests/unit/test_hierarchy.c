/* Bounds of one walk through a tree of rooms. */
#include "node_with_alice.h"

#include "matrix/json_scan.h"
#include "rooms/read/hierarchy.h"

enum { SPACES = 60, CHILDREN = 1000, LOOKED_AT = 50000 };

static json_t *child_of(const char *id)
{
    return json_pack("{s:s, s:s, s:{s:[s]}, s:s, s:i}", "type", "m.space.child", "state_key", id,
                     "content", "via", "a.example", "sender", "@a:a.example", "origin_server_ts",
                     1);
}

static json_t *space_with(const char *id, const char *format, int n)
{
    json_t *children = json_array();
    for (int i = 0; i < n; i++) {
        char child[64];
        snprintf(child, sizeof child, format, i);
        json_array_append_new(children, child_of(child));
    }
    return json_pack("{s:s, s:i, s:b, s:b, s:s, s:s, s:o}", "room_id", id, "num_joined_members", 1,
                     "world_readable", 0, "guest_can_join", 0, "join_rule", "public", "room_type",
                     "m.space", "children_state", children);
}

/* A root with spaces that all have the same children, which are not visible. */
static const struct err *tell(void *ctx, struct job *job, const char *room_id,
                              const char *const *via, size_t via_n, struct space_answer *ret)
{
    *ret = (struct space_answer){0};
    if (strncmp(room_id, "!hidden", 7) == 0)
        return NULL;
    bool is_root = strcmp(room_id, "!root:a.example") == 0;
    ret->room =
        json_keep(job->arena, is_root ? space_with(room_id, "!space%02d:a.example", SPACES)
                                      : space_with(room_id, "!hidden%d:a.example", CHILDREN));
    return NULL;
}

static const char *read_page(struct job *job, const char *from, size_t *rooms)
{
    const struct hierarchy_query q = {
        .user = 1, .max_depth = 2, .limit = 100, .from = from, .asker = {tell, NULL}};
    buf_auto struct buf out = {0};
    struct json_member m;
    NO_ERR(hierarchy_list(job, "!root:a.example", &q, &out));
    struct str list = json_scan_get(buf_str(&out), "rooms");
    for (size_t pos = 0; json_scan_next(list, &pos, &m);)
        ++*rooms;
    return json_scan_string(job->arena, json_scan_get(buf_str(&out), "next_batch"));
}

static void the_children_of_a_tree_are_bounded(void **state)
{
    struct scope s;
    size_t rooms = 0;
    const char *from = NULL;
    scope_init(&s, node_store());
    while ((from = read_page(&s.job, from, &rooms)))
        ;
    /* The root and its children come first: after so many spaces the bound is reached. */
    assert_int_equal(rooms, 1 + (LOOKED_AT - SPACES + CHILDREN - 1) / CHILDREN);
    scope_finish(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_children_of_a_tree_are_bounded, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
