/* Runs a fuzz target over the files that are named, each in a buffer of exactly its size. */
#include "fuzz.h"

#include "base/mem.h"

static void replay(const char *path)
{
    FILE *f = fopen(path, "rb");
    HOLDS(f && fseek(f, 0, SEEK_END) == 0);
    long size = ftell(f);
    HOLDS(size >= 0 && fseek(f, 0, SEEK_SET) == 0);
    uint8_t *bytes = mem_alloc((size_t)size);
    HOLDS(fread(bytes, 1, (size_t)size, f) == (size_t)size);
    fclose(f);
    LLVMFuzzerTestOneInput(bytes, (size_t)size);
    free(bytes);
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        replay(argv[i]);
    return 0;
}
