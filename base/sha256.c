#include "base/sha256.h"

#include <openssl/evp.h>
#include <pthread.h>
#include <stdlib.h>

/* A fetch looks through the providers under a lock and costs more than hashing an event. */
static EVP_MD *digest;
static pthread_once_t digest_once = PTHREAD_ONCE_INIT;

static void fetch_digest(void)
{
    digest = EVP_MD_fetch(NULL, "SHA256", NULL);
    if (!digest)
        abort();
}

void sha256_parts(const struct str *parts, size_t n, unsigned char ret[SHA256_BYTES])
{
    pthread_once(&digest_once, fetch_digest);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    if (!ctx || !EVP_DigestInit_ex2(ctx, digest, NULL))
        abort();
    for (size_t i = 0; i < n; i++)
        if (!EVP_DigestUpdate(ctx, parts[i].p, parts[i].n))
            abort();
    if (!EVP_DigestFinal_ex(ctx, ret, NULL))
        abort();
    EVP_MD_CTX_free(ctx);
}

void sha256(struct str bytes, unsigned char ret[SHA256_BYTES])
{
    sha256_parts(&bytes, 1, ret);
}
