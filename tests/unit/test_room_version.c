#include "matrix/room_version.h"

#include "check.h"

#include <stddef.h>

static void test_find(void **state)
{
    for (int number = 1; number <= 12; number++) {
        const struct room_version *v = room_version_find_number(number);
        assert_non_null(v);
        assert_int_equal(v->number, number);
        assert_ptr_equal(room_version_find(v->id), v);
        assert_ptr_equal(v, &room_versions[number - 1]);
    }
    assert_null(room_versions[12].id);
    assert_null(room_version_find("13"));
    assert_null(room_version_find("0"));
    assert_null(room_version_find("01"));
    assert_null(room_version_find(""));
    assert_null(room_version_find("org.example.mine"));
    assert_null(room_version_find_number(0));
    assert_null(room_version_find_number(13));
    assert_null(room_version_find_number(-1));
}

/* Each flag holds from one version to another (rooms/vN, "What's new"). */
static void test_flags(void **state)
{
#define FLAG(name) #name, offsetof(struct room_version, name)
    static const struct {
        const char *name;
        size_t offset;
        int from, to;
    } rows[] = {
        {FLAG(aliases_special), 1, 5},
        {FLAG(redaction_auth_by_receiver), 3, 12},
        {FLAG(enforce_key_validity), 5, 12},
        {FLAG(notifications_in_power_levels), 6, 12},
        {FLAG(knock), 7, 12},
        {FLAG(restricted), 8, 12},
        {FLAG(redact_keeps_allow), 8, 12},
        {FLAG(redact_keeps_authorised_via), 9, 12},
        {FLAG(knock_restricted), 10, 12},
        {FLAG(integer_power_levels), 10, 12},
        {FLAG(creator_is_sender), 11, 12},
        {FLAG(redacts_in_content), 11, 12},
        {FLAG(redact_v11), 11, 12},
        {FLAG(room_id_is_create_hash), 12, 12},
        {FLAG(privileged_creators), 12, 12},
    };
    for (const struct room_version *v = room_versions; v->id; v++)
        for (size_t i = 0; i < COUNT(rows); i++)
            check_bool(rows[i].name, v->id, *((const bool *)((const char *)v + rows[i].offset)),
                       v->number >= rows[i].from && v->number <= rows[i].to);
}

static void test_formats(void **state)
{
    for (const struct room_version *v = room_versions; v->id; v++) {
        int n = v->number;
        assert_int_equal(v->event_id, n <= 2   ? EVENT_ID_GIVEN
                                      : n == 3 ? EVENT_ID_HASH_STANDARD
                                               : EVENT_ID_HASH_URL);
        assert_int_equal(v->state_res, n == 1    ? STATE_RES_V1
                                       : n <= 11 ? STATE_RES_V2
                                                 : STATE_RES_V2_1);
        assert_int_equal(v->canonical, n <= 5 ? CANONICAL_LENIENT : CANONICAL_STRICT);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_find),
        cmocka_unit_test(test_flags),
        cmocka_unit_test(test_formats),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
