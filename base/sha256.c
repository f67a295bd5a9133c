#include "base/sha256.h"

#include "base/mem.h"

#include <openssl/evp.h>
#include <pthread.h>
#include <unistd.h>

/* A fetch searches the providers under a lock and costs more than hashing an event. */
static EVP_MD *digest;
static pthread_once_t digest_once = PTHREAD_ONCE_INIT;

/* A context costs as much to make as a short text to hash: each thread keeps its own. */
static pthread_key_t context_key;

static void free_context(void *ctx)
{
    EVP_MD_CTX_free(ctx);
}

static void fetch_digest(void)
{
    digest = EVP_MD_fetch(NULL, "SHA256", NULL);
    if (!digest || pthread_key_create(&context_key, free_context))
        abort();
}

static EVP_MD_CTX *sha256_begin(void)
{
    static _Thread_local EVP_MD_CTX *ctx;
    pthread_once(&digest_once, fetch_digest);
    if (!ctx) {
        ctx = EVP_MD_CTX_new();
        pthread_setspecific(context_key, ctx);
    }
    if (!ctx || !EVP_DigestInit_ex2(ctx, digest, NULL))
        abort();
    return ctx;
}

static void sha256_add(EVP_MD_CTX *ctx, const void *bytes, size_t n)
{
    if (!EVP_DigestUpdate(ctx, bytes, n))
        abort();
}

static void sha256_end(EVP_MD_CTX *ctx, unsigned char ret[SHA256_BYTES])
{
    if (!EVP_DigestFinal_ex(ctx, ret, NULL))
        abort();
}

void sha256_parts(const struct str *parts, size_t n, unsigned char ret[SHA256_BYTES])
{
    EVP_MD_CTX *ctx = sha256_begin();
    for (size_t i = 0; i < n; i++)
        sha256_add(ctx, parts[i].p, parts[i].n);
    sha256_end(ctx, ret);
}

void sha256(struct str bytes, unsigned char ret[SHA256_BYTES])
{
    sha256_parts(&bytes, 1, ret);
}

bool sha256_file(int fd, unsigned char ret[SHA256_BYTES])
{
    enum { CHUNK = 256 * 1024 };
    EVP_MD_CTX *ctx = sha256_begin();
    char *chunk = mem_alloc(CHUNK);
    off_t at = 0;
    ssize_t n;
    while ((n = pread(fd, chunk, CHUNK, at)) > 0) {
        sha256_add(ctx, chunk, (size_t)n);
        at += n;
    }
    free(chunk);
    sha256_end(ctx, ret);
    return n == 0;
}
