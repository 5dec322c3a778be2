// Image sequences by libheif. What an older libheif lacks is left out when this is compiled.
#ifndef GOLDCREST_SEQUENCE_H
#define GOLDCREST_SEQUENCE_H

#include <libheif/heif.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

// The first version that was tried. 1.20 has the first functions, without alpha.
#define GC_SEQUENCES (LIBHEIF_NUMERIC_VERSION >= ((1 << 24) | (23 << 16)))

typedef struct {
	int width, height, bands; // of one frame; 1 to 4 bands
	int frames;
	int q, speed, realtime;
	int plays; // 0 = for ever
} GcSequence;

typedef struct {
	uint8_t *bytes;
	size_t length;
} GcFile;

#if GC_SEQUENCES
#include <libheif/heif_sequences.h>

#define GC_TRY(call) if (!e.code) e = call
#define GC_FN static __attribute__((unused))

// The delays are in milliseconds.
enum { GC_TICKS = 1000 };

// gc_weigh is a sample of luma, or of chroma around 128, of a colour whose samples are sums of 1 << more pixels. The
// weights are those of BT.601 in full range, times 1 << 15.
GC_FN uint8_t gc_weigh(const int rgb[3], int channel, int more) {
	static const int to_yuv[3][3] = {{9798, 19235, 3735}, {-5529, -10855, 16384}, {16384, -13720, -2664}};
	const int *w = to_yuv[channel], bits = 15 + more;
	const int v = (w[0] * rgb[0] + w[1] * rgb[1] + w[2] * rgb[2] + (channel ? 128 << bits : 0) + (1 << (bits - 1))) >> bits;
	return (uint8_t) (v > 255 ? 255 : v);
}

// gc_fill converts interleaved samples to the planes of an image: 4:2:0, and alpha if the samples have it. The samples
// of an odd last column or line count twice in chroma.
GC_FN void gc_fill(const uint8_t *from, const GcSequence *s, uint8_t *to[4], const int stride[4]) {
	const int w = s->width, h = s->height, bands = s->bands, green = bands > 2, blue = green * 2;
	for (int y = 0; y < h; y++)
		for (int x = 0; x < w; x++) {
			const uint8_t *p = from + ((size_t) y * w + x) * bands;
			to[0][(size_t) y * stride[0] + x] = gc_weigh((int[3]) {p[0], p[green], p[blue]}, 0, 0);
			if (to[3])
				to[3][(size_t) y * stride[3] + x] = p[bands - 1];
		}
	for (int y = 0; y < h; y += 2)
		for (int x = 0; x < w; x += 2) {
			int sum[3] = {0};
			for (int i = 0; i < 4; i++) {
				const int across = x + i % 2 < w ? x + i % 2 : x, down = y + i / 2 < h ? y + i / 2 : y;
				const uint8_t *p = from + ((size_t) down * w + across) * bands;
				sum[0] += p[0];
				sum[1] += p[green];
				sum[2] += p[blue];
			}
			for (int c = 1; c < 3; c++)
				to[c][(size_t) (y / 2) * stride[c] + x / 2] = gc_weigh(sum, c, 2);
		}
}

// gc_frame makes an image of the samples of one frame.
GC_FN struct heif_error gc_frame(const uint8_t *from, const GcSequence *s, const heif_color_profile_nclx *colours, heif_image **out) {
	static const enum heif_channel channels[] = {heif_channel_Y, heif_channel_Cb, heif_channel_Cr, heif_channel_Alpha};
	uint8_t *to[4] = {NULL};
	int stride[4] = {0};
	struct heif_error e = heif_image_create(s->width, s->height, heif_colorspace_YCbCr, heif_chroma_420, out);
	GC_TRY(heif_image_set_nclx_color_profile(*out, colours));
	for (int c = 0; c < (s->bands % 2 ? 3 : 4) && !e.code; c++) {
		const int by = c == 1 || c == 2 ? 2 : 1;
		e = heif_image_add_plane(*out, channels[c], (s->width + by - 1) / by, (s->height + by - 1) / by, 8);
		if (!e.code)
			to[c] = heif_image_get_plane(*out, channels[c], &stride[c]);
	}
	if (!e.code)
		gc_fill(from, s, to, stride);
	return e;
}

GC_FN struct heif_error gc_write(struct heif_context *context, const void *data, size_t length, void *to) {
	GcFile *f = to;
	f->bytes = malloc(length);
	f->length = length;
	if (f->bytes)
		memcpy(f->bytes, data, length);
	return (struct heif_error) {f->bytes ? heif_error_Ok : heif_error_Memory_allocation_error, heif_suberror_Unspecified, "write"};
}

GC_FN struct heif_error gc_encoder(heif_context *context, const GcSequence *s, heif_encoder **out) {
	const heif_encoder_descriptor *aom = NULL;
	struct heif_error e = {heif_error_Ok};
	if (heif_context_get_encoder_descriptors(context, heif_compression_AV1, "aom", &aom, 1) < 1)
		return (struct heif_error) {heif_error_Unsupported_feature, heif_suberror_Unspecified, "libheif has no libaom"};
	GC_TRY(heif_context_get_encoder(context, aom, out));
	GC_TRY(heif_encoder_set_lossy_quality(*out, s->q));
	GC_TRY(heif_encoder_set_parameter_integer(*out, "speed", s->speed));
	GC_TRY(heif_encoder_set_parameter_integer(*out, "threads", 1));
	GC_TRY(heif_encoder_set_parameter_boolean(*out, "realtime", s->realtime));
	GC_TRY(heif_encoder_set_parameter_string(*out, "tune", "ssim"));
	GC_TRY(heif_encoder_set_parameter_string(*out, "chroma", "420"));
	return e;
}

// gc_track encodes the frames into a track of context.
GC_FN struct heif_error gc_track(heif_context *context, heif_encoder *encoder, const GcSequence *s, const uint8_t *samples, const int *delays) {
	heif_color_profile_nclx *colours = heif_nclx_color_profile_alloc();
	heif_track_options *timing = heif_track_options_alloc();
	heif_sequence_encoding_options *options = heif_sequence_encoding_options_alloc();
	heif_track *track = NULL;
	colours->color_primaries = heif_color_primaries_ITU_R_BT_709_5;
	colours->transfer_characteristics = heif_transfer_characteristic_IEC_61966_2_1;
	colours->matrix_coefficients = heif_matrix_coefficients_ITU_R_BT_601_6;
	colours->full_range_flag = 1;
	heif_track_options_set_timescale(timing, GC_TICKS);
	options->save_alpha_channel = s->bands % 2 == 0;
	struct heif_error e = heif_context_add_visual_sequence_track(context, s->width, s->height, heif_track_type_image_sequence, timing, options, &track);
	for (int i = 0; i < s->frames && !e.code; i++) {
		heif_image *image = NULL;
		e = gc_frame(samples + (size_t) i * s->width * s->height * s->bands, s, colours, &image);
		if (image)
			heif_image_set_duration(image, delays[i]);
		GC_TRY(heif_track_encode_sequence_image(track, image, encoder, options));
		heif_image_release(image);
	}
	GC_TRY(heif_track_encode_end_of_sequence(track, encoder));
	heif_track_release(track);
	heif_sequence_encoding_options_release(options);
	heif_track_options_release(timing);
	heif_nclx_color_profile_free(colours);
	return e;
}

// gc_sequence encodes stacked frames. out->bytes is freed by free. The error's message is copied to why.
GC_FN int gc_sequence(GcSequence s, const uint8_t *samples, const int *delays, GcFile *out, char why[200]) {
	heif_context *context = heif_context_alloc();
	heif_encoder *encoder = NULL;
	struct heif_writer writer = {1, gc_write};
	heif_context_set_sequence_timescale(context, GC_TICKS);
	heif_context_set_number_of_sequence_repetitions(context, s.plays);
	struct heif_error e = gc_encoder(context, &s, &encoder);
	GC_TRY(gc_track(context, encoder, &s, samples, delays));
	GC_TRY(heif_context_write(context, &writer, out));
	if (e.code)
		strncat(why, e.message, 199);
	if (encoder)
		heif_encoder_release(encoder);
	heif_context_free(context);
	return e.code;
}

// gc_frames decodes s.frames of the frames of a sequence, which gc_sequence made, with bands of 3 or 4. Their numbers rise.
GC_FN int gc_frames(const uint8_t *file, size_t length, GcSequence s, const int *wanted, uint8_t *samples, char why[200]) {
	heif_context *context = heif_context_alloc();
	heif_track *track = NULL;
	heif_decoding_options *options = heif_decoding_options_alloc();
	options->ignore_sequence_editlist = 1;
	struct heif_error e = heif_context_read_from_memory_without_copy(context, file, length, NULL);
	if (!e.code && !(track = heif_context_get_track(context, 0)))
		e = (struct heif_error) {heif_error_Invalid_input, heif_suberror_Unspecified, "no track"};
	const size_t line = (size_t) s.width * s.bands;
	for (int n = 0, i = 0; i < s.frames && !e.code; n++) {
		heif_image *image = NULL;
		int stride;
		e = heif_track_decode_next_image(track, &image, heif_colorspace_RGB, s.bands == 4 ? heif_chroma_interleaved_RGBA : heif_chroma_interleaved_RGB, options);
		const uint8_t *from = e.code ? NULL : heif_image_get_plane_readonly(image, heif_channel_interleaved, &stride);
		if (from && (heif_image_get_width(image, heif_channel_interleaved) != s.width || heif_image_get_height(image, heif_channel_interleaved) != s.height))
			e = (struct heif_error) {heif_error_Invalid_input, heif_suberror_Unspecified, "a frame of another size"};
		for (int y = 0; n == wanted[i] && y < s.height && from && !e.code; y++)
			memcpy(samples + ((size_t) i * s.height + y) * line, from + (size_t) y * stride, line);
		i += n == wanted[i];
		heif_image_release(image);
	}
	if (e.code)
		strncat(why, e.message, 199);
	heif_track_release(track);
	heif_decoding_options_free(options);
	heif_context_free(context);
	return e.code;
}

#else

static int gc_sequence(GcSequence s, const uint8_t *samples, const int *delays, GcFile *out, char why[200]) {
	strncat(why, "libheif is too old", 199);
	return 1;
}

static int gc_frames(const uint8_t *file, size_t length, GcSequence s, const int *wanted, uint8_t *samples, char why[200]) {
	strncat(why, "libheif is too old", 199);
	return 1;
}

#endif

#endif
