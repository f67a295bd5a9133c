/* Numbers of the program, as they stand in the text of statements. tests/unit/test_sql.c compares
 * each of them with what it stands for. */
#ifndef STORAGE_ROOMS_SQL_NUMBERS_H
#define STORAGE_ROOMS_SQL_NUMBERS_H

/* enum membership; lists are for IN (...) */
#define MEMBERSHIP_JOIN_SQL "1"
#define MEMBERSHIP_INVITE_SQL "2"
#define MEMBERSHIP_LEAVE_SQL "3"
#define MEMBERSHIP_BAN_SQL "4"
#define MEMBERSHIP_KNOCK_SQL "5"
#define MEMBERSHIPS_EXPECTED_SQL                                                                   \
    MEMBERSHIP_JOIN_SQL ", " MEMBERSHIP_INVITE_SQL ", " MEMBERSHIP_KNOCK_SQL
#define MEMBERSHIPS_ENDED_SQL MEMBERSHIP_LEAVE_SQL ", " MEMBERSHIP_BAN_SQL

/* storage/rooms/events.h */
#define TYPE_MEMBER_SQL "1"
#define TYPE_CREATE_SQL "2"
#define TYPE_REDACTION_SQL "5"
#define TYPE_POWER_LEVELS_SQL "7"
#define TYPE_JOIN_RULES_SQL "8"
#define TYPE_NAME_SQL "9"
#define TYPE_HISTORY_VISIBILITY_SQL "13"
#define TYPE_ENCRYPTION_SQL "15"
#define EVENT_RELAYED_SQL "1"
#define EVENT_OFF_TIMELINE_MAX_SQL "-2305843009213693952"

/* storage/rooms/room_state.h */
#define VALID_FOREVER_SQL "9223372036854775807"

/* enum receipt_type */
#define RECEIPT_READ_SQL "1"

#endif
