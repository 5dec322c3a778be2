// AVIF by libheif itself. vips_heifsave passes interleaved samples, which libheif converts to planes one float at a
// time. It also leaves libaom its four threads, which take turns at pictures of this size. Each of these was a tenth of
// the processor time of the fastest encode (ADR 18).
#ifndef GOLDCREST_VIPS_AVIF_H
#define GOLDCREST_VIPS_AVIF_H

#include "vips_reduce.h"
#include <libheif/heif.h>

// The weights of red, green and blue in BT.601 full range, times 1 << GC_COLOUR. libheif declares this matrix in the
// file by default.
enum { GC_COLOUR = 15 };
static const int16_t gc_to_yuv[3][3] = {{9798, 19235, 3735}, {-5529, -10855, 16384}, {16384, -13720, -2664}};

// gc_weigh computes n samples of a plane from pixels, each of which is the sum of 1 << more pixels.
GC_FN void gc_weigh(const int16_t *restrict rgb, size_t pitch, int n, int channel, int more, uint8_t *restrict to) {
	const int16_t *green = rgb + pitch, *blue = green + pitch;
	const int16_t r = gc_to_yuv[channel][0], g = gc_to_yuv[channel][1], b = gc_to_yuv[channel][2];
	const int bits = GC_COLOUR + more, add = (channel ? 128 << bits : 0) + (1 << (bits - 1));
	for (int x = 0; x < n; x++) {
		const int v = (r * rgb[x] + g * green[x] + b * blue[x] + add) >> bits;
		to[x] = (uint8_t) VIPS_MIN(v, 255);
	}
}

// gc_squares sums each square of four samples in two lines of n; the samples of an odd last column count twice.
GC_FN void gc_squares(const int16_t *restrict above, const int16_t *restrict below, int n, int16_t *restrict to) {
	for (int i = 0; i < n / 2; i++)
		to[i] = above[2 * i] + above[2 * i + 1] + below[2 * i] + below[2 * i + 1];
	if (n % 2)
		to[n / 2] = 2 * (above[n - 1] + below[n - 1]);
}

// gc_lines computes one line of chroma and the lines of luma that belong to it.
GC_FN void gc_lines(VipsImage *in, int y, int side, int16_t *buffer, uint8_t *planes[3], const int strides[3]) {
	const int n = in->Xsize, lines = VIPS_MIN(side, in->Ysize - y);
	const size_t all = 3 * (size_t) n;
	for (int i = 0; i < lines; i++) {
		gc_planes(VIPS_IMAGE_ADDR(in, 0, y + i), n, buffer + i * all, n);
		gc_weigh(buffer + i * all, n, n, 0, 0, planes[0] + (size_t) (y + i) * strides[0]);
	}
	int16_t *colours = buffer;
	if (side == 2) {
		colours = buffer + 2 * all;
		for (int b = 0; b < 3; b++)
			gc_squares(buffer + b * n, buffer + (lines - 1) * all + b * n, n, colours + b * n);
	}
	for (int c = 1; c < 3; c++)
		gc_weigh(colours, n, (n + side - 1) / side, c, side == 2 ? 2 : 0, planes[c] + (size_t) (y / side) * strides[c]);
}

// gc_planar converts a picture of three bands in memory to planes. alpha becomes another plane; it may be NULL.
GC_FN struct heif_error gc_planar(VipsImage *in, VipsImage *alpha, int side, struct heif_image **out) {
	const enum heif_chroma chroma = side == 2 ? heif_chroma_420 : heif_chroma_444;
	int strides[3];
	uint8_t *planes[3];
	struct heif_error e = heif_image_create(in->Xsize, in->Ysize, heif_colorspace_YCbCr, chroma, out);
	for (int c = 0; c < 3 && !e.code; c++) {
		const int by = c ? side : 1;
		e = heif_image_add_plane(*out, (enum heif_channel) (heif_channel_Y + c), (in->Xsize + by - 1) / by, (in->Ysize + by - 1) / by, 8);
		planes[c] = heif_image_get_plane(*out, (enum heif_channel) (heif_channel_Y + c), &strides[c]);
	}
	if (!e.code) {
		int16_t *buffer = g_new(int16_t, 9 * (size_t) in->Xsize);
		for (int y = 0; y < in->Ysize; y += side)
			gc_lines(in, y, side, buffer, planes, strides);
		g_free(buffer);
	}
	if (!alpha || e.code)
		return e;
	e = heif_image_add_plane(*out, heif_channel_Alpha, in->Xsize, in->Ysize, 8);
	planes[0] = e.code ? NULL : heif_image_get_plane(*out, heif_channel_Alpha, &strides[0]);
	for (int y = 0; y < in->Ysize && !e.code; y++)
		memcpy(planes[0] + (size_t) y * strides[0], VIPS_IMAGE_ADDR(alpha, 0, y), in->Xsize);
	return e;
}

typedef struct {
	void *bytes;
	size_t length;
} GcBytes;

GC_FN struct heif_error gc_write(struct heif_context *context, const void *data, size_t length, void *to) {
	GcBytes *b = to;
	b->bytes = g_malloc(length);
	b->length = length;
	memcpy(b->bytes, data, length);
	return (struct heif_error) {heif_error_Ok, heif_suberror_Unspecified, "Success"};
}

// gc_split brings a picture into memory as three bands of colour, and one of alpha if it has alpha. Colours without alpha
// are not copied if they are in memory.
GC_FN int gc_split(VipsImage *in, VipsImage **colour, VipsImage **alpha) {
	if (in->Bands == 3) {
		g_object_ref(*colour = in);
		return vips_image_wio_input(in);
	}
	VipsImage *part[3] = {NULL};
	const int colours = in->Bands < 3 ? 1 : 3;
	int bad = vips_extract_band(in, &part[0], 0, "n", colours, NULL);
	if (!bad && colours == 1) {
		VipsImage *thrice[] = {part[0], part[0], part[0]};
		bad = vips_bandjoin(thrice, &part[1], 3, NULL);
	}
	if (!bad)
		bad = !(*colour = vips_image_copy_memory(part[1] ? part[1] : part[0]));
	if (!bad && in->Bands > colours)
		bad = vips_extract_band(in, &part[2], colours, NULL) || !(*alpha = vips_image_copy_memory(part[2]));
	for (int i = 0; i < 3; i++)
		VIPS_UNREF(part[i]);
	return bad ? -1 : 0;
}

// gc_tune sets the metric that libaom optimises. libheif has a different default for each libaom, and changes it: with
// 3.12 it was ssim, with 3.14 iq. iq needs a seventh fewer bytes for the same SSIMULACRA2 in the same time. Older
// versions do not support iq.
GC_FN struct heif_error gc_tune(struct heif_encoder *encoder) {
	struct heif_error e = heif_encoder_set_parameter_string(encoder, "tune", "iq");
	return e.code ? heif_encoder_set_parameter_string(encoder, "tune", "ssim") : e;
}

// gc_repeats is the share of pixels that equal their left neighbour.
GC_FN double gc_repeats(VipsImage *in) {
	size_t same = 0;
	for (int y = 0; y < in->Ysize; y++) {
		const uint8_t *p = VIPS_IMAGE_ADDR(in, 0, y), *end = p + (size_t) in->Xsize * in->Bands;
		for (const uint8_t *q = p + in->Bands; q < end; q += in->Bands)
			same += !memcmp(q, q - in->Bands, in->Bands);
	}
	return (double) same / ((double) in->Xsize * in->Ysize);
}

// gc_palettes keeps libaom's speed 8 from coding blocks by palettes. It uses them wherever it takes a picture for the
// content of a screen: smooth photos and pages with gradients need up to four times the bytes for the same score. Only
// pictures of few colours, as a screen is before it is scaled, need fewer. Speed 9 has no palettes, and 6 uses them with
// care. A libheif that does not know the option keeps the default.
GC_FN void gc_palettes(struct heif_encoder *encoder, VipsImage *in, int effort) {
	const double few = 0.91;
	if (effort == 1 && gc_repeats(in) < few)
		heif_encoder_set_parameter_string(encoder, "aom:enable-palette", "0");
}

#define GC_TRY(call) if (!e.code) e = call

// gc_tunes_iq is 1 if the encoder supports iq.
GC_FN int gc_tunes_iq(void) {
	struct heif_context *context = heif_context_alloc();
	struct heif_encoder *encoder = NULL;
	struct heif_error e = heif_context_get_encoder_for_format(context, heif_compression_AV1, &encoder);
	GC_TRY(heif_encoder_set_parameter_string(encoder, "tune", "iq"));
	if (encoder)
		heif_encoder_release(encoder);
	heif_context_free(context);
	return !e.code;
}

// gc_avif encodes an 8-bit picture with one to four bands. *buf is freed by g_free.
GC_FN int gc_avif(VipsImage *in, int q, int effort, int full_chroma, void **buf, size_t *len) {
	VipsImage *pixels = NULL, *alpha = NULL;
	if (gc_split(in, &pixels, &alpha)) {
		VIPS_UNREF(pixels);
		return -1;
	}
	struct heif_context *context = heif_context_alloc();
	const struct heif_encoder_descriptor *aom = NULL;
	struct heif_encoder *encoder = NULL;
	struct heif_image *image = NULL;
	struct heif_image_handle *handle = NULL;
	struct heif_encoding_options *options = heif_encoding_options_alloc();
	struct heif_writer writer = {1, gc_write};
	GcBytes out = {0};
	options->save_alpha_channel = alpha != NULL;
	struct heif_error e = {heif_error_Ok};
	if (heif_context_get_encoder_descriptors(context, heif_compression_AV1, "aom", &aom, 1) < 1)
		e = (struct heif_error) {heif_error_Unsupported_feature, heif_suberror_Unspecified, "libheif has no libaom"};
	GC_TRY(heif_context_get_encoder(context, aom, &encoder));
	GC_TRY(heif_encoder_set_lossy_quality(encoder, q));
	GC_TRY(heif_encoder_set_parameter_integer(encoder, "speed", 9 - effort));
	GC_TRY(heif_encoder_set_parameter_integer(encoder, "threads", 1));
	GC_TRY(gc_tune(encoder));
	if (!e.code)
		gc_palettes(encoder, pixels, effort);
	GC_TRY(heif_encoder_set_parameter_string(encoder, "chroma", full_chroma ? "444" : "420"));
	GC_TRY(gc_planar(pixels, alpha, full_chroma ? 1 : 2, &image));
	GC_TRY(heif_context_encode_image(context, image, encoder, options, &handle));
	GC_TRY(heif_context_write(context, &writer, &out));
	if (e.code)
		vips_error("avif", "%s", e.message);
	if (handle)
		heif_image_handle_release(handle);
	if (image)
		heif_image_release(image);
	if (encoder)
		heif_encoder_release(encoder);
	heif_encoding_options_free(options);
	heif_context_free(context);
	g_object_unref(pixels);
	VIPS_UNREF(alpha);
	*buf = out.bytes;
	*len = out.length;
	return e.code ? -1 : 0;
}

// gc_unavif decodes an AVIF of one still picture into memory. It makes the pixels of vips_heifload_buffer in half of the
// time, since nothing passes through a pipeline of lines.
GC_FN int gc_unavif(const void *bytes, size_t length, VipsImage **out) {
	struct heif_context *context = heif_context_alloc();
	struct heif_image_handle *handle = NULL;
	struct heif_image *image = NULL;
	struct heif_error e = heif_context_read_from_memory_without_copy(context, bytes, length, NULL);
	GC_TRY(heif_context_get_primary_image_handle(context, &handle));
	const int bands = handle && heif_image_handle_has_alpha_channel(handle) ? 4 : 3;
	const enum heif_chroma layout = bands == 4 ? heif_chroma_interleaved_RGBA : heif_chroma_interleaved_RGB;
	GC_TRY(heif_decode_image(handle, &image, heif_colorspace_RGB, layout, NULL));
	uint8_t *to = NULL;
	if (e.code)
		vips_error("avif", "%s", e.message);
	else {
		const int w = heif_image_get_width(image, heif_channel_interleaved);
		const int h = heif_image_get_height(image, heif_channel_interleaved);
		int stride;
		const uint8_t *from = heif_image_get_plane_readonly(image, heif_channel_interleaved, &stride);
		to = gc_new_pixels(w, h, bands, out);
		for (int y = 0; y < h && to; y++)
			memcpy(to + (size_t) y * w * bands, from + (size_t) y * stride, (size_t) w * bands);
	}
	if (image)
		heif_image_release(image);
	if (handle)
		heif_image_handle_release(handle);
	heif_context_free(context);
	return to ? 0 : -1;
}

#endif
