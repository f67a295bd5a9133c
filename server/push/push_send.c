/* One turn of one pusher: a notification, or new counts. */
#include "server/push/push_internal.h"

#include "base/clock.h"
#include "base/log.h"
#include "rooms/room_cache.h"
#include "storage/rooms/events.h"
#include "users/unread.h"

enum {
    REFUSALS_MAX = 3, /* of one notification by an answer 4xx; then it is dropped */
    RETRY_AFTER_MOST_MS = 3600 * 1000,
    DATABASE_PAUSE_MS = 1000
};

/* What a turn sends. The notice is kept by the queue, whose front this thread owns. */
struct push_turn {
    struct push_message message;
    const struct push_notice *notice;
    int64_t began_mono;
    bool is_behind;
};

static void push_turn_begin(struct pushes *p, struct live_pusher *x, struct push_turn *ret)
{
    LOCKED(&p->lock);
    const struct push_item *i = push_queue_front_locked(p, x);
    *ret = (struct push_turn){.message = {.pusher = x, .unread = -1}, .began_mono = mono_ms()};
    ret->is_behind = x->behind;
    if (!i)
        return;
    ret->notice = ret->message.notice = i->notice;
    ret->message.tweaks = i->tweaks ? i->tweaks : i->notice->tweaks;
    ret->message.is_loud = i->is_loud;
}

/* ---- whether it is still wanted ---- */

/* In memory, what was read since it came is dropped from the queue; what came before it was looked
 * up is not. */
static const struct err *push_turn_is_read(struct job *job, struct room *room,
                                           const struct push_notice *n, int64_t user,
                                           const char *user_id, bool *ret)
{
    const struct stored_event *e;
    bool was_there;
    TRY(events_get(job_tx(job), n->position, &e));
    *ret = !e || e->redacted_by;
    if (!*ret)
        TRY(unread_is_read(job, room, user, user_id, e, &was_there, ret));
    return NULL;
}

static const struct err *push_turn_check(struct job *job, const struct live_pusher *x,
                                         struct push_turn *t, bool *ret_wanted)
{
    const struct push_notice *n = t->notice;
    struct room *room;
    bool is_read = false;
    TRY(room_get_by_id(job, n->room, &room));
    struct room_member m = room ? room_member(room, x->user) : (struct room_member){0};
    t->message.is_target = n->is_member && m.user_id && strcmp(m.user_id, n->event->state_key) == 0;
    bool is_invite = m.membership == MEMBERSHIP_INVITE && m.event == n->position;
    if (m.membership == MEMBERSHIP_JOIN && n->is_looked_up)
        TRY(push_turn_is_read(job, room, n, x->user, m.user_id, &is_read));
    *ret_wanted = is_invite || (m.membership == MEMBERSHIP_JOIN && !is_read);
    return NULL;
}

/* ---- the answer ---- */

static bool push_is_rejected(struct arena *a, const struct http_answer *answer, const char *pushkey)
{
    json_t *o, *one;
    size_t i;
    if (json_read(a, answer->body, &o))
        return false;
    json_array_foreach (json_object_get(o, "rejected"), i, one) {
        const char *key = json_string_text(one);
        if (key && strcmp(key, pushkey) == 0)
            return true;
    }
    return false;
}

static void push_reject(struct pushes *p, struct job *job, const struct live_pusher *x)
{
    const struct err *e = pushers_reject(job_tx(job), x->id, x->pushkey);
    if (e) {
        log_err(LOG_WARN, "removing a pusher whose key was rejected", e);
        return;
    }
    p->rejected++;
    LOCKED(&p->lock);
    push_seen_add_locked(
        p, &(struct push_seen){.kind = SEEN_PUSHERS, .position = p->heard + 1, .user = x->user});
    push_schedule(p, PUSH_FOLLOW, 0);
}

static int64_t push_retry_after_ms(struct arena *a, const struct http_answer *answer)
{
    const char *text = http_answer_header(a, answer, "Retry-After");
    int64_t s;
    if (!text || !str_to_int64(str_of(text), &s) || s < 0)
        return 0;
    return s > RETRY_AFTER_MOST_MS / 1000 ? RETRY_AFTER_MOST_MS : s * 1000;
}

static void push_turn_sent(struct pushes *p, struct live_pusher *x, const struct push_turn *t)
{
    LOCKED(&p->lock);
    push_gateway_well_locked(p, x->gateway, mono_ms() - t->began_mono);
    x->retry_at = x->retry_interval = 0;
    if (t->message.unread >= 0)
        x->badge = t->message.unread;
    if (t->notice) {
        p->sent++;
        p->delay_us += (mono_ms() - t->notice->since_mono) * 1000;
        push_queue_pop_locked(p, x);
    } else {
        p->badges++;
    }
}

/* A refusal is about this pusher; all else about its gateway. */
static void push_turn_failed(struct pushes *p, struct live_pusher *x, const struct push_turn *t,
                             int status, int64_t at_least_ms)
{
    bool is_refusal = status >= 400 && status < 500 && status != 408 && status != 429;
    LOCKED(&p->lock);
    if (p->stopping) /* we closed the connection */
        return;
    p->failed++;
    if (!is_refusal) {
        if (!t->notice)
            x->badge_due_mono = mono_ms();
        push_gateway_failed_locked(p, x->gateway, at_least_ms);
        return;
    }
    push_gateway_well_locked(p, x->gateway, mono_ms() - t->began_mono);
    push_pusher_failed_locked(x);
    if (!t->notice) {
        x->badge = t->message.unread;
    } else if (++x->refusals >= REFUSALS_MAX) {
        p->dropped++;
        push_queue_pop_locked(p, x);
    }
}

static void push_turn_post(struct pushes *p, struct job *job, struct live_pusher *x,
                           const struct push_turn *t)
{
    static const char *const headers[] = {"Content-Type: application/json", NULL};
    struct http_answer answer = {0};
    buf_auto struct buf body = {0};
    push_body_write(&t->message, &body);
    const struct http_call call = {.method = POST,
                                   .url = x->url,
                                   .allow_plain = x->is_trusted,
                                   .allow_denied = x->is_trusted,
                                   .headers = headers,
                                   .body = buf_str(&body),
                                   .timeout_ms = PUSH_TIMEOUT_MS,
                                   .reply_max = PUSH_REPLY_MAX};
    const struct err *e = http_client_run(p->http, job->arena, &call, &answer);
    if (e || answer.status / 100 != 2) {
        int status = e ? 0 : answer.status;
        log_debug("a push gateway failed: %s %d", e ? e->text : "it answered", status);
        push_turn_failed(p, x, t, status, e ? 0 : push_retry_after_ms(job->arena, &answer));
        return;
    }
    push_turn_sent(p, x, t);
    if (push_is_rejected(job->arena, &answer, x->pushkey))
        push_reject(p, job, x);
}

/* ---- a turn ---- */

static void push_turn_drop(struct pushes *p, struct live_pusher *x)
{
    LOCKED(&p->lock);
    p->dropped++;
    push_queue_pop_locked(p, x);
}

static bool push_turn_has_counts(struct pushes *p, struct live_pusher *x, int64_t unread)
{
    LOCKED(&p->lock);
    x->badge_due_mono = 0;
    return unread != x->badge;
}

static const struct err *push_turn_run(struct pushes *p, struct job *job, struct live_pusher *x,
                                       struct push_turn *t)
{
    bool is_wanted = true;
    if (t->notice)
        TRY(push_turn_check(job, x, t, &is_wanted));
    if (!is_wanted) {
        push_turn_drop(p, x);
        return NULL;
    }
    if (x->has_counts)
        TRY(push_counts_badge(p, job, x->user, &t->message.unread));
    if (push_turn_has_counts(p, x, t->message.unread) || t->notice)
        push_turn_post(p, job, x, t);
    return NULL;
}

void push_send(struct pushes *p, struct job *job, struct live_pusher *x)
{
    struct push_turn t;
    const struct err *e = NULL;
    push_turn_begin(p, x, &t);
    if (!t.notice && t.is_behind) {
        e = push_catch_up(p, job, x);
        push_turn_begin(p, x, &t);
    }
    if (!e)
        e = push_turn_run(p, job, x, &t);
    if (!e)
        return;
    if (log_limited("a push could not be prepared", LOG_FEW))
        log_err(LOG_WARN, "a push could not be prepared; it will be tried again", e);
    LOCKED(&p->lock);
    x->retry_at = mono_ms() + DATABASE_PAUSE_MS;
}
