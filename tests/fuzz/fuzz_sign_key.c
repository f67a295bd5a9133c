/* Key files and signatures: a key can be read from the line written for it, and verifies its own
 * signature. */
#include "fuzz.h"
#include "matrix/sign.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = fuzz_str(data, size);
    struct signing_key k, again;
    /* As hostile base64, too. */
    sign_check(text, STR("bytes"), text);
    if (signing_key_parse(text, &k))
        return 0;
    buf_auto struct buf line = {0}, public = {0};
    signing_key_add_line(&line, &k);
    HOLDS(!signing_key_parse(buf_str(&line), &again));
    HOLDS(strcmp(k.id, again.id) == 0);
    HOLDS(memcmp(k.secret, again.secret, sizeof k.secret) == 0);
    HOLDS(memcmp(k.public_, again.public_, sizeof k.public_) == 0);

    char signature[SIGNATURE_BASE64 + 1];
    sign_bytes(&k, text, signature);
    buf_add_base64(&public, BASE64_STANDARD, k.public_, sizeof k.public_);
    HOLDS(sign_check(buf_str(&public), text, str_of(signature)));
    HOLDS(!sign_check(buf_str(&public), STR("other"), str_of(signature)));
    return 0;
}
