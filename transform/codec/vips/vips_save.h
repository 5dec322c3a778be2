// Encoding. Metadata is removed from the image before any encoder sees it, because not every saver obeys the flag for
// that.
#ifndef GOLDCREST_VIPS_SAVE_H
#define GOLDCREST_VIPS_SAVE_H

#include "jpeg_write.h"
#include "vips_avif.h"

#if VIPS_MAJOR_VERSION > 8 || (VIPS_MAJOR_VERSION == 8 && VIPS_MINOR_VERSION >= 15)
#define GC_NO_METADATA "keep", VIPS_FOREIGN_KEEP_NONE
#else
#define GC_NO_METADATA "strip", TRUE
#endif

enum { GC_SAVE_JPEG = 1, GC_SAVE_PNG, GC_SAVE_WEBP, GC_SAVE_AVIF, GC_SAVE_GIF, GC_SAVE_JXL };

typedef struct {
	int format;       // GC_SAVE_JPEG ...
	int q;            // 1..100
	int effort;       // WebP 0..6, AVIF 0..9, JPEG XL 1..9, GIF and PNG palettes 1..10
	int full_chroma;  // 4:4:4 instead of 4:2:0; WebP has no 4:4:4, its chroma is fitted to the decoder's interpolation instead
	int alpha_q;      // WebP
	int palette;      // PNG: quantise to a palette with quality q
	int bits;         // GIF, and PNG with a palette: bits per pixel
	int dither;       // PNG with a palette
	int lossless;     // WebP
	int plain;        // JPEG: coefficients chosen by libjpeg
	int baseline;     // JPEG, with plain: not progressive
} GcSave;

GC_FN void *gc_drop_field(VipsImage *image, const char *name, GValue *value, void *user) {
	GSList **names = (GSList **) user;
	*names = g_slist_prepend(*names, g_strdup(name));
	return NULL;
}

// gc_bare copies the image without any metadata and with neutral resolution.
GC_FN int gc_bare(VipsImage *in, VipsImage **out) {
	if (vips_copy(in, out, "xres", 1.0, "yres", 1.0, "xoffset", 0, "yoffset", 0, NULL))
		return -1;
	GSList *names = NULL;
	vips_image_map(*out, gc_drop_field, &names);
	for (GSList *n = names; n; n = n->next)
		vips_image_remove(*out, (const char *) n->data);
	g_slist_free_full(names, g_free);
	vips_error_clear();
	return 0;
}

// gc_animate marks a bare, stacked image as an animation. delays are in milliseconds, one per frame.
GC_FN void gc_animate(VipsImage *image, int page_height, int pages, const int *delays, int loop) {
	vips_image_set_int(image, VIPS_META_PAGE_HEIGHT, page_height);
	vips_image_set_int(image, VIPS_META_N_PAGES, pages);
	vips_image_set_int(image, "loop", loop);
	vips_image_set_array_int(image, "delay", delays, pages);
}

// gc_plain_jpeg encodes with coefficients chosen by libjpeg.
GC_FN int gc_plain_jpeg(VipsImage *in, GcSave o, void **buf, size_t *len) {
	VipsForeignSubsample chroma = o.full_chroma ? VIPS_FOREIGN_SUBSAMPLE_OFF : VIPS_FOREIGN_SUBSAMPLE_ON;
	return vips_jpegsave_buffer(in, buf, len, "Q", o.q, "optimize_coding", TRUE, "interlace", !o.baseline, "subsample_mode", chroma, GC_NO_METADATA, NULL);
}

// gc_jxl encodes at the distance that libjxl's own tools use for q. Not every libvips has a saver for JPEG XL.
GC_FN int gc_jxl(VipsImage *in, int q, int effort, void **buf, size_t *len) {
	const double distance = q >= 30 ? 0.1 + (100 - q) * 0.09 : VIPS_MIN(15.0, 53.0 / 3000 * q * q - 1.15 * q + 25);
	return vips_jxlsave_buffer(in, buf, len, "distance", distance, "effort", effort, GC_NO_METADATA, NULL);
}

GC_FN int gc_save(VipsImage *in, GcSave o, void **buf, size_t *len) {
	// PNG: deflate level 6 with adaptive filters. For pictures of 800 px, level 9 saves 2-5 % of the bytes for three to
	// ten times the CPU. Without filters, screenshots and photos grow by a sixth to a third.
	switch (o.format) {
	case GC_SAVE_JPEG:
		return o.plain ? gc_plain_jpeg(in, o, buf, len) : gc_jpeg(in, o.q, o.full_chroma, buf, len);
	case GC_SAVE_PNG:
		if (o.palette)
			return vips_pngsave_buffer(in, buf, len, "compression", o.bits <= 2 ? 9 : 6, "palette", TRUE, "Q", o.q, "effort", o.effort, "bitdepth", o.bits,
				"dither", (double) o.dither, GC_NO_METADATA, NULL);
		return vips_pngsave_buffer(in, buf, len, "compression", 6, "filter", VIPS_FOREIGN_PNG_FILTER_ALL, GC_NO_METADATA, NULL);
	case GC_SAVE_WEBP:
		return vips_webpsave_buffer(in, buf, len, "Q", o.q, "effort", o.effort, "alpha_q", o.alpha_q, "lossless", o.lossless,
			"smart_subsample", o.full_chroma, GC_NO_METADATA, NULL);
	case GC_SAVE_AVIF:
		return gc_avif(in, o.q, o.effort, o.full_chroma, buf, len);
	case GC_SAVE_JXL:
		return gc_jxl(in, o.q, o.effort, buf, len);
	case GC_SAVE_GIF:
		return vips_gifsave_buffer(in, buf, len, "effort", o.effort, "bitdepth", o.bits, GC_NO_METADATA, NULL);
	}
	vips_error("goldcrest", "no encoder of kind %d", o.format);
	return -1;
}

// gc_map copies an 8-bit picture into memory with its samples replaced through a table.
GC_FN int gc_map(VipsImage *in, VipsImage **out, const uint8_t table[256]) {
	uint8_t *to = vips_image_wio_input(in) ? NULL : gc_new_pixels(in->Xsize, in->Ysize, in->Bands, out);
	if (!to)
		return -1;
	const uint8_t *from = VIPS_IMAGE_ADDR(in, 0, 0);
	const size_t n = VIPS_IMAGE_SIZEOF_IMAGE(in);
	for (size_t i = 0; i < n; i++)
		to[i] = table[from[i]];
	return 0;
}

// gc_reduce_colours copies a grey, colour, or colour and alpha picture into memory with the colours of a palette. libvips
// makes palettes only while it saves, so a PNG is made and read.
GC_FN int gc_reduce_colours(VipsImage *in, int bits, int q, VipsImage **out) {
	void *png = NULL;
	size_t len = 0;
	VipsImage *read = NULL, *whole = NULL, *same = NULL;
	int r = vips_pngsave_buffer(in, &png, &len, "compression", 0, "palette", TRUE, "Q", q, "effort", 4, "bitdepth", bits, "dither", 0.0, GC_NO_METADATA, NULL) ||
		vips_pngload_buffer(png, len, &read, NULL) ||
		(in->Bands == 4 && read->Bands == 3 ? vips_addalpha(read, &whole, NULL) : vips_copy(read, &whole, NULL)) ||
		vips_extract_band(whole, &same, 0, "n", in->Bands, NULL) || !(*out = vips_image_copy_memory(same));
	if (!r)
		(*out)->Type = in->Type; // Grey would still be called sRGB, and savers take its one band for three.
	g_clear_object(&same);
	g_clear_object(&whole);
	g_clear_object(&read);
	g_free(png);
	return r ? -1 : 0;
}

// gc_view returns the samples of a picture in memory without a copy; NULL if it cannot be brought into memory.
GC_FN const void *gc_view(VipsImage *in, size_t *len) {
	*len = VIPS_IMAGE_SIZEOF_IMAGE(in);
	return vips_image_wio_input(in) ? NULL : VIPS_IMAGE_ADDR(in, 0, 0);
}

#endif
