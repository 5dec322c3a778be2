// Making lines shorter, which is half of scaling. libvips before 8.16 does it a sample at a time, which was a third of the processor time of a
// JPEG; here a pixel's samples are worked on side by side. What is not at hand on a processor, or in a format, is left to libvips.
#ifndef GOLDCREST_VIPS_REDUCE_H
#define GOLDCREST_VIPS_REDUCE_H

#include "vips_load.h"
#include <math.h>
#include <stdint.h>

#ifdef __x86_64__
#include <smmintrin.h>
#endif

// GcReduce says of which pixels of a line each pixel of the shorter one is made. A pixel past an end is like the last one.
typedef struct {
	int in, out;     // pixels of a line, before and after
	int taps;        // pixels that one is made of: a multiple of 4, or of 8 for grey, some of no weight
	int *left;       // the first of them, for each pixel; below 0 at the beginning of a line
	int16_t *weight; // taps for each pixel; they add up to 1 << GC_WEIGHT
} GcReduce;

enum { GC_WEIGHT = 14, GC_SLACK = 16 }; // bits of a weight; bytes that may be read past the end of a line

GC_FN void gc_reduce_free(void *p) {
	GcReduce *r = p;
	g_free(r->left);
	g_free(r->weight);
	g_free(r);
}

GC_FN double gc_lanczos3(double x) {
	x *= G_PI;
	return fabs(x) < 1e-9 ? 1 : fabs(x) >= 3 * G_PI ? 0 : 3 * sin(x) * sin(x / 3) / (x * x);
}

// gc_reduce_new computes Lanczos kernels, as wide as three pixels of the result.
GC_FN GcReduce *gc_reduce_new(int in, int out, int bands) {
	const double scale = (double) in / out;
	const int step = bands == 1 ? 8 : 4, wide = 2 * (int) ceil(3 * scale) + 1;
	GcReduce *r = g_new(GcReduce, 1);
	*r = (GcReduce) {.in = in, .out = out, .taps = (wide + step - 1) / step * step};
	r->left = g_new(int, out);
	r->weight = g_new0(int16_t, (size_t) out * r->taps);
	double *w = g_new(double, wide);
	for (int x = 0; x < out; x++) {
		const double centre = (x + 0.5) * scale - 0.5;
		const int left = (int) floor(centre) - wide / 2;
		int16_t *to = r->weight + (size_t) x * r->taps;
		double sum = 0, so_far = 0;
		for (int i = 0; i < wide; i++)
			sum += w[i] = gc_lanczos3((left + i - centre) / scale);
		// What rounding takes from one weight goes to the next.
		for (int i = 0, given = 0; i < wide; i++) {
			so_far += w[i] / sum * (1 << GC_WEIGHT);
			given += to[i] = (int16_t) (lrint(so_far) - given);
		}
		r->left[x] = left;
	}
	g_free(w);
	return r;
}

#ifdef __x86_64__
#define GC_SSE4 __attribute__((target("sse4.1")))

// gc_reduce_rgb makes n pixels from x on. line begins with the pixel at first.
GC_SSE4 GC_FN void gc_reduce_rgb(const GcReduce *r, const uint8_t *line, int first, int x, int n, uint8_t *to) {
	// Two pixels beside each other as r r, g g, b b in 16 bits each, so that one instruction weighs and adds both.
	const __m128i low = _mm_setr_epi8(0, -1, 3, -1, 1, -1, 4, -1, 2, -1, 5, -1, -1, -1, -1, -1);
	const __m128i high = _mm_setr_epi8(6, -1, 9, -1, 7, -1, 10, -1, 8, -1, 11, -1, -1, -1, -1, -1);
	for (int end = x + n; x < end; x++, to += 3) {
		const uint8_t *p = line + 3 * (ptrdiff_t) (r->left[x] - first);
		const int16_t *w = r->weight + (size_t) x * r->taps;
		__m128i sum = _mm_set1_epi32(1 << (GC_WEIGHT - 1));
		for (int k = 0; k < r->taps; k += 4, p += 12) {
			int32_t pair[2];
			memcpy(pair, w + k, sizeof(pair));
			const __m128i v = _mm_loadu_si128((const __m128i *) p);
			sum = _mm_add_epi32(sum, _mm_madd_epi16(_mm_shuffle_epi8(v, low), _mm_set1_epi32(pair[0])));
			sum = _mm_add_epi32(sum, _mm_madd_epi16(_mm_shuffle_epi8(v, high), _mm_set1_epi32(pair[1])));
		}
		sum = _mm_srai_epi32(sum, GC_WEIGHT);
		sum = _mm_packus_epi16(_mm_packus_epi32(sum, sum), sum);
		const uint32_t rgb = (uint32_t) _mm_cvtsi128_si32(sum);
		memcpy(to, &rgb, 3);
	}
}

GC_SSE4 GC_FN void gc_reduce_grey(const GcReduce *r, const uint8_t *line, int first, int x, int n, uint8_t *to) {
	for (int end = x + n; x < end; x++, to++) {
		const uint8_t *p = line + (r->left[x] - first);
		const int16_t *w = r->weight + (size_t) x * r->taps;
		__m128i sum = _mm_setzero_si128();
		for (int k = 0; k < r->taps; k += 8) {
			const __m128i v = _mm_cvtepu8_epi16(_mm_loadl_epi64((const __m128i *) (p + k)));
			sum = _mm_add_epi32(sum, _mm_madd_epi16(v, _mm_loadu_si128((const __m128i *) (w + k))));
		}
		sum = _mm_hadd_epi32(sum, sum);
		sum = _mm_hadd_epi32(sum, sum);
		const int v = (_mm_cvtsi128_si32(sum) + (1 << (GC_WEIGHT - 1))) >> GC_WEIGHT;
		*to = VIPS_CLIP(0, v, 255);
	}
}

GC_FN int gc_reduce_can(void) { return __builtin_cpu_supports("sse4.1"); }
#else
GC_FN void gc_reduce_rgb(const GcReduce *r, const uint8_t *line, int first, int x, int n, uint8_t *to) {}
GC_FN void gc_reduce_grey(const GcReduce *r, const uint8_t *line, int first, int x, int n, uint8_t *to) {}
GC_FN int gc_reduce_can(void) { return 0; }
#endif

// GcLine is what one thread needs.
typedef struct {
	VipsRegion *region;
	uint8_t *line;
} GcLine;

GC_FN void *gc_reduce_start(VipsImage *out, void *in, void *reduce) {
	const GcReduce *r = reduce;
	GcLine *l = g_new(GcLine, 1);
	l->region = vips_region_new(in);
	l->line = g_malloc((size_t) (r->in + 2 * r->taps) * out->Bands + GC_SLACK);
	return l;
}

GC_FN int gc_reduce_stop(void *seq, void *in, void *reduce) {
	GcLine *l = seq;
	g_object_unref(l->region);
	g_free(l->line);
	g_free(l);
	return 0;
}

GC_FN int gc_reduce_lines(VipsRegion *out, void *seq, void *in, void *reduce, gboolean *stop) {
	const GcReduce *r = reduce;
	GcLine *l = seq;
	const VipsRect *wanted = &out->valid;
	const int bands = out->im->Bands, first = r->left[wanted->left], last = r->left[VIPS_RECT_RIGHT(wanted) - 1] + r->taps;
	const int from = VIPS_MAX(first, 0), to = VIPS_MIN(last, r->in);
	const VipsRect needed = {from, wanted->top, to - from, wanted->height};
	if (vips_region_prepare(l->region, &needed))
		return -1;
	for (int y = wanted->top; y < VIPS_RECT_BOTTOM(wanted); y++) {
		const uint8_t *p = VIPS_REGION_ADDR(l->region, from, y);
		uint8_t *at = l->line;
		for (int i = first; i < from; i++, at += bands)
			memcpy(at, p, bands);
		const size_t n = (size_t) (to - from) * bands;
		memcpy(at, p, n);
		at += n;
		for (int i = to; i < last; i++, at += bands)
			memcpy(at, p + n - bands, bands);
		(bands == 1 ? gc_reduce_grey : gc_reduce_rgb)(r, l->line, first, wanted->left, wanted->width, VIPS_REGION_ADDR(out, wanted->left, y));
	}
	return 0;
}

// gc_reduces is 1 for pictures that gc_reduce takes, made smaller in both directions or in width alone.
GC_FN int gc_reduces(VipsImage *in, double hscale, double vscale) {
	return in->BandFmt == VIPS_FORMAT_UCHAR && in->Coding == VIPS_CODING_NONE && (in->Bands == 1 || in->Bands == 3) && hscale < 1 && vscale <= 1 &&
		gc_reduce_can();
}

// gc_reduce is vips_resize for pictures of which gc_reduces is true.
GC_FN int gc_reduce(VipsImage *in, VipsImage **out, double hscale, double vscale) {
	VipsImage *lower = in;
	if (vscale == 1)
		g_object_ref(in);
	else if (vips_reducev(in, &lower, 1 / vscale, "gap", 6.0, NULL)) // From 12 times on lines are averaged first: half the time at 30 times.
		return -1;
	const int width = VIPS_MAX(1, VIPS_ROUND_UINT(in->Xsize * hscale));
	VipsImage *o = vips_image_new();
	vips_object_local(o, lower);
	GcReduce *r = gc_reduce_new(in->Xsize, width, in->Bands);
	g_object_set_data_full(G_OBJECT(o), "goldcrest-reduce", r, gc_reduce_free);
	int failed = vips_image_pipelinev(o, VIPS_DEMAND_STYLE_FATSTRIP, lower, NULL);
	if (!failed) {
		o->Xsize = width;
		failed = vips_image_generate(o, gc_reduce_start, gc_reduce_lines, gc_reduce_stop, lower, r);
	}
	if (failed) {
		g_object_unref(o);
		return -1;
	}
	*out = o;
	return 0;
}

#endif
