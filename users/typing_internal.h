/* Shared by users/typing_table.c (rooms and who types in them) and users/typing.c (how that
 * changes, and what readers get). */
#ifndef USERS_TYPING_INTERNAL_H
#define USERS_TYPING_INTERNAL_H

#include "base/lock.h"
#include "base/map.h"
#include "users/typing.h"

enum { TYPING_USERS_MAX = 100 }; /* of one room */

struct typer {
    int64_t user, until_ms /* now_ms() */, notified_mono_ms;
    bool is_shared; /* as it is, by the log */
    bool is_own;    /* the last request was one to this node */
    char *user_id;
};

/* Rooms are listed twice, by the place of their newest change. */
enum typing_order { BY_SERIAL, BY_POSITION, TYPING_ORDERS };

struct typing_room {
    int64_t room;
    struct typer *typers;
    size_t n;
    struct {
        int64_t at; /* 0: not in the list */
        struct typing_room *newer, *older;
    } order[TYPING_ORDERS];
};

struct typing {
    struct lock lock;
    struct node *node;
    struct map rooms; /* rooms.id -> struct typing_room */
    struct {
        struct typing_room *newest, *oldest;
    } order[TYPING_ORDERS];
    int64_t serial;        /* the newest that was given out */
    bool serials_by_clock; /* typing went through the log */
    struct worker_kind *ends, *shares;
    int64_t next_end_ms; /* of the first user to time out; INT64_MAX: no user types */
    typing_listener *listener;
    void *listener_ctx;
};

void typing_drop_room_locked(struct typing *t, struct typing_room *r);
/* Created if missing. */
struct typing_room *typing_room_locked(struct typing *t, int64_t room);
void typing_move_locked(struct typing *t, struct typing_room *r, enum typing_order o, int64_t at);

struct typer *typing_find_user_locked(struct typing_room *r, int64_t user);
/* Adds the user, or moves the end of one who types. NULL: too many type. *ret_is_new: was added. */
struct typer *typing_put_user_locked(struct typing *t, struct typing_room *r, int64_t user,
                                     const char *user_id, int64_t until_ms, bool *ret_is_new);
void typing_remove_user_locked(struct typing_room *r, struct typer *who);
/* The end must be noticed. */
void typing_note_end_locked(struct typing *t, int64_t until_ms);

#endif
