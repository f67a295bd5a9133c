#include "server/media/thumbnail_image.h"

#include <dlfcn.h>
#include <gmodule.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <vips/vips.h>

enum { JPEG_QUALITY = 82, WEBP_QUALITY = 78 };

struct work {
    const struct thumbnail_task *task;
    struct thumbnail_size size;
    int width, height, frames; /* of the image, in its displayed orientation */
    const char *profile;       /* of the thumbnail's colors; NULL: the image is sRGB as it is */
};

static void image_unref(VipsImage **image)
{
    if (*image)
        g_object_unref(*image);
}
#define image_auto __attribute__((cleanup(image_unref)))

/* ---- libvips ---- */

/* GLib would look for a terminal, the journal and the time zone to write messages that are not
 * needed: errors are in vips_error_buffer(). Fatal ones still end the process. */
static GLogWriterOutput drop_words(GLogLevelFlags level, const GLogField *fields, gsize n,
                                   void *ctx)
{
    return G_LOG_WRITER_HANDLED;
}

/* AVIF's decoder is in a module. libvips itself would load all installed ones, among them
 * ImageMagick's, which takes 70 ms and then tries each image that no other decoder knows. */
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
        g_module_open(path, G_MODULE_BIND_LAZY); /* built in if it does not exist */
}

/* Without VIPSHOME all modules are loaded. And libvips before 8.15 compiles its inner loops while
 * it runs (Orc), into memory that is writable and executable, which is not allowed here. */
bool thumbnail_image_start(void)
{
    setenv("VIPSHOME", "/nonexistent", 1);
    if (VIPS_MAJOR_VERSION == 8 && VIPS_MINOR_VERSION < 15)
        setenv("VIPS_NOVECTOR", "1", 1);
    g_log_set_writer_func(drop_words, NULL, NULL);
    if (vips_init(THUMBNAIL_PROGRAM))
        return false;
    vips_concurrency_set(1);
    vips_cache_set_max(0);
    vips_block_untrusted_set(TRUE);
    return true;
}

/* Only the decoders of known formats, which libvips calls fit for untrusted input; for AVIF it does
 * not, but there is no other decoder. */
void thumbnail_image_allow(enum image_type type)
{
    static const char *const loaders[] = {
        [IMAGE_PNG] = "VipsForeignLoadPng",   [IMAGE_JPEG] = "VipsForeignLoadJpeg",
        [IMAGE_GIF] = "VipsForeignLoadNsgif", [IMAGE_WEBP] = "VipsForeignLoadWebp",
        [IMAGE_AVIF] = "VipsForeignLoadHeif",
    };
    if (type == IMAGE_AVIF)
        load_avif_decoder();
    vips_operation_block_set("VipsForeignLoad", TRUE);
    vips_operation_block_set(loaders[type], FALSE);
}

/* ---- the image ---- */

static bool is_turned(VipsImage *image)
{
    return vips_image_get_orientation(image) >= 5;
}

/* Reads only the header: nothing is decoded yet. False: there is none. */
static bool thumbnail_image_measure(struct work *w)
{
    const struct thumbnail_task *t = w->task;
    VipsImage *image image_auto = vips_image_new_from_buffer(t->file.p, t->file.n, "", NULL);
    if (!image)
        return false;
    bool turned = is_turned(image);
    w->width = turned ? vips_image_get_height(image) : vips_image_get_width(image);
    w->height = turned ? vips_image_get_width(image) : vips_image_get_height(image);
    w->frames = vips_image_get_n_pages(image);
    bool has_colors_of_its_own = vips_image_get_typeof(image, VIPS_META_ICC_NAME) ||
                                 vips_image_get_interpretation(image) == VIPS_INTERPRETATION_CMYK;
    w->profile = has_colors_of_its_own ? "srgb" : NULL; /* else libvips would change them */
    bool is_sequence = t->type == IMAGE_GIF || t->type == IMAGE_WEBP;
    w->size.animated = t->size.animated && is_sequence && w->frames > 1;
    return true;
}

static bool thumbnail_image_is_too_large(const struct work *w)
{
    int64_t pixels = (int64_t)w->width * w->height * (w->size.animated ? w->frames : 1);
    return pixels > w->task->pixels_max;
}

/* Nothing is ever enlarged. An animation must not be sent unchanged for a request for a still
 * image. */
static bool original_will_do(const struct work *w)
{
    const struct thumbnail_task *t = w->task;
    bool moves = t->type == IMAGE_PNG ? image_png_is_animated(t->file) : w->frames > 1;
    return w->width <= w->size.width && w->height <= w->size.height &&
           (!moves || w->size.animated) && t->type != IMAGE_AVIF;
}

static VipsImage *make_still(const struct work *w)
{
    VipsImage *out = NULL;
    const struct str file = w->task->file;
    vips_thumbnail_buffer((void *)file.p, file.n, &out, w->size.width, "height", w->size.height,
                          "size", VIPS_SIZE_DOWN, "crop",
                          w->size.crop ? VIPS_INTERESTING_CENTRE : VIPS_INTERESTING_NONE,
                          "export_profile", w->profile, NULL);
    return out;
}

static int at_least_one(double v)
{
    return v < 1 ? 1 : (int)(v + 0.5);
}

/* libvips stacks the frames into one tall image: each is cut out of its own place. */
static VipsImage *crop_frames(const struct work *w, VipsImage *in)
{
    int page = vips_image_get_page_height(in), n = vips_image_get_height(in) / page;
    int width = MIN(w->size.width, vips_image_get_width(in)), height = MIN(w->size.height, page);
    int left = (vips_image_get_width(in) - width) / 2, top = (page - height) / 2;
    VipsImage **frames = (VipsImage **)vips_object_local_array(VIPS_OBJECT(in), n);
    VipsImage *joined image_auto = NULL, *out = NULL;
    for (int i = 0; i < n; i++)
        if (vips_extract_area(in, &frames[i], left, i * page + top, width, height, NULL))
            return NULL;
    if (vips_arrayjoin(frames, &joined, n, "across", 1, NULL) || vips_copy(joined, &out, NULL))
        return NULL;
    vips_image_set_int(out, VIPS_META_PAGE_HEIGHT, height);
    return out;
}

static VipsImage *make_animated(const struct work *w)
{
    double across = (double)w->size.width / w->width, down = (double)w->size.height / w->height;
    double scale = w->size.crop ? MAX(across, down) : MIN(across, down);
    scale = MIN(scale, 1);
    VipsImage *out image_auto = NULL;
    const struct str file = w->task->file;
    vips_thumbnail_buffer((void *)file.p, file.n, &out, at_least_one(w->width * scale), "height",
                          at_least_one(w->height * scale), "size", VIPS_SIZE_FORCE, "option_string",
                          "[n=-1]", "export_profile", w->profile, NULL);
    return !out ? NULL : w->size.crop ? crop_frames(w, out) : g_object_ref(out);
}

static bool write_as(const struct work *w, VipsImage *image, VipsTarget *to)
{
    enum image_type type = w->task->type;
    if (w->size.animated)
        return vips_webpsave_target(image, to, "Q", WEBP_QUALITY, "strip", TRUE, NULL) == 0;
    if (type == IMAGE_PNG || type == IMAGE_GIF || vips_image_hasalpha(image))
        return vips_pngsave_target(image, to, "strip", TRUE, NULL) == 0;
    return vips_jpegsave_target(image, to, "Q", JPEG_QUALITY, "strip", TRUE, "optimize_coding",
                                TRUE, NULL) == 0;
}

static bool save(const struct work *w, VipsImage *image, int into)
{
    VipsTarget *to = vips_target_new_to_descriptor(into);
    bool done = to && write_as(w, image, to);
    if (to)
        g_object_unref(to);
    return done;
}

enum thumbnail_outcome thumbnail_image_make(const struct thumbnail_task *t, int into)
{
    struct work w = {.task = t, .size = t->size};
    if (!thumbnail_image_measure(&w))
        return THUMBNAIL_NOT_AN_IMAGE;
    if (thumbnail_image_is_too_large(&w))
        return THUMBNAIL_TOO_LARGE;
    if (original_will_do(&w))
        return THUMBNAIL_IS_ORIGINAL;
    VipsImage *image image_auto = w.size.animated ? make_animated(&w) : make_still(&w);
    return image && save(&w, image, into) ? THUMBNAIL_MADE : THUMBNAIL_NOT_AN_IMAGE;
}
