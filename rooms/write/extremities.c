#include "rooms/write/extremities.h"

#include "base/clock.h"
#include "matrix/event.h"
#include "rooms/write/append.h"
#include "rooms/write/basis.h"

enum { AT_ONCE_MAX = 20, AGAIN_MS = 60 * 1000 };

static size_t count_too_many(struct room *room)
{
    LOCKED(&room->lock);
    size_t n = room->extremities_n;
    return n > EVENT_PREV_MAX && mono_ms() >= room->gather_again_mono ? n - EVENT_PREV_MAX : 0;
}

/* One of our users who may send the event; user 0: none. */
static const struct err *find_author(struct job *job, struct room *room, struct author *ret)
{
    const struct room_member *members;
    struct auth_state state;
    struct basis on;
    size_t n;
    basis_init(&on, job, room);
    TRY(basis_power(&on, &state));
    int64_t needed = auth_power_to_send(&state, room->version, EVENT_TYPE_DUMMY, false);
    basis_list_joined(&on, &members, &n);
    *ret = (struct author){0};
    for (size_t i = 0; i < n && !ret->user; i++)
        if (auth_power_of_user(&state, room->version, members[i].user_id) >= needed)
            *ret = (struct author){.user = members[i].user, .user_id = members[i].user_id};
    return NULL;
}

/* Each dummy event cites as many extremities as it can, and is one itself. */
static const struct err *extremities_send(struct job *job, struct room *room,
                                          const struct author *author, size_t too_many)
{
    struct new_event dummies[AT_ONCE_MAX];
    const char *ids[AT_ONCE_MAX];
    size_t n = (too_many + EVENT_PREV_MAX - 2) / (EVENT_PREV_MAX - 1);
    n = n < AT_ONCE_MAX ? n : AT_ONCE_MAX;
    for (size_t i = 0; i < n; i++)
        dummies[i] = (struct new_event){.type = EVENT_TYPE_DUMMY, .content = STR("{}")};
    return room_append(job, room, author, dummies, n, ids);
}

static const struct err *write_extremities_gather(struct job *job, struct room *room,
                                                  size_t too_many)
{
    struct author author;
    TRY(find_author(job, room, &author));
    const struct err *e = author.user ? extremities_send(job, room, &author, too_many) : NULL;
    if (author.user && (!e || e->code != ERR_FORBIDDEN))
        return e;
    LOCKED(&room->lock);
    room->gather_again_mono = mono_ms() + AGAIN_MS;
    return NULL;
}

void extremities_gather(struct job *job, struct room *room)
{
    size_t too_many = count_too_many(room);
    const struct err *e = too_many ? write_extremities_gather(job, room, too_many) : NULL;
    (void)e; /* the received events are stored, even if this fails */
}
