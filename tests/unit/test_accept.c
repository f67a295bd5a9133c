#include "accept_scene.h"

#include "rooms/state/state_at.h"
#include "storage/db/feed.h"

#include <pthread.h>

static const char *versions[] = {"1", "2", "3", "5", "6", "9", "10", "11", "12"};
#define EACH_VERSION(v)                                                                            \
    for (size_t v##_i = 0; v##_i < sizeof versions / sizeof *versions; v##_i++)                    \
        for (const char *v = versions[v##_i]; v; v = NULL)

static void a_line_is_taken_in_one_go(void **state)
{
    EACH_VERSION(v)
    {
        enum { N = 20 };
        struct scene c;
        struct incoming in[N] = {{NULL}};
        struct accept_outcome out[N];
        open_scene(&c, v);
        for (int i = 0; i < N; i++) {
            struct wanted w = bobs(&c, "m.room.message", "{\"body\":\"hi\"}");
            if (i)
                w.prev[0] = in[i - 1].event->event_id;
            w.depth += i;
            in[i].event = make(&c, &w);
        }
        NO_ERR(room_accept(c.job, room_named(c.job, c.room_id), in, N, out));
        for (int i = 0; i < N; i++) {
            assert_int_equal(out[i].verdict, VERDICT_ACCEPTED);
            if (i)
                assert_int_equal(out[i].position, out[i - 1].position + 1);
        }
        assert_string_equal(head_of(&c), in[N - 1].event->event_id);
        assert_int_equal(room_named(c.job, c.room_id)->extremities_n, 1);
        NO_ERR(room_accept(c.job, room_named(c.job, c.room_id), in, N, out));
        for (int i = 0; i < N; i++)
            assert_int_equal(out[i].verdict, VERDICT_KNOWN);
        close_scene(&c);
    }
}

static void missing_parents_are_named(void **state)
{
    struct scene c;
    open_scene(&c, "11");
    struct wanted w = bobs(&c, "m.room.message", "{\"body\":\"first\"}");
    const struct event *first = make(&c, &w);
    w.prev[0] = first->event_id;
    const struct event *second = make(&c, &w);
    struct accept_outcome o = accept_one(c.job, c.room_id, second);
    assert_int_equal(o.verdict, VERDICT_MISSING);
    assert_int_equal(o.missing_prev_n, 1);
    assert_int_equal(o.missing_auth_n, 0);
    assert_string_equal(o.missing_prev[0], first->event_id);
    assert_int_equal(take(&c, first), VERDICT_ACCEPTED);
    assert_int_equal(take(&c, second), VERDICT_ACCEPTED);
    close_scene(&c);
}

static void events_without_permission_are_rejected_and_harmless(void **state)
{
    EACH_VERSION(v)
    {
        struct scene c;
        open_scene(&c, v);
        struct wanted w = bobs(&c, "m.room.topic", "{\"topic\":\"mine\"}");
        w.state_key = "";
        const struct event *bad = make(&c, &w);
        struct accept_outcome o = accept_one(c.job, c.room_id, bad);
        assert_int_equal(o.verdict, VERDICT_REJECTED);
        assert_non_null(o.reason);
        assert_null(state_id(c.job, c.room_id, "m.room.topic", ""));
        struct wanted next = bobs(&c, "m.room.message", "{\"body\":\"after\"}");
        next.prev[0] = bad->event_id;
        next.depth++;
        assert_int_equal(take(&c, make(&c, &next)), VERDICT_ACCEPTED);
        assert_null(state_id(c.job, c.room_id, "m.room.topic", ""));
        close_scene(&c);
    }
}

static void messages_at_the_same_time_leave_two_ends(void **state)
{
    EACH_VERSION(v)
    {
        struct scene c;
        const char *ours;
        open_scene(&c, v);
        struct wanted w = bobs(&c, "m.room.message", "{\"body\":\"theirs\"}");
        NO_ERR(send_text(c.job, c.room_id, &alice, "ours", &ours));
        assert_int_equal(take(&c, make(&c, &w)), VERDICT_ACCEPTED);
        assert_int_equal(room_named(c.job, c.room_id)->extremities_n, 2);
        NO_ERR(send_text(c.job, c.room_id, &alice, "both", &ours));
        assert_int_equal(room_named(c.job, c.room_id)->extremities_n, 1);
        close_scene(&c);
    }
}

static void events_of_a_user_banned_meanwhile_are_soft_failed(void **state)
{
    EACH_VERSION(v)
    {
        struct scene c;
        open_scene(&c, v);
        struct wanted w = bobs(&c, "m.room.message", "{\"body\":\"ha\"}");
        set_state(&c, "m.room.member", BOB, "{\"membership\":\"ban\"}");
        const char *head = head_of(&c);
        assert_int_equal(take(&c, make(&c, &w)), VERDICT_SOFT_FAILED);
        assert_string_equal(head_of(&c), head);
        close_scene(&c);
    }
}

/* bob may set topics; both users set one on the same head. */
static void topics_of_two_branches_are_resolved(void **state)
{
    EACH_VERSION(v)
    {
        struct scene c;
        open_scene(&c, v);
        const char *creator = c.v->privileged_creators ? "" : "\"@alice:test.example\":100,";
        set_state(&c, "m.room.power_levels", "",
                  arena_printf(c.job->arena, "{\"users\":{%s\"" BOB "\":50}}", creator));
        c.power = state_id(c.job, c.room_id, "m.room.power_levels", "");
        struct wanted w = bobs(&c, "m.room.topic", "{\"topic\":\"theirs\"}");
        w.state_key = "";
        w.ts = INT64_C(4000000000000); /* later than ours, so that it wins */
        set_state(&c, "m.room.topic", "", "{\"topic\":\"ours\"}");
        const char *ours = state_id(c.job, c.room_id, "m.room.topic", "");
        const struct event *theirs = make(&c, &w);
        struct accept_outcome o = accept_one(c.job, c.room_id, theirs);
        assert_int_equal(o.verdict, VERDICT_ACCEPTED);
        const char *now = state_id(c.job, c.room_id, "m.room.topic", "");
        bool is_v1 = c.v->state_res == STATE_RES_V1;
        if (!is_v1)
            assert_string_equal(now, theirs->event_id);
        assert_int_equal(room_named(c.job, c.room_id)->extremities_n, 2);
        /* the state of the branch is unchanged */
        const struct stored_event *before;
        NO_ERR(state_before_get(c.job, room_named(c.job, c.room_id), o.position, TYPE_TOPIC, "",
                                &before));
        assert_null(before);
        struct wanted next = bobs(&c, "m.room.message", "{\"body\":\"on the branch\"}");
        next.prev[0] = theirs->event_id;
        next.depth = theirs->depth + 1;
        const struct event *message = make(&c, &next);
        o = accept_one(c.job, c.room_id, message);
        assert_int_equal(o.verdict, VERDICT_ACCEPTED);
        NO_ERR(state_before_get(c.job, room_named(c.job, c.room_id), o.position, TYPE_TOPIC, "",
                                &before));
        assert_string_equal(before->event->event_id, theirs->event_id);
        /* after reloading it is the same */
        room_forget(c.job, room_named(c.job, c.room_id));
        assert_string_equal(state_id(c.job, c.room_id, "m.room.topic", ""), now);
        assert_non_null(ours);
        close_scene(&c);
    }
}

/* Ours, which is older, comes second: the current event stays the same. */
static void a_loser_is_in_the_timeline_and_not_in_the_state(void **state)
{
    struct scene c;
    open_scene(&c, "10");
    set_state(&c, "m.room.power_levels", "",
              "{\"users\":{\"@alice:test.example\":100,\"" BOB "\":50}}");
    c.power = state_id(c.job, c.room_id, "m.room.power_levels", "");
    struct wanted w = bobs(&c, "m.room.topic", "{\"topic\":\"theirs\"}");
    w.state_key = "";
    w.ts = 1000; /* earlier than ours, so that it loses */
    set_state(&c, "m.room.topic", "", "{\"topic\":\"ours\"}");
    const char *ours = state_id(c.job, c.room_id, "m.room.topic", "");
    struct accept_outcome o = accept_one(c.job, c.room_id, make(&c, &w));
    assert_int_equal(o.verdict, VERDICT_ACCEPTED);
    assert_true(o.position > 0);
    assert_string_equal(state_id(c.job, c.room_id, "m.room.topic", ""), ours);
    close_scene(&c);
}

static struct wanted redaction_of(struct scene *c, const struct event *target)
{
    struct wanted w = bobs(c, "m.room.redaction", "{}");
    w.redacts = target->event_id;
    if (c->v->redacts_in_content)
        w.content = arena_printf(c->job->arena, "{\"redacts\":\"%s\"}", target->event_id);
    return w;
}

static void a_redaction_waits_for_its_target(void **state)
{
    EACH_VERSION(v)
    {
        struct scene c;
        open_scene(&c, v);
        if (c.v->event_id == EVENT_ID_GIVEN) {
            close_scene(&c);
            continue; /* ids of these versions are random: the redaction cannot be made first */
        }
        struct wanted w = bobs(&c, "m.room.message", "{\"body\":\"secret\"}");
        const struct event *target = make(&c, &w), *left;
        struct wanted r = redaction_of(&c, target);
        for (r.ts = 1; r.ts < 4; r.ts++, r.prev[0] = head_of(&c))
            assert_int_equal(take(&c, make(&c, &r)), VERDICT_ACCEPTED);
        const char *const *pending;
        size_t n; /* only one waiting redaction of each sender is considered */
        NO_ERR(pending_redactions_find(job_tx(c.job), c.v, 0, &target->event_id, 1, &pending, &n));
        assert_int_equal(n, 1);
        assert_int_equal(take(&c, target), VERDICT_ACCEPTED);
        const struct stored_event *stored;
        NO_ERR(events_get_by_id(job_tx(c.job), target->event_id, &stored));
        left = stored->event;
        assert_true(stored->redacted_by > 0);
        assert_true(json_object_size(event_content(left)) == 0);
        close_scene(&c);
    }
}

/* A redaction that came before its target, and one that follows it in the chain. */
static void redactions_apply_in_a_chain_on_a_fork(void **state)
{
    EACH_VERSION(v)
    {
        enum { N = 5, EARLY = 1, TARGET = 2, REDACTION = 3 };
        struct scene c;
        struct incoming in[N] = {{NULL}};
        struct accept_outcome out[N];
        open_scene(&c, v);
        if (c.v->event_id == EVENT_ID_GIVEN) {
            close_scene(&c);
            continue; /* as above */
        }
        for (int i = 0; i < N; i++) {
            struct wanted w = bobs(&c, "m.room.message", "{\"body\":\"secret\"}");
            if (i == REDACTION)
                w = redaction_of(&c, in[TARGET].event);
            if (i)
                w.prev[0] = in[i - 1].event->event_id;
            w.depth += i;
            in[i].event = make(&c, &w);
        }
        struct wanted early = redaction_of(&c, in[EARLY].event);
        assert_int_equal(take(&c, make(&c, &early)), VERDICT_ACCEPTED);
        set_state(&c, "m.room.topic", "", "{\"topic\":\"ours\"}");
        NO_ERR(room_accept(c.job, room_named(c.job, c.room_id), in, N, out));
        for (int i = 0; i < N; i++) {
            const struct stored_event *stored;
            bool is_redacted = i == EARLY || i == TARGET;
            assert_int_equal(out[i].verdict, VERDICT_ACCEPTED);
            NO_ERR(events_get_by_id(job_tx(c.job), in[i].event->event_id, &stored));
            assert_int_equal(stored->redacted_by > 0, is_redacted);
            if (i != REDACTION)
                assert_int_equal(json_object_size(event_content(stored->event)), !is_redacted);
        }
        close_scene(&c);
    }
}

/* ---- one event on two ways at once ---- */

struct bringer {
    const struct scene *scene;
    const struct event *event;
    struct accept_outcome outcome;
};

static void *bring(void *ctx)
{
    struct bringer *b = ctx;
    struct scope s;
    scope_init(&s, node_store());
    b->outcome = accept_one(&s.job, b->scene->room_id, b->event);
    scope_finish(&s);
    return NULL;
}

/* The transaction that has it and the closing of a gap: each looks it up before locking the room.
 */
static void an_event_of_a_fork_is_taken_once(void **state)
{
    enum { ROUNDS = 30, BRINGERS = 8 };
    struct scene c;
    open_scene(&c, "11");
    for (int round = 0; round < ROUNDS; round++) {
        struct wanted w = bobs(&c, "m.room.message", "{\"body\":\"beside\"}");
        set_state(&c, "m.room.topic", "", round % 2 ? "{\"topic\":\"a\"}" : "{\"topic\":\"b\"}");
        const struct event *beside = make(&c, &w); /* its parent is no longer the current state */
        struct bringer all[BRINGERS];
        pthread_t threads[BRINGERS];
        for (int i = 0; i < BRINGERS; i++) {
            all[i] = (struct bringer){.scene = &c, .event = beside};
            assert_int_equal(pthread_create(&threads[i], NULL, bring, &all[i]), 0);
        }
        int accepted = 0;
        int64_t position = 0;
        for (int i = 0; i < BRINGERS; i++) {
            pthread_join(threads[i], NULL);
            accepted += all[i].outcome.verdict == VERDICT_ACCEPTED;
            position =
                all[i].outcome.verdict == VERDICT_ACCEPTED ? all[i].outcome.position : position;
        }
        const struct stored_event *stored;
        NO_ERR(events_get_by_id(job_tx(c.job), beside->event_id, &stored));
        assert_int_equal(accepted, 1);
        assert_int_equal(stored->position, position);
    }
    close_scene(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_is_taken_in_one_go),
        cmocka_unit_test(missing_parents_are_named),
        cmocka_unit_test(events_without_permission_are_rejected_and_harmless),
        cmocka_unit_test(messages_at_the_same_time_leave_two_ends),
        cmocka_unit_test(events_of_a_user_banned_meanwhile_are_soft_failed),
        cmocka_unit_test(topics_of_two_branches_are_resolved),
        cmocka_unit_test(a_loser_is_in_the_timeline_and_not_in_the_state),
        cmocka_unit_test(a_redaction_waits_for_its_target),
        cmocka_unit_test(redactions_apply_in_a_chain_on_a_fork),
        cmocka_unit_test(an_event_of_a_fork_is_taken_once),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
