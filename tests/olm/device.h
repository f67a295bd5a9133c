/* A client with a real libolm account, which does the same steps as Element in the same order.
 * Every failure ends the test. */
#ifndef TESTS_OLM_DEVICE_H
#define TESTS_OLM_DEVICE_H

#include <jansson.h>
#include <olm/inbound_group_session.h>
#include <olm/olm.h>
#include <olm/outbound_group_session.h>
#include <stdbool.h>

struct device {
    char user_id[256], device_id[64], token[256];
    char since[128]; /* the next token of /sync; "" before the first */
    char ed25519[64], curve25519[64];
    OlmAccount *account;
};

void device_register(struct device *d, const char *name);
void device_finish(struct device *d);

json_t *device_call(struct device *d, const char *method, const char *path, json_t *body);

/* Uploads device keys, signed one-time keys and, if requested, a fallback key. */
void device_upload(struct device *d, size_t one_time_keys, bool fallback);

/* Queries the other's keys and checks that they are its own, with valid signatures. */
void device_check_keys(struct device *d, const struct device *other);

/* Claims a key of the other's, checks its signature, and starts an Olm session with it.
 * ret_was_fallback may be NULL. */
OlmSession *device_start_session(struct device *d, const struct device *other,
                                 bool *ret_was_fallback);

/* Sends an event over Olm in a to-device message. Steals content. */
void device_send_olm(struct device *d, OlmSession *session, const struct device *to,
                     const char *type, json_t *content);

/* Waits for the next to-device message and decrypts it; *session NULL: it must begin a session,
 * which is returned there. The caller owns the event. */
json_t *device_receive_olm(struct device *d, const struct device *from, OlmSession **session);

/* The next /sync, waiting up to ten seconds; the caller owns the reply. */
json_t *device_sync(struct device *d);

void session_free(OlmSession *s);

#endif
