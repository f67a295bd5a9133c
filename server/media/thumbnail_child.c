/* The program concorde-thumbnail (server/media/thumbnail_child.h): makes one thumbnail by libvips.
 */
#include "server/media/thumbnail_child.h"

#include "server/media/image_type.h"
#include "server/media/thumbnail_confine.h"
#include "server/media/thumbnail_size.h"

#include <dlfcn.h>
#include <gmodule.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <vips/vips.h>

enum { JPEG_QUALITY = 82, WEBP_QUALITY = 78 };

struct task {
    struct thumbnail_size size;
    int64_t pixels_max;
    struct str file;
    enum image_type type;
    int width, height, frames; /* of the image, as it is to be seen */
    const char *profile;       /* of the thumbnail's colors; NULL: the image is sRGB as it is */
};

/* Nothing is worth an orderly end, and the sanitizers would complain of what libraries keep. */
__attribute__((noreturn)) static void finish(enum thumbnail_outcome outcome)
{
    if (outcome == THUMBNAIL_FAILED)
        fputs(vips_error_buffer(), stderr);
    fflush(stderr);
    _exit(outcome);
}

static struct str map_input(void)
{
    struct stat s;
    if (fstat(0, &s) || s.st_size == 0)
        finish(THUMBNAIL_NOT_AN_IMAGE);
    void *p = mmap(NULL, (size_t)s.st_size, PROT_READ, MAP_PRIVATE, 0, 0);
    if (p == MAP_FAILED)
        finish(THUMBNAIL_TOO_LARGE);
    return (struct str){p, (size_t)s.st_size};
}

/* GLib would look for a terminal, the journal and the time zone to write what is not read here:
 * errors are in vips_error_buffer(). What is fatal still ends the process. */
static GLogWriterOutput drop_words(GLogLevelFlags level, const GLogField *fields, gsize n,
                                   void *ctx)
{
    return G_LOG_WRITER_HANDLED;
}

/* AVIF's decoder is in a module. libvips itself would load all that are installed: ImageMagick's
 * among them, which takes 70 ms and then looks at each image that no other decoder knows. */
static void load_avif_decoder(void)
{
    char path[PATH_MAX];
    Dl_info libvips;
    const char *slash;
    if (!dladdr((void *)(uintptr_t)vips_init, &libvips) ||
        !(slash = strrchr(libvips.dli_fname, '/')))
        return;
    int n = snprintf(path, sizeof path, "%.*s/vips-modules-%d.%d/vips-heif." G_MODULE_SUFFIX,
                     (int)(slash - libvips.dli_fname), libvips.dli_fname, vips_version(0),
                     vips_version(1));
    if (n < (int)sizeof path)
        g_module_open(path, G_MODULE_BIND_LAZY); /* built in where it is not there */
}

/* Only the decoders of the formats that we know, which libvips calls fit for untrusted input; for
 * AVIF it does not, but nothing else reads it. Without VIPSHOME all modules are loaded. And libvips
 * before 8.15 compiles its inner loops while it runs (Orc), into memory that could be written:
 * there is none here. */
static void start_vips(enum image_type type)
{
    static const char *const loaders[] = {
        [IMAGE_PNG] = "VipsForeignLoadPng",   [IMAGE_JPEG] = "VipsForeignLoadJpeg",
        [IMAGE_GIF] = "VipsForeignLoadNsgif", [IMAGE_WEBP] = "VipsForeignLoadWebp",
        [IMAGE_AVIF] = "VipsForeignLoadHeif",
    };
    setenv("VIPSHOME", "/nonexistent", 1);
    if (VIPS_MAJOR_VERSION == 8 && VIPS_MINOR_VERSION < 15)
        setenv("VIPS_NOVECTOR", "1", 1);
    g_log_set_writer_func(drop_words, NULL, NULL);
    if (vips_init(THUMBNAIL_PROGRAM))
        finish(THUMBNAIL_FAILED);
    if (type == IMAGE_AVIF)
        load_avif_decoder();
    vips_concurrency_set(1);
    vips_cache_set_max(0);
    vips_block_untrusted_set(TRUE);
    vips_operation_block_set("VipsForeignLoad", TRUE);
    vips_operation_block_set(loaders[type], FALSE);
}

static bool is_turned(VipsImage *image)
{
    return vips_image_get_orientation(image) >= 5;
}

/* The header alone: nothing is decoded yet. */
static void measure(struct task *t)
{
    VipsImage *image = vips_image_new_from_buffer(t->file.p, t->file.n, "", NULL);
    if (!image)
        finish(THUMBNAIL_NOT_AN_IMAGE);
    bool turned = is_turned(image);
    t->width = turned ? vips_image_get_height(image) : vips_image_get_width(image);
    t->height = turned ? vips_image_get_width(image) : vips_image_get_height(image);
    t->frames = vips_image_get_n_pages(image);
    bool has_colors_of_its_own = vips_image_get_typeof(image, VIPS_META_ICC_NAME) ||
                                 vips_image_get_interpretation(image) == VIPS_INTERPRETATION_CMYK;
    t->profile = has_colors_of_its_own ? "srgb" : NULL; /* else libvips would change them */
    bool is_sequence = t->type == IMAGE_GIF || t->type == IMAGE_WEBP;
    t->size.animated = t->size.animated && is_sequence && t->frames > 1;
    int64_t pixels = (int64_t)t->width * t->height * (t->size.animated ? t->frames : 1);
    if (pixels > t->pixels_max)
        finish(THUMBNAIL_TOO_LARGE);
    g_object_unref(image);
}

/* Nothing is ever enlarged. What moves must not be sent as it is to one who asked for what does
 * not. */
static bool original_will_do(const struct task *t)
{
    bool moves = t->type == IMAGE_PNG ? image_png_is_animated(t->file) : t->frames > 1;
    return t->width <= t->size.width && t->height <= t->size.height &&
           (!moves || t->size.animated) && t->type != IMAGE_AVIF;
}

static VipsImage *make_still(const struct task *t)
{
    VipsImage *out = NULL;
    vips_thumbnail_buffer((void *)t->file.p, t->file.n, &out, t->size.width, "height",
                          t->size.height, "size", VIPS_SIZE_DOWN, "crop",
                          t->size.crop ? VIPS_INTERESTING_CENTRE : VIPS_INTERESTING_NONE,
                          "export_profile", t->profile, NULL);
    return out;
}

static int at_least_one(double v)
{
    return v < 1 ? 1 : (int)(v + 0.5);
}

/* libvips stacks the frames into one tall image: each is cut out of its own place. */
static VipsImage *crop_frames(const struct task *t, VipsImage *in)
{
    int page = vips_image_get_page_height(in), n = vips_image_get_height(in) / page;
    int width = MIN(t->size.width, vips_image_get_width(in)), height = MIN(t->size.height, page);
    int left = (vips_image_get_width(in) - width) / 2, top = (page - height) / 2;
    VipsImage **frames = (VipsImage **)vips_object_local_array(VIPS_OBJECT(in), n);
    VipsImage *joined, *out;
    for (int i = 0; i < n; i++)
        if (vips_extract_area(in, &frames[i], left, i * page + top, width, height, NULL))
            finish(THUMBNAIL_NOT_AN_IMAGE);
    if (vips_arrayjoin(frames, &joined, n, "across", 1, NULL) || vips_copy(joined, &out, NULL))
        finish(THUMBNAIL_NOT_AN_IMAGE);
    vips_image_set_int(out, VIPS_META_PAGE_HEIGHT, height);
    return out;
}

static VipsImage *make_animated(const struct task *t)
{
    double across = (double)t->size.width / t->width, down = (double)t->size.height / t->height;
    double scale = t->size.crop ? MAX(across, down) : MIN(across, down);
    scale = MIN(scale, 1);
    VipsImage *out = NULL;
    vips_thumbnail_buffer((void *)t->file.p, t->file.n, &out, at_least_one(t->width * scale),
                          "height", at_least_one(t->height * scale), "size", VIPS_SIZE_FORCE,
                          "option_string", "[n=-1]", "export_profile", t->profile, NULL);
    return out && t->size.crop ? crop_frames(t, out) : out;
}

static bool save(const struct task *t, VipsImage *image)
{
    VipsTarget *to = vips_target_new_to_descriptor(1);
    if (!to)
        return false;
    if (t->size.animated)
        return vips_webpsave_target(image, to, "Q", WEBP_QUALITY, "strip", TRUE, NULL) == 0;
    if (t->type == IMAGE_PNG || t->type == IMAGE_GIF || vips_image_hasalpha(image))
        return vips_pngsave_target(image, to, "strip", TRUE, NULL) == 0;
    return vips_jpegsave_target(image, to, "Q", JPEG_QUALITY, "strip", TRUE, "optimize_coding",
                                TRUE, NULL) == 0;
}

static struct task read_task(char **argv)
{
    return (struct task){
        .size = {.width = atoi(argv[1]),
                 .height = atoi(argv[2]),
                 .crop = strcmp(argv[3], "crop") == 0,
                 .animated = strcmp(argv[4], "animated") == 0},
        .pixels_max = atoll(argv[5]),
    };
}

int main(int argc, char **argv)
{
    confine_user();
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* a change of user would clear it */
    if (argc != 6 || !confine_resources())
        _exit(THUMBNAIL_FAILED);
    struct task t = read_task(argv);
    t.file = map_input();
    t.type = image_type_of(t.file);
    if (t.type == IMAGE_NONE)
        finish(THUMBNAIL_NOT_AN_IMAGE);
    start_vips(t.type);
    if (!confine_paths() || !confine_calls())
        finish(THUMBNAIL_FAILED);
    measure(&t);
    if (original_will_do(&t))
        finish(THUMBNAIL_IS_ORIGINAL);
    VipsImage *image = t.size.animated ? make_animated(&t) : make_still(&t);
    finish(image && save(&t, image) ? THUMBNAIL_MADE : THUMBNAIL_NOT_AN_IMAGE);
}
