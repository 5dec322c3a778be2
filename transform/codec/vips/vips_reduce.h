// Horizontal reduction, which is half of scaling. libvips before 8.16 does it one sample at a time, which took a third
// of the processor time of a JPEG. Here each band becomes a plane, for which compilers use the vector instructions of
// any processor (ADR 17). Unsupported sample formats are left to libvips.
#ifndef GOLDCREST_VIPS_REDUCE_H
#define GOLDCREST_VIPS_REDUCE_H

#include "vips_load.h"
#include <math.h>
#include <stdint.h>

typedef uint8_t GcBytes16 __attribute__((vector_size(16)));
typedef uint64_t GcHalves __attribute__((vector_size(16)));

// gc_zip interleaves the first halves of a and b; gc_upper is the second half of a.
static inline GcBytes16 gc_zip(GcBytes16 a, GcBytes16 b) {
	return __builtin_shuffle(a, b, (GcBytes16) {0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23});
}

static inline GcBytes16 gc_upper(GcBytes16 a) { return (GcBytes16) __builtin_shuffle((GcHalves) a, (GcHalves) {1, 1}); }

// gc_planes splits n pixels of three bands into planes of 16 bits that are pitch apart.
GC_FN void gc_planes(const uint8_t *p, int n, int16_t *to, size_t pitch) {
	const GcBytes16 zero = {0};
	int x = 0;
	for (; x + 16 <= n; x += 16, p += 48) {
		GcBytes16 v[3];
		memcpy(v, p, sizeof v);
		for (int i = 0; i < 4; i++) { // Each round halves the distance between the samples of a band.
			const GcBytes16 a = gc_zip(v[0], gc_upper(v[1])), b = gc_zip(gc_upper(v[0]), v[2]), c = gc_zip(v[1], gc_upper(v[2]));
			v[0] = a, v[1] = b, v[2] = c;
		}
		for (int b = 0; b < 3; b++) {
			const GcBytes16 low = gc_zip(v[b], zero), high = gc_zip(gc_upper(v[b]), zero);
			memcpy(to + b * pitch + x, &low, sizeof low);
			memcpy(to + b * pitch + x + 8, &high, sizeof high);
		}
	}
	for (; x < n; x++)
		for (int b = 0; b < 3; b++)
			to[b * pitch + x] = *p++;
}

// GcReduce lists, for each pixel of the shorter line, the source pixels. Pixels beyond an end equal the last one.
typedef struct {
	int in, out;     // pixels per line, before and after
	int taps;        // source pixels of each result pixel: a multiple of 8, some with zero weight
	int *left;       // the first source pixel of each result pixel; negative at the start of a line
	int16_t *weight; // taps weights for each pixel; their sum is 1 << GC_WEIGHT
} GcReduce;

enum { GC_WEIGHT = 14 }; // bits of a weight

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

// gc_reduce_new computes Lanczos kernels with a radius of three result pixels.
GC_FN GcReduce *gc_reduce_new(int in, int out) {
	const double scale = (double) in / out;
	const int wide = 2 * (int) ceil(3 * scale) + 1;
	GcReduce *r = g_new(GcReduce, 1);
	*r = (GcReduce) {.in = in, .out = out, .taps = (wide + 7) / 8 * 8};
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
		// The rounding error of one weight is added to the next.
		for (int i = 0, given = 0; i < wide; i++) {
			so_far += w[i] / sum * (1 << GC_WEIGHT);
			given += to[i] = (int16_t) (lrint(so_far) - given);
		}
		r->left[x] = left;
	}
	g_free(w);
	return r;
}

GC_FN uint8_t gc_weighed(int sum) {
	const int v = (sum + (1 << (GC_WEIGHT - 1))) >> GC_WEIGHT;
	return (uint8_t) VIPS_CLIP(0, v, 255);
}

// gc_reduce_grey and gc_reduce_rgb compute n pixels from x on. The planes of a line begin with the pixel first.
GC_FN void gc_reduce_grey(const GcReduce *r, const int16_t *line, int first, int x, int n, uint8_t *to) {
	const int taps = r->taps & ~7; // tells the compiler that it is a multiple of 8
	for (int end = x + n; x < end; x++) {
		const int16_t *w = r->weight + (size_t) x * taps, *p = line + (r->left[x] - first);
		int sum = 0;
		for (int k = 0; k < taps; k++)
			sum += p[k] * w[k];
		*to++ = gc_weighed(sum);
	}
}

GC_FN void gc_reduce_rgb(const GcReduce *r, const int16_t *line, size_t pitch, int first, int x, int n, uint8_t *to) {
	const int taps = r->taps & ~7;
	for (int end = x + n; x < end; x++, to += 3) {
		const int16_t *w = r->weight + (size_t) x * taps, *red = line + (r->left[x] - first);
		const int16_t *green = red + pitch, *blue = green + pitch;
		int a = 0, b = 0, c = 0;
		for (int k = 0; k < taps; k++)
			a += red[k] * w[k], b += green[k] * w[k], c += blue[k] * w[k];
		to[0] = gc_weighed(a), to[1] = gc_weighed(b), to[2] = gc_weighed(c);
	}
}

// GcLine is the state of one thread.
typedef struct {
	VipsRegion *region;
	int16_t *line;
	size_t pitch;
} GcLine;

GC_FN void *gc_reduce_start(VipsImage *out, void *in, void *reduce) {
	const GcReduce *r = reduce;
	GcLine *l = g_new(GcLine, 1);
	l->region = vips_region_new(in);
	l->pitch = r->in + 2 * r->taps;
	l->line = g_new(int16_t, l->pitch * out->Bands);
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
		uint8_t *o = VIPS_REGION_ADDR(out, wanted->left, y);
		int16_t *line = l->line + (from - first);
		if (bands == 1)
			for (int x = 0; x < to - from; x++)
				line[x] = p[x];
		else
			gc_planes(p, to - from, line, l->pitch);
		for (int b = 0; b < bands; b++, line += l->pitch) {
			for (int x = first; x < from; x++)
				line[x - from] = line[0];
			for (int x = to; x < last; x++)
				line[x - from] = line[to - from - 1];
		}
		if (bands == 1)
			gc_reduce_grey(r, l->line, first, wanted->left, wanted->width, o);
		else
			gc_reduce_rgb(r, l->line, l->pitch, first, wanted->left, wanted->width, o);
	}
	return 0;
}

// gc_reduces is 1 if gc_reduce supports the picture and both factors: smaller in both directions, or in width only.
GC_FN int gc_reduces(VipsImage *in, double hscale, double vscale) {
	return in->BandFmt == VIPS_FORMAT_UCHAR && in->Coding == VIPS_CODING_NONE && (in->Bands == 1 || in->Bands == 3) &&
		hscale < 1 && vscale <= 1;
}

// gc_reduce is vips_resize for pictures for which gc_reduces is 1.
GC_FN int gc_reduce(VipsImage *in, VipsImage **out, double hscale, double vscale) {
	VipsImage *lower = in;
	if (vscale == 1)
		g_object_ref(in);
	else if (vips_reducev(in, &lower, 1 / vscale, "gap", 6.0, NULL)) // From a factor of 12 on, lines are averaged first: half the time at a factor of 30.
		return -1;
	const int width = VIPS_MAX(1, VIPS_ROUND_UINT(in->Xsize * hscale));
	VipsImage *o = vips_image_new();
	vips_object_local(o, lower);
	GcReduce *r = gc_reduce_new(in->Xsize, width);
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
