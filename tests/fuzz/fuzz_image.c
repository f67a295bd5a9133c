/* Input: a byte that selects the thumbnail, then an image. Runs concorde-thumbnail's code without
 * its confinement; here the decoders get only images of a bounded size. */
#include "fuzz.h"

#include "server/media/thumbnail_image.h"

#include <sys/mman.h>
#include <unistd.h>
#include <vips/vips.h>

enum { BYTES_MAX = 32 * 1024, PIXELS_MAX = 256 * 1024 };

/* The program ends after each image: memory that libraries do not free is no fault there, but here
 * it adds up. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "detect_leaks=0:quarantine_size_mb=16";
}

static const struct thumbnail_size sizes[] = {
    {32, 32, .crop = true},
    {32, 32, .crop = true, .animated = true},
    {96, 40},
    {96, 40, .animated = true},
};
enum { SIZES_N = sizeof sizes / sizeof *sizes };

static int make_empty_file(void)
{
    static int file = -1;
    if (file < 0) {
        HOLDS(thumbnail_image_start());
        file = memfd_create("thumbnail", MFD_CLOEXEC);
    }
    HOLDS(file >= 0 && !ftruncate(file, 0) && lseek(file, 0, SEEK_SET) == 0);
    return file;
}

/* The output is an image of a type that browsers show. */
static void check_made(int file)
{
    char first[IMAGE_TYPE_BYTES];
    ssize_t n = pread(file, first, sizeof first, 0);
    HOLDS(n > 0);
    enum image_type type = image_type_of((struct str){first, (size_t)n});
    HOLDS(type == IMAGE_PNG || type == IMAGE_JPEG || type == IMAGE_WEBP);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2 || size > BYTES_MAX)
        return 0;
    struct thumbnail_task t = {.size = sizes[*data % SIZES_N],
                               .pixels_max = PIXELS_MAX,
                               .file = fuzz_str(data + 1, size - 1)};
    t.type = image_type_of(t.file);
    if (t.type == IMAGE_NONE)
        return 0;
    int file = make_empty_file();
    thumbnail_image_allow(t.type);
    enum thumbnail_outcome outcome = thumbnail_image_make(&t, file);
    if (outcome == THUMBNAIL_MADE)
        check_made(file);
    vips_error_clear();
    return 0;
}
