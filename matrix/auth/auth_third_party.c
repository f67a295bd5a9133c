/* The conditions of the authorization rules about invites that were made by e-mail or phone number:
 * an identity server signed that the token of an m.room.third_party_invite belongs to a user. */
#include "matrix/auth/auth_internal.h"

/* A hostile invite could contain thousands of signatures and keys; checking one costs 80 us. Real
 * ones have two keys and one signature. */
enum { SIGNATURE_CHECKS_MAX = 64 };

static const json_t *signed_part(const struct auth_case *c)
{
    return json_at(event_content(c->e), "third_party_invite", "signed", NULL);
}

static const struct event *invite_of_token(const struct auth_case *c)
{
    return c->s->get(c->s, "m.room.third_party_invite", json_text(signed_part(c), "token"));
}

bool has_third_party_invite(struct auth_case *c)
{
    return json_object_get(event_content(c->e), "third_party_invite") != NULL;
}

bool third_party_has_no_signed(struct auth_case *c)
{
    return !json_is_object(signed_part(c));
}

bool signed_lacks_mxid_or_token(struct auth_case *c)
{
    const json_t *signed_ = signed_part(c);
    return !json_text(signed_, "mxid") || !json_text(signed_, "token");
}

bool mxid_is_not_target(struct auth_case *c)
{
    return strcmp(json_text(signed_part(c), "mxid"), c->e->state_key) != 0;
}

bool token_is_unknown(struct auth_case *c)
{
    return !invite_of_token(c);
}

bool sender_did_not_make_token(struct auth_case *c)
{
    return strcmp(invite_of_token(c)->sender, c->e->sender) != 0;
}

/* Tries every signature with one key; also false when the budget is used up. */
static bool key_signed(const json_t *signed_, const char *key, int *budget)
{
    const char *server, *key_id;
    json_t *by_key, *signature;
    json_object_foreach (json_object_get(signed_, "signatures"), server, by_key) {
        json_object_foreach (by_key, key_id, signature) {
            if (strncmp(key_id, "ed25519:", 8) != 0)
                continue;
            if ((*budget)-- <= 0)
                return false;
            if (sign_check_json(signed_, server, key_id, str_of(key)))
                return true;
        }
    }
    return false;
}

bool signed_by_a_key_of_token(struct auth_case *c)
{
    const json_t *signed_ = signed_part(c), *invite = event_content(invite_of_token(c));
    int budget = SIGNATURE_CHECKS_MAX;
    const char *key = json_text(invite, "public_key");
    if (key && key_signed(signed_, key, &budget))
        return true;
    const json_t *keys = json_object_get(invite, "public_keys");
    for (size_t i = 0; i < json_array_size(keys) && budget > 0; i++) {
        key = json_text(json_array_get(keys, i), "public_key");
        if (key && key_signed(signed_, key, &budget))
            return true;
    }
    return false;
}
