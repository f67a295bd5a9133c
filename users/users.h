/* What the users floor owns as long as the node lives. Its parts have locks of their own. */
#ifndef USERS_USERS_H
#define USERS_USERS_H

struct users {
    struct session_table *sessions;      /* users/session.h */
    struct typing *typing;               /* users/typing.h */
    struct presence_table *presence;     /* users/presence.h; NULL: switched off */
    struct unread_cache *unread;         /* users/unread.h */
    struct device_states *device_states; /* users/device_state.h */
    struct message_quota *message_quota; /* users/message_quota.h */
    struct filter_cache *filters;        /* users/filters.h */
};

#endif
