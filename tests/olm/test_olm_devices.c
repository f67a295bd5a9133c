/* Two devices with real libolm accounts meet on the server, exchange keys, talk over Olm, and read
 * each other's Megolm messages in an encrypted room. Run by run.sh, which passes the server's URL.
 * Each test depends on those before it. */
#include "device.h"
#include "http.h"

#include "base/mem.h"
#include "base/str.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define MEGOLM "m.megolm.v1.aes-sha2"

enum { ONE_TIME_KEYS = 3, MESSAGES = 5 };

static struct device alice, bob;
static OlmSession *alices, *bobs; /* the two ends of one session */

static const char *text_at(const json_t *event, const char *key)
{
    return json_string_value(json_object_get(json_object_get(event, "content"), key));
}

static void test_devices_publish_their_keys(void **state)
{
    device_register(&alice, "olm-alice");
    device_register(&bob, "olm-bob");
    device_upload(&alice, ONE_TIME_KEYS, true);
    device_upload(&bob, ONE_TIME_KEYS, true);
    device_check_keys(&alice, &bob);
    device_check_keys(&bob, &alice);
    json_decref(device_sync(&alice));
    json_decref(device_sync(&bob));
}

static void test_session_begins_with_a_claimed_key(void **state)
{
    bool fallback;
    alices = device_start_session(&alice, &bob, &fallback);
    assert_false(fallback);
    device_send_olm(&alice, alices, &bob, "m.dummy", json_pack("{s:s}", "text", "hello"));
    json_auto_t *event = device_receive_olm(&bob, &alice, &bobs);
    assert_string_equal(text_at(event, "text"), "hello");
    assert_string_equal(json_string_value(json_object_get(event, "sender")), alice.user_id);
}

static void test_session_goes_both_ways(void **state)
{
    for (int i = 0; i < 4; i++) {
        char text[32];
        snprintf(text, sizeof text, "message %d", i);
        bool from_bob = i % 2 == 0;
        device_send_olm(from_bob ? &bob : &alice, from_bob ? bobs : alices,
                        from_bob ? &alice : &bob, "m.dummy", json_pack("{s:s}", "text", text));
        json_auto_t *event = from_bob ? device_receive_olm(&alice, &bob, &alices)
                                      : device_receive_olm(&bob, &alice, &bobs);
        assert_string_equal(text_at(event, "text"), text);
    }
}

static void test_fallback_key_serves_when_one_time_keys_are_gone(void **state)
{
    for (int i = 0; i < ONE_TIME_KEYS + 2; i++) {
        bool fallback;
        OlmSession *there = device_start_session(&bob, &alice, &fallback), *here = NULL;
        assert_int_equal(fallback, i >= ONE_TIME_KEYS);
        device_send_olm(&bob, there, &alice, "m.dummy", json_pack("{s:i}", "i", i));
        json_auto_t *event = device_receive_olm(&alice, &bob, &here);
        json_t *got = json_object_get(json_object_get(event, "content"), "i");
        assert_int_equal(json_integer_value(got), i);
        session_free(there);
        session_free(here);
    }
    json_decref(
        device_call(&bob, "PUT", "/sendToDevice/m.dummy/wake",
                    json_pack("{s:{s:{s:{}}}}", "messages", alice.user_id, alice.device_id)));
    json_auto_t *r = device_sync(&alice);
    json_t *unused = json_object_get(r, "device_unused_fallback_key_types");
    json_t *counts = json_object_get(r, "device_one_time_keys_count");
    assert_true(json_is_array(unused) && json_array_size(unused) == 0);
    assert_int_equal(json_integer_value(json_object_get(counts, "signed_curve25519")), 0);
}

/* ---- Megolm ---- */

static char room[256];

static void make_encrypted_room(void)
{
    json_auto_t *r =
        device_call(&alice, "POST", "/createRoom",
                    json_pack("{s:s, s:[s], s:[{s:s, s:s, s:{s:s}}]}", "preset", "private_chat",
                              "invite", bob.user_id, "initial_state", "type", "m.room.encryption",
                              "state_key", "", "content", "algorithm", MEGOLM));
    snprintf(room, sizeof room, "%s", json_string_value(json_object_get(r, "room_id")));
    char path[512];
    snprintf(path, sizeof path, "/join/%s", room);
    json_decref(device_call(&bob, "POST", path, json_object()));
}

static OlmOutboundGroupSession *new_outbound(void)
{
    OlmOutboundGroupSession *s =
        olm_outbound_group_session(mem_alloc(olm_outbound_group_session_size()));
    size_t n = olm_init_outbound_group_session_random_length(s);
    uint8_t *random = mem_alloc(n);
    FILE *f = fopen("/dev/urandom", "r");
    assert_int_equal(fread(random, 1, n, f), n);
    fclose(f);
    assert_true(olm_init_outbound_group_session(s, random, n) != olm_error());
    free(random);
    return s;
}

/* The session's id, or its key, as text. */
static char *text_of(OlmOutboundGroupSession *s, size_t (*length)(const OlmOutboundGroupSession *),
                     size_t (*get)(OlmOutboundGroupSession *, uint8_t *, size_t))
{
    size_t n = length(s);
    char *text = mem_zalloc(n + 1);
    assert_true(get(s, (uint8_t *)text, n) != olm_error());
    return text;
}

static void share_session(OlmOutboundGroupSession *s, const char *session_id)
{
    char *key = text_of(s, olm_outbound_group_session_key_length, olm_outbound_group_session_key);
    device_send_olm(&alice, alices, &bob, "m.room_key",
                    json_pack("{s:s, s:s, s:s, s:s}", "algorithm", MEGOLM, "room_id", room,
                              "session_id", session_id, "session_key", key));
    free(key);
}

static void send_encrypted(OlmOutboundGroupSession *s, const char *session_id, int i)
{
    char plain[512], path[512];
    snprintf(plain, sizeof plain,
             "{\"type\":\"m.room.message\",\"room_id\":\"%s\",\"content\":{\"msgtype\":\"m.text\","
             "\"body\":\"secret %d\"}}",
             room, i);
    size_t size = olm_group_encrypt_message_length(s, strlen(plain));
    uint8_t *message = mem_alloc(size);
    size_t n = olm_group_encrypt(s, (uint8_t *)plain, strlen(plain), message, size);
    assert_true(n != olm_error());
    snprintf(path, sizeof path, "/rooms/%s/send/m.room.encrypted/megolm%d", room, i);
    json_decref(device_call(&alice, "PUT", path,
                            json_pack("{s:s, s:s, s:s, s:s, s:s%}", "algorithm", MEGOLM,
                                      "sender_key", alice.curve25519, "device_id", alice.device_id,
                                      "session_id", session_id, "ciphertext", message, n)));
    free(message);
}

static OlmInboundGroupSession *receive_session(const char *session_id)
{
    json_auto_t *event = device_receive_olm(&bob, &alice, &bobs);
    assert_string_equal(json_string_value(json_object_get(event, "type")), "m.room_key");
    assert_string_equal(text_at(event, "session_id"), session_id);
    const char *key = text_at(event, "session_key");
    OlmInboundGroupSession *s =
        olm_inbound_group_session(mem_alloc(olm_inbound_group_session_size()));
    assert_true(olm_init_inbound_group_session(s, (const uint8_t *)key, strlen(key)) !=
                olm_error());
    return s;
}

static void check_message(OlmInboundGroupSession *s, const json_t *event, int i)
{
    const char *ciphertext = text_at(event, "ciphertext");
    assert_non_null(ciphertext);
    char *copy = mem_strdup(ciphertext);
    size_t size = olm_group_decrypt_max_plaintext_length(s, (uint8_t *)copy, strlen(copy));
    assert_true(size != olm_error());
    strcpy(copy, ciphertext); /* libolm decodes in place */
    uint8_t *plain = mem_alloc(size);
    uint32_t index;
    size_t n = olm_group_decrypt(s, (uint8_t *)copy, strlen(ciphertext), plain, size, &index);
    if (n == olm_error())
        fail_msg("libolm: %s", olm_inbound_group_session_last_error(s));
    json_auto_t *inner = json_loadb((char *)plain, n, 0, NULL);
    char wanted[32];
    snprintf(wanted, sizeof wanted, "secret %d", i);
    assert_string_equal(text_at(inner, "body"), wanted);
    assert_string_equal(json_string_value(json_object_get(inner, "room_id")), room);
    assert_int_equal(index, i);
    free(copy);
    free(plain);
}

/* The encrypted events of the room from /sync, as many as were sent. */
static json_t *receive_encrypted(struct device *d)
{
    json_t *found = json_array();
    for (int tries = 0; tries < 10 && json_array_size(found) < MESSAGES; tries++) {
        json_auto_t *r = device_sync(d);
        json_t *joined = json_object_get(json_object_get(r, "rooms"), "join");
        json_t *timeline = json_object_get(json_object_get(joined, room), "timeline");
        size_t i;
        json_t *event;
        json_array_foreach (json_object_get(timeline, "events"), i, event)
            if (strcmp(json_string_value(json_object_get(event, "type")), "m.room.encrypted") == 0)
                json_array_append(found, event);
    }
    return found;
}

static void test_room_messages_are_read_with_the_shared_key(void **state)
{
    make_encrypted_room();
    OlmOutboundGroupSession *out = new_outbound();
    char *id = text_of(out, olm_outbound_group_session_id_length, olm_outbound_group_session_id);
    share_session(out, id);
    OlmInboundGroupSession *in = receive_session(id);
    for (int i = 0; i < MESSAGES; i++)
        send_encrypted(out, id, i);
    json_auto_t *events = receive_encrypted(&bob);
    assert_int_equal(json_array_size(events), MESSAGES);
    for (int i = 0; i < MESSAGES; i++)
        check_message(in, json_array_get(events, (size_t)i), i);
    free(id);
    olm_clear_outbound_group_session(out);
    free(out);
    olm_clear_inbound_group_session(in);
    free(in);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_devices_publish_their_keys),
        cmocka_unit_test(test_session_begins_with_a_claimed_key),
        cmocka_unit_test(test_session_goes_both_ways),
        cmocka_unit_test(test_fallback_key_serves_when_one_time_keys_are_gone),
        cmocka_unit_test(test_room_messages_are_read_with_the_shared_key),
    };
    if (argc != 2) {
        fprintf(stderr, "usage: %s URL\n", argv[0]);
        return 2;
    }
    http_setup(argv[1]);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    if (alices)
        session_free(alices);
    if (bobs)
        session_free(bobs);
    if (alice.account)
        device_finish(&alice);
    if (bob.account)
        device_finish(&bob);
    http_teardown();
    return failed;
}
