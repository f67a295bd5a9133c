/* Every statement of the program (this one is linked with all of the library) prepares against a
 * fresh schema, and returns only columns that storage/db/db.h can read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pg_fixture.h"
#include "storage/rooms/members.h"
#include "storage/rooms/room_state.h"
#include "storage/rooms/sql_numbers.h"
#include "storage/users/receipts.h"

static const struct {
    Oid oid;
    const char *name;
} readable[] = {
    {16, "boolean"},           {17, "bytea"},      {20, "bigint"},       {21, "smallint"},
    {23, "integer"},           {25, "text"},       {700, "real"},        {1043, "varchar"},
    {701, "double precision"}, {1001, "bytea[]"},  {1005, "smallint[]"}, {1007, "integer[]"},
    {1009, "text[]"},          {1016, "bigint[]"}, {2278, "void"},
};

static bool is_readable(Oid type)
{
    for (size_t i = 0; i < sizeof readable / sizeof *readable; i++)
        if (readable[i].oid == type)
            return true;
    return false;
}

/* The number of errors of a statement. */
static int check_columns(PGconn *pg, const struct sql *s)
{
    int bad = 0;
    PGresult *result = PQdescribePrepared(pg, "s");
    for (int i = 0; i < PQnfields(result); i++) {
        if (is_readable(PQftype(result, i)))
            continue;
        print_error("%s: column %d (%s) is of a type that db.h cannot read (oid %u): cast it\n",
                    s->name, i, PQfname(result, i), PQftype(result, i));
        bad++;
    }
    PQclear(result);
    return bad;
}

static int check_statement(PGconn *pg, const struct sql *s)
{
    PGresult *result = PQprepare(pg, "s", s->text, 0, NULL);
    bool good = PQresultStatus(result) == PGRES_COMMAND_OK;
    if (!good)
        print_error("%s: %s", s->name, PQresultErrorMessage(result));
    PQclear(result);
    int bad = good ? check_columns(pg, s) : 1;
    PQclear(PQexec(pg, "DEALLOCATE ALL"));
    return bad;
}

static void every_statement_prepares_and_is_readable(void **state)
{
    NO_ERR(migrate(pg_uri(), NULL));
    PGconn *pg;
    NO_ERR(db_connect(pg_uri(), &pg));
    int bad = 0, n = 0;
    for (const struct sql *s = db_registered_sql(); s; s = s->next, n++)
        bad += check_statement(pg, s);
    PQfinish(pg);
    assert_true(n > 8); /* those of intern.c alone are so many */
    assert_int_equal(bad, 0);
}

static void statements_have_numbers_of_their_own(void **state)
{
    int before = db_registered_sql()->id + 1;
    for (const struct sql *s = db_registered_sql(); s; s = s->next) {
        assert_int_equal(s->id, before - 1);
        before = s->id;
    }
    assert_int_equal(before, 1);
}

static void numbers_in_statements_are_those_of_the_program(void **state)
{
    static const struct {
        const char *text;
        int64_t number;
    } rows[] = {
        {MEMBERSHIP_JOIN_SQL, MEMBERSHIP_JOIN},
        {MEMBERSHIP_INVITE_SQL, MEMBERSHIP_INVITE},
        {MEMBERSHIP_LEAVE_SQL, MEMBERSHIP_LEAVE},
        {MEMBERSHIP_BAN_SQL, MEMBERSHIP_BAN},
        {MEMBERSHIP_KNOCK_SQL, MEMBERSHIP_KNOCK},
        {TYPE_MEMBER_SQL, TYPE_MEMBER},
        {TYPE_CREATE_SQL, TYPE_CREATE},
        {TYPE_REDACTION_SQL, TYPE_REDACTION},
        {TYPE_POWER_LEVELS_SQL, TYPE_POWER_LEVELS},
        {TYPE_JOIN_RULES_SQL, TYPE_JOIN_RULES},
        {TYPE_NAME_SQL, TYPE_NAME},
        {TYPE_HISTORY_VISIBILITY_SQL, TYPE_HISTORY_VISIBILITY},
        {TYPE_ENCRYPTION_SQL, TYPE_ENCRYPTION},
        {EVENT_RELAYED_SQL, EVENT_RELAYED},
        {EVENT_OFF_TIMELINE_MAX_SQL, EVENT_OFF_TIMELINE_MAX},
        {VALID_FOREVER_SQL, VALID_FOREVER},
        {RECEIPT_READ_SQL, RECEIPT_READ},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char number[32];
        snprintf(number, sizeof number, "%lld", (long long)rows[i].number);
        assert_string_equal(rows[i].text, number);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_in_statements_are_those_of_the_program),
        cmocka_unit_test(every_statement_prepares_and_is_readable),
        cmocka_unit_test(statements_have_numbers_of_their_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
