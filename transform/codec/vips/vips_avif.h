// AVIF by libheif itself. vips_heifsave hands it interleaved samples, which it makes planes of one float at a time, and
// leaves libaom its four threads, which take turns at pictures of this size: each was a tenth of the processor time of the fastest encode (ADR 18).
#ifndef GOLDCREST_VIPS_AVIF_H
#define GOLDCREST_VIPS_AVIF_H

#include "vips_reduce.h"
#include <libheif/heif.h>

// BT.601 over the full range, times 1 << GC_COLOUR; what libheif tells in the file where nothing else is asked for.
enum {
	GC_COLOUR = 15,
	GC_Y_R = 9798, GC_Y_G = 19235, GC_Y_B = 3735,
	GC_CB_R = -5529, GC_CB_G = -10855, GC_CB_B = 16384,
	GC_CR_R = 16384, GC_CR_G = -13720, GC_CR_B = -2664,
};

#ifdef __x86_64__
// gc_dot weighs four pixels, two in a and two in b, each as r g b 0 in 16 bits.
GC_SSE4 GC_FN __m128i gc_dot(__m128i a, __m128i b, __m128i weights) {
	return _mm_hadd_epi32(_mm_madd_epi16(a, weights), _mm_madd_epi16(b, weights));
}

GC_SSE4 GC_FN void gc_put4(__m128i v, uint8_t *to) {
	v = _mm_packus_epi32(v, v);
	const int four = _mm_cvtsi128_si32(_mm_packus_epi16(v, v));
	memcpy(to, &four, 4);
}

#define GC_WEIGHTS(r, g, b) _mm_setr_epi16(r, g, b, 0, r, g, b, 0)
#define GC_FIRST_TWO _mm_setr_epi8(0, -1, 1, -1, 2, -1, -1, -1, 3, -1, 4, -1, 5, -1, -1, -1)
#define GC_LAST_TWO _mm_setr_epi8(6, -1, 7, -1, 8, -1, -1, -1, 9, -1, 10, -1, 11, -1, -1, -1)

// gc_luma_fast is gc_luma for the first pixels of a line; it returns how many.
GC_SSE4 GC_FN int gc_luma_fast(const uint8_t *rgb, int n, uint8_t *y) {
	const __m128i w = GC_WEIGHTS(GC_Y_R, GC_Y_G, GC_Y_B), half = _mm_set1_epi32(1 << (GC_COLOUR - 1));
	int x = 0;
	for (; x + 6 <= n; x += 4) { // 16 bytes are read, of which 12 count.
		const __m128i v = _mm_loadu_si128((const __m128i *) (rgb + 3 * (size_t) x));
		const __m128i sum = gc_dot(_mm_shuffle_epi8(v, GC_FIRST_TWO), _mm_shuffle_epi8(v, GC_LAST_TWO), w);
		gc_put4(_mm_srai_epi32(_mm_add_epi32(sum, half), GC_COLOUR), y + x);
	}
	return x;
}

// gc_chroma_fast is gc_chroma for the first samples of a line; it returns how many.
GC_SSE4 GC_FN int gc_chroma_fast(const uint8_t *above, const uint8_t *below, int n, int side, uint8_t *cb, uint8_t *cr) {
	const __m128i to_cb = GC_WEIGHTS(GC_CB_R, GC_CB_G, GC_CB_B), to_cr = GC_WEIGHTS(GC_CR_R, GC_CR_G, GC_CR_B);
	const __m128i grey = _mm_set1_epi32((128 << (GC_COLOUR + side)) + (1 << (GC_COLOUR + side - 1)));
	int i = 0;
	for (; (i + 4) * side + 2 <= n; i += 4) {
		__m128i pixels[2];
		for (int k = 0; k < side; k++) {
			const size_t at = 3 * ((size_t) i * side + 4 * k);
			const __m128i a = _mm_loadu_si128((const __m128i *) (above + at)), b = _mm_loadu_si128((const __m128i *) (below + at));
			const __m128i first = _mm_add_epi16(_mm_shuffle_epi8(a, GC_FIRST_TWO), _mm_shuffle_epi8(b, GC_FIRST_TWO));
			const __m128i last = _mm_add_epi16(_mm_shuffle_epi8(a, GC_LAST_TWO), _mm_shuffle_epi8(b, GC_LAST_TWO));
			if (side == 2)
				pixels[k] = _mm_add_epi16(_mm_unpacklo_epi64(first, last), _mm_unpackhi_epi64(first, last));
			else
				pixels[0] = first, pixels[1] = last;
		}
		gc_put4(_mm_srai_epi32(_mm_add_epi32(gc_dot(pixels[0], pixels[1], to_cb), grey), GC_COLOUR + side), cb + i);
		gc_put4(_mm_srai_epi32(_mm_add_epi32(gc_dot(pixels[0], pixels[1], to_cr), grey), GC_COLOUR + side), cr + i);
	}
	return i;
}
#else
GC_FN int gc_luma_fast(const uint8_t *rgb, int n, uint8_t *y) { return 0; }
GC_FN int gc_chroma_fast(const uint8_t *above, const uint8_t *below, int n, int side, uint8_t *cb, uint8_t *cr) { return 0; }
#endif

// gc_luma is the brightness of n pixels.
GC_FN void gc_luma(const uint8_t *rgb, int n, uint8_t *y) {
	for (int x = gc_reduce_can() ? gc_luma_fast(rgb, n, y) : 0; x < n; x++) {
		const uint8_t *p = rgb + 3 * (size_t) x;
		y[x] = (uint8_t) ((GC_Y_R * p[0] + GC_Y_G * p[1] + GC_Y_B * p[2] + (1 << (GC_COLOUR - 1))) >> GC_COLOUR);
	}
}

// gc_chroma is the colour of n pixels in each of two lines: with side 2 of each square of four, a lone last column counting twice; with
// side 1 of each pixel, and the lines are the same.
GC_FN void gc_chroma(const uint8_t *above, const uint8_t *below, int n, int side, uint8_t *cb, uint8_t *cr) {
	const int bits = GC_COLOUR + side, grey = (128 << bits) + (1 << (bits - 1));
	for (int i = gc_reduce_can() ? gc_chroma_fast(above, below, n, side, cb, cr) : 0; i * side < n; i++) {
		int sum[3] = {0};
		for (int k = 0; k < side; k++)
			for (int c = 0; c < 3; c++) {
				const size_t at = 3 * (size_t) VIPS_MIN(i * side + k, n - 1) + c;
				sum[c] += above[at] + below[at];
			}
		const int blue = (GC_CB_R * sum[0] + GC_CB_G * sum[1] + GC_CB_B * sum[2] + grey) >> bits;
		const int red = (GC_CR_R * sum[0] + GC_CR_G * sum[1] + GC_CR_B * sum[2] + grey) >> bits;
		cb[i] = VIPS_MIN(blue, 255);
		cr[i] = VIPS_MIN(red, 255);
	}
}

// gc_planar makes the planes of a picture of three bands that lies in memory, and one more of alpha, which may be NULL.
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
	for (int y = 0; y < in->Ysize && !e.code; y++) {
		const uint8_t *line = VIPS_IMAGE_ADDR(in, 0, y);
		gc_luma(line, in->Xsize, planes[0] + (size_t) y * strides[0]);
		if (y % side)
			continue;
		const uint8_t *below = side == 2 && y + 1 < in->Ysize ? VIPS_IMAGE_ADDR(in, 0, y + 1) : line;
		gc_chroma(line, below, in->Xsize, side, planes[1] + (size_t) (y / side) * strides[1], planes[2] + (size_t) (y / side) * strides[2]);
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

// gc_split copies a picture into memory as three bands of colour, and one of alpha where it has that.
GC_FN int gc_split(VipsImage *in, VipsImage **colour, VipsImage **alpha) {
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

// What libaom is told to keep like the original. libheif has a default of its own for each libaom, and changes it: with 3.12 it was ssim, with 3.14
// iq, which takes a seventh fewer bytes for the same SSIMULACRA2 in the same time. Older ones do not know iq.
GC_FN struct heif_error gc_tune(struct heif_encoder *encoder) {
	struct heif_error e = heif_encoder_set_parameter_string(encoder, "tune", "iq");
	return e.code ? heif_encoder_set_parameter_string(encoder, "tune", "ssim") : e;
}

#define GC_TRY(call) if (!e.code) e = call

// gc_tunes_iq is 1 where the encoder knows iq.
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

// gc_avif encodes a picture of 8 bits with one to four bands. *buf is freed by g_free.
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

#endif
