// Life cycle of libvips, loading, and properties of images. All functions are static, so that nothing here can collide
// with the C code of other packages. Every function returns 0 for success, as libvips does.
#ifndef GOLDCREST_VIPS_LOAD_H
#define GOLDCREST_VIPS_LOAD_H

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <vips/vips.h>
#include <vips/vector.h>

// Unused functions are no error in a file that includes this one.
#define GC_FN static __attribute__((unused))

enum { GC_JPEG = 1, GC_PNG, GC_WEBP, GC_HEIF, GC_TIFF, GC_JXL, GC_PDF };

GC_FN void gc_quiet(const gchar *domain, GLogLevelFlags level, const gchar *text, gpointer user) {}

// gc_boot configures the process once: no operation cache, one thread, no vector code (see Codec.Alone), no untrusted
// loaders, no warnings on stderr (a broken PNG writes hundreds, and stderr may be a file with a size limit), no
// temporary files for large pictures.
GC_FN int gc_boot(void) {
	if (VIPS_INIT("goldcrest"))
		return -1;
	g_setenv("VIPS_DISC_THRESHOLD", "1000g", TRUE); // libvips knows only k, m and g; any other suffix would mean bytes.
	g_log_set_handler("VIPS", G_LOG_LEVEL_WARNING | G_LOG_LEVEL_INFO | G_LOG_LEVEL_DEBUG | G_LOG_LEVEL_MESSAGE, gc_quiet, NULL);
	vips_cache_set_max(0);
	vips_cache_set_max_mem(0);
	vips_cache_set_max_files(0);
	vips_concurrency_set(1);
	vips_vector_set_enabled(FALSE);
	vips_block_untrusted_set(TRUE);
	vips_operation_block_set("VipsForeignLoadJxl", FALSE); // Selected by the header reader only, in the sandbox.
	vips_operation_block_set("VipsForeignSaveJxl", FALSE); // It gets our own pixels only.
	vips_operation_block_set("VipsForeignLoadPdf", FALSE); // Likewise, and only if transform.inputs names PDF.
	return 0;
}

// gc_probe_svg is 1 if a forbidden loader accepts an SVG.
GC_FN int gc_probe_svg(void) {
	static const char svg[] = "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"8\" height=\"8\"/>";
	VipsImage *out = vips_image_new_from_buffer(svg, sizeof(svg) - 1, "", NULL);
	int loads = out != NULL;
	if (out)
		g_object_unref(out);
	vips_error_clear();
	return loads;
}

// gc_library returns the version of a codec library behind libvips; NULL if there is none. If codecs are plugins of
// libheif, as from Debian trixie on, their symbols are not global and the libraries are opened by name.
GC_FN const char *gc_library(const char *function, const char *soname) {
	void *symbol = dlsym(RTLD_DEFAULT, function);
	if (!symbol) {
		void *library = dlopen(soname, RTLD_LAZY | RTLD_LOCAL);
		symbol = library ? dlsym(library, function) : NULL;
	}
	return symbol ? ((const char *(*)(void)) symbol)() : NULL;
}

GC_FN int gc_has(const char *operation) { return vips_type_find("VipsOperation", operation) != 0; }

typedef struct {
	int kind;      // GC_JPEG ...
	int shrink;    // JPEG: 1, 2, 4, 8
	double scale;  // WebP: 0 < scale <= 1; PDF: pixels per point
	int pages;     // WebP: number of frames to load, from the first
	int fail_on;   // VipsFailOn
} GcLoad;

// gc_load opens a picture with the loader for its kind: libvips never guesses a type. buf must outlive the image.
GC_FN int gc_load(const void *bytes, size_t len, GcLoad o, VipsImage **out) {
	void *buf = (void *) bytes;
	VipsAccess access = VIPS_ACCESS_SEQUENTIAL;
	switch (o.kind) {
	case GC_JPEG:
		return vips_jpegload_buffer(buf, len, out, "access", access, "fail_on", o.fail_on, "shrink", o.shrink, NULL);
	case GC_PNG:
		return vips_pngload_buffer(buf, len, out, "access", access, "fail_on", o.fail_on, NULL);
	case GC_WEBP:
		return vips_webpload_buffer(buf, len, out, "access", access, "fail_on", o.fail_on, "scale", o.scale, "n", o.pages, NULL);
	case GC_HEIF:
		return vips_heifload_buffer(buf, len, out, "access", access, "fail_on", o.fail_on, NULL);
	case GC_JXL:
		return vips_jxlload_buffer(buf, len, out, "access", access, "fail_on", o.fail_on, NULL);
	case GC_PDF:
		return vips_pdfload_buffer(buf, len, out, "access", access, "fail_on", o.fail_on, "scale", o.scale, NULL);
	case GC_TIFF:
		return vips_tiffload_buffer(buf, len, out, "access", access, "fail_on", o.fail_on, NULL);
	}
	vips_error("goldcrest", "no loader of kind %d", o.kind);
	return -1;
}

// gc_from_pixels makes an sRGB image from a copy of interleaved 8-bit samples.
GC_FN int gc_from_pixels(const void *data, size_t len, int width, int height, int bands, VipsImage **out) {
	VipsImage *raw = vips_image_new_from_memory_copy(data, len, width, height, bands, VIPS_FORMAT_UCHAR);
	if (!raw)
		return -1;
	VipsInterpretation as = bands < 3 ? VIPS_INTERPRETATION_B_W : VIPS_INTERPRETATION_sRGB;
	int r = vips_copy(raw, out, "interpretation", as, NULL);
	g_object_unref(raw);
	return r;
}

// gc_new_pixels makes an image in memory and returns its pixels for the caller to fill; NULL if there is no memory.
GC_FN void *gc_new_pixels(int width, int height, int bands, VipsImage **out) {
	VipsImage *im = vips_image_new_memory();
	vips_image_init_fields(im, width, height, bands, VIPS_FORMAT_UCHAR, VIPS_CODING_NONE, bands < 3 ? VIPS_INTERPRETATION_B_W : VIPS_INTERPRETATION_sRGB, 1, 1);
	if (vips_image_write_prepare(im)) {
		g_object_unref(im);
		return NULL;
	}
	*out = im;
	return VIPS_IMAGE_ADDR(im, 0, 0);
}

typedef struct {
	int width, height, bands, bits, alpha, grey, rgb, cmyk, profile, pages, page_height, loop;
} GcInfo;

GC_FN int gc_int(VipsImage *in, const char *field, int otherwise) {
	int v;
	if (!vips_image_get_typeof(in, field) || vips_image_get_int(in, field, &v)) {
		vips_error_clear();
		return otherwise;
	}
	return v;
}

GC_FN GcInfo gc_info(VipsImage *in) {
	VipsInterpretation as = vips_image_guess_interpretation(in);
	GcInfo i = {
		.width = vips_image_get_width(in),
		.height = vips_image_get_height(in),
		.bands = vips_image_get_bands(in),
		.bits = (int) vips_format_sizeof(vips_image_get_format(in)) * 8,
		.alpha = vips_image_hasalpha(in),
		.grey = as == VIPS_INTERPRETATION_B_W || as == VIPS_INTERPRETATION_GREY16,
		.rgb = as == VIPS_INTERPRETATION_sRGB || as == VIPS_INTERPRETATION_RGB16,
		.cmyk = as == VIPS_INTERPRETATION_CMYK,
		.profile = vips_image_get_typeof(in, VIPS_META_ICC_NAME) != 0,
		.pages = gc_int(in, VIPS_META_N_PAGES, 1),
		.page_height = vips_image_get_page_height(in),
		.loop = gc_int(in, "loop", 0),
	};
	return i;
}

// gc_metadata returns the embedded ICC profile, or the EXIF block, without a copy; NULL if there is none.
GC_FN const void *gc_metadata(VipsImage *in, int exif, size_t *len) {
	const char *name = exif ? VIPS_META_EXIF_NAME : VIPS_META_ICC_NAME;
	const void *data = NULL;
	*len = 0;
	if (!vips_image_get_typeof(in, name) || vips_image_get_blob(in, name, &data, len)) {
		vips_error_clear();
		return NULL;
	}
	return data;
}

// gc_delays returns the frame delays in milliseconds without a copy.
GC_FN const int *gc_delays(VipsImage *in, int *n) {
	int *delays = NULL;
	*n = 0;
	if (!vips_image_get_typeof(in, "delay") || vips_image_get_array_int(in, "delay", &delays, n)) {
		vips_error_clear();
		return NULL;
	}
	return delays;
}

#endif
