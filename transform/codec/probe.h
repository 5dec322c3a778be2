// What a picture is like, as far as it decides the quality that it needs: counted on a sample of its pixels, before and after a
// cheap trial encode. Plain C on plain arrays, so that the compiler can use vector instructions.
#ifndef GOLDCREST_PROBE_H
#define GOLDCREST_PROBE_H

#include "vips_load.h"
#include <math.h>
#include <stdint.h>

#define GC_TILE 32
#define GC_ACROSS 16 // tiles in a row of the sample

typedef struct {
	int tiles, all; // tiles in the sample, and in the picture
	// Of the sample as it is.
	float flat;      // share of 8 x 8 blocks without any step
	float busy;      // mean of log2(1 + variance) of luma blocks
	float busy4;     // the same, pooled towards the busiest
	float dark;      // share of blocks darker than 48
	float mean;      // of luma
	float chroma;    // mean of log2(1 + variance) of chroma blocks
	float equal;     // share of pixels that are as their left neighbour
	float steep;     // share of pixels with a steep step to the left
	float strokes;   // share of steep steps that turn back within a few pixels
	float print;     // share of tiles that look like print
	float plain;     // share of tiles of one level
	float colourful; // mean distance of colours from grey
	// Of the trial.
	float rate;          // bytes a pixel
	float luma, luma4;   // mean and pooled error
	float loss, loss4;   // mean and pooled structural dissimilarity
	float half, half4;   // the same at half size
	float blue, red;     // mean error of the chroma planes
	float blue4, red4;   // pooled
	float soft, ring;    // share of contrast that went, and that came
} GcTraits;

// gc_sample copies every step-th tile into out, side by side, as three bands. Rows of tiles are shifted against one another, so that
// no column is left out. It returns the number of tiles.
GC_FN int gc_sample(const uint8_t *p, int width, int height, int bands, int step, uint8_t *out, int max) {
	int n = 0, at = 0;
	for (int ty = 0; ty + GC_TILE <= height; ty += GC_TILE)
		for (int tx = 0; tx + GC_TILE <= width; tx += GC_TILE, at++) {
			if ((at + ty / GC_TILE * 2) % step || n == max)
				continue;
			uint8_t *to = out + ((size_t) (n / GC_ACROSS) * GC_TILE * GC_ACROSS + (size_t) (n % GC_ACROSS)) * GC_TILE * 3;
			for (int y = 0; y < GC_TILE; y++, to += GC_ACROSS * GC_TILE * 3) {
				const uint8_t *from = p + ((size_t) (ty + y) * width + tx) * bands;
				for (int x = 0; x < GC_TILE; x++, from += bands) {
					to[3 * x] = from[0];
					to[3 * x + 1] = from[bands < 3 ? 0 : 1];
					to[3 * x + 2] = from[bands < 3 ? 0 : 2];
				}
			}
			n++;
		}
	return n;
}

// gc_planes turns pixels into luma and chroma as JPEG has them.
GC_FN void gc_planes(const uint8_t *rgb, int n, float *y, float *cb, float *cr) {
	for (int i = 0; i < n; i++) {
		float r = rgb[3 * i], g = rgb[3 * i + 1], b = rgb[3 * i + 2];
		float l = 0.299f * r + 0.587f * g + 0.114f * b;
		y[i] = l;
		cb[i] = 0.564f * (b - l);
		cr[i] = 0.713f * (r - l);
	}
}

// gc_halve averages squares of four.
GC_FN void gc_halve(const float *in, int width, int height, float *out) {
	for (int y = 0; y < height / 2; y++)
		for (int x = 0; x < width / 2; x++) {
			const float *p = in + (size_t) 2 * y * width + 2 * x;
			out[(size_t) y * (width / 2) + x] = 0.25f * (p[0] + p[1] + p[width] + p[width + 1]);
		}
}

typedef struct {
	float mean, var, err, dissimilarity, other;
} GcBlock;

// gc_block compares an 8 x 8 block with what became of it.
GC_FN GcBlock gc_block(const float *a, const float *b, int stride) {
	float sa = 0, sb = 0, saa = 0, sbb = 0, sab = 0;
	for (int y = 0; y < 8; y++)
		for (int x = 0; x < 8; x++) {
			float u = a[y * stride + x], v = b[y * stride + x];
			sa += u;
			sb += v;
			saa += u * u;
			sbb += v * v;
			sab += u * v;
		}
	float ma = sa / 64, mb = sb / 64;
	float va = fmaxf(saa / 64 - ma * ma, 0), vb = fmaxf(sbb / 64 - mb * mb, 0), cov = sab / 64 - ma * mb;
	GcBlock r = {.mean = ma, .var = va, .other = vb, .err = fmaxf(saa + sbb - 2 * sab, 0) / 64};
	r.dissimilarity = 1 - (2 * cov + 12) / (va + vb + 12);
	return r;
}

GC_FN void gc_compare(const float *a, const float *b, int width, int height, int tiles, int tile, float *mean, float *pooled) {
	double s = 0, s4 = 0;
	int n = 0;
	for (int i = 0; i < tiles; i++) {
		int x0 = i % GC_ACROSS * tile, y0 = i / GC_ACROSS * tile;
		for (int y = 0; y < tile; y += 8)
			for (int x = 0; x < tile; x += 8, n++) {
				size_t at = (size_t) (y0 + y) * width + x0 + x;
				float d = gc_block(a + at, b + at, width).dissimilarity;
				s += d;
				s4 += (double) d * d * d * d;
			}
	}
	*mean = s / n;
	*pooled = pow(s4 / n, 0.25);
}

// gc_luma fills in what the luma planes tell.
GC_FN void gc_luma(const float *a, const float *b, int width, GcTraits *t) {
	double flat = 0, busy = 0, busy4 = 0, dark = 0, mean = 0, err = 0, err4 = 0, loss = 0, loss4 = 0, soft = 0, ring = 0;
	int n = 0;
	for (int i = 0; i < t->tiles; i++) {
		int x0 = i % GC_ACROSS * GC_TILE, y0 = i / GC_ACROSS * GC_TILE;
		for (int y = 0; y < GC_TILE; y += 8)
			for (int x = 0; x < GC_TILE; x += 8, n++) {
				size_t at = (size_t) (y0 + y) * width + x0 + x;
				GcBlock k = gc_block(a + at, b + at, width);
				float v = log2f(1 + k.var), e = sqrtf(k.err);
				flat += k.var < 1;
				busy += v;
				busy4 += (double) v * v * v * v;
				dark += k.mean < 48;
				mean += k.mean;
				err += e;
				err4 += (double) e * e * e * e;
				loss += k.dissimilarity;
				loss4 += (double) k.dissimilarity * k.dissimilarity * k.dissimilarity * k.dissimilarity;
				float sa = sqrtf(k.var + 4), sb = sqrtf(k.other + 4);
				soft += fmaxf(0, 1 - sb / sa);
				ring += fmaxf(0, sb / sa - 1);
			}
	}
	t->flat = flat / n, t->busy = busy / n, t->busy4 = pow(busy4 / n, 0.25), t->dark = dark / n, t->mean = mean / n;
	t->luma = err / n, t->luma4 = pow(err4 / n, 0.25), t->loss = loss / n, t->loss4 = pow(loss4 / n, 0.25);
	t->soft = soft / n, t->ring = ring / n;
}

GC_FN void gc_chroma(const float *a, const float *b, int width, int tiles, float *err, float *err4, float *busy) {
	double s = 0, s4 = 0, v = 0;
	int n = 0;
	for (int i = 0; i < tiles; i++) {
		int x0 = i % GC_ACROSS * GC_TILE, y0 = i / GC_ACROSS * GC_TILE;
		for (int y = 0; y < GC_TILE; y += 8)
			for (int x = 0; x < GC_TILE; x += 8, n++) {
				size_t at = (size_t) (y0 + y) * width + x0 + x;
				GcBlock k = gc_block(a + at, b + at, width);
				float e = sqrtf(k.err);
				s += e;
				s4 += (double) e * e * e * e;
				v += log2f(1 + k.var);
			}
	}
	*err = s / n;
	*err4 = pow(s4 / n, 0.25);
	*busy += v / n / 2;
}

// gc_print reports whether a tile looks like print: one level that most pixels are near, and thin marks at the other end of the
// range, with little between. A plain tile has no range.
GC_FN int gc_print(const float *p, int stride, int *plain) {
	int histogram[64] = {0};
	for (int y = 0; y < GC_TILE; y++)
		for (int x = 0; x < GC_TILE; x++)
			histogram[VIPS_CLIP(0, (int) p[y * stride + x] / 4, 63)]++;
	const int n = GC_TILE * GC_TILE, few = n / 50;
	int low = 0, high = 63, ground = 1, most = 0;
	for (int sum = histogram[low]; sum < few; sum += histogram[++low])
		;
	for (int sum = histogram[high]; sum < few; sum += histogram[--high])
		;
	for (int i = 1; i < 63; i++) {
		int near = histogram[i - 1] + histogram[i] + histogram[i + 1];
		if (near > most)
			most = near, ground = i;
	}
	float range = (high - low) * 4, level = ground * 4 + 2;
	*plain = range < 32;
	if (range < 48)
		return 0;
	float far = high - ground > ground - low ? high * 4 + 2 : low * 4 + 2;
	int back = 0, ink = 0, runs = 0, sharp = 0, twice = 0;
	for (int y = 0; y < GC_TILE; y++) {
		int before = 0, began = 0;
		for (int x = 0; x < GC_TILE; x++) {
			float v = p[y * stride + x];
			int here = fabsf(v - far) < 0.45f * range;
			back += fabsf(v - level) < 0.25f * range;
			ink += here;
			began += here && !before;
			sharp += x > 1 && fabsf(v - p[y * stride + x - 2]) > 0.45f * range;
			before = here;
		}
		runs += began;
		twice += began > 1;
	}
	return back * 100 > n * 45 && ink * 100 > n * 2 && ink * 100 < n * 42 && (n - back - ink) * 100 < n * 36 && runs * 7 > ink &&
		sharp > 2 * runs && twice > 5;
}

// gc_marks counts steps along rows, and tiles of print.
GC_FN void gc_marks(const float *a, const float *cb, const float *cr, int width, GcTraits *t) {
	long equal = 0, steep = 0, strokes = 0, print = 0, plain = 0;
	double colourful = 0;
	for (int i = 0; i < t->tiles; i++) {
		int x0 = i % GC_ACROSS * GC_TILE, y0 = i / GC_ACROSS * GC_TILE, none;
		print += gc_print(a + (size_t) y0 * width + x0, width, &none);
		plain += none;
		for (int y = 0; y < GC_TILE; y++) {
			const float *p = a + (size_t) (y0 + y) * width + x0;
			int last = 0, at = -100;
			for (int x = 1; x < GC_TILE; x++) {
				float d = p[x] - p[x - 1], m = fabsf(d);
				equal += m < 0.5f;
				if (m < 24)
					continue;
				steep++;
				int sign = d > 0 ? 1 : -1;
				strokes += sign == -last && x - at < 8;
				last = sign;
				at = x;
			}
		}
		for (int y = 0; y < GC_TILE; y++)
			for (int x = 0; x < GC_TILE; x++) {
				size_t k = (size_t) (y0 + y) * width + x0 + x;
				colourful += fabsf(cb[k]) + fabsf(cr[k]);
			}
	}
	float n = (float) t->tiles * GC_TILE * (GC_TILE - 1);
	t->equal = equal / n;
	t->steep = steep / n;
	t->strokes = steep ? (float) strokes / steep : 0;
	t->print = (float) print / t->tiles;
	t->plain = (float) plain / t->tiles;
	t->colourful = colourful / t->tiles / (GC_TILE * GC_TILE);
}

// gc_trial encodes the sample as a JPEG and decodes it again into back.
GC_FN int gc_trial(uint8_t *sample, int width, int height, int q, uint8_t *back, size_t *bytes) {
	size_t size = (size_t) width * height * 3;
	VipsImage *in = vips_image_new_from_memory(sample, size, width, height, 3, VIPS_FORMAT_UCHAR);
	if (!in)
		return -1;
	in->Type = VIPS_INTERPRETATION_sRGB;
	void *buf = NULL;
	VipsImage *out = NULL;
	int r = vips_jpegsave_buffer(in, &buf, bytes, "Q", q, NULL) || vips_jpegload_buffer(buf, *bytes, &out, NULL);
	if (!r) {
		VipsImage *mem = vips_image_copy_memory(out);
		r = mem ? 0 : -1;
		if (mem) {
			memcpy(back, VIPS_IMAGE_ADDR(mem, 0, 0), size);
			g_object_unref(mem);
		}
	}
	if (out)
		g_object_unref(out);
	g_object_unref(in);
	g_free(buf);
	return r;
}

// gc_traits measures a picture in memory on about pixels of its pixels. The picture is at least a tile wide and high.
GC_FN int gc_traits(VipsImage *in, int pixels, int q, GcTraits *t) {
	int width = vips_image_get_width(in), height = vips_image_get_height(in), bands = vips_image_get_bands(in);
	memset(t, 0, sizeof(*t));
	if (vips_image_wio_input(in))
		return -1;
	t->all = (width / GC_TILE) * (height / GC_TILE);
	int wanted = VIPS_MAX(pixels / (GC_TILE * GC_TILE), GC_ACROSS);
	int step = VIPS_MAX(1, (t->all + wanted - 1) / wanted);
	int rows = (t->all / step + 2 + GC_ACROSS - 1) / GC_ACROSS;
	int w = GC_ACROSS * GC_TILE, h = rows * GC_TILE;
	size_t n = (size_t) w * h;
	uint8_t *rgb = g_malloc0(n * 6);
	float *planes = g_malloc0(n * 8 * sizeof(float));
	float *y = planes, *cb = y + n, *cr = cb + n, *y2 = cr + n, *cb2 = y2 + n, *cr2 = cb2 + n, *hy = cr2 + n, *hy2 = hy + n / 4;
	t->tiles = gc_sample(VIPS_IMAGE_ADDR(in, 0, 0), width, height, bands, step, rgb, rows * GC_ACROSS);
	h = (t->tiles + GC_ACROSS - 1) / GC_ACROSS * GC_TILE;
	n = (size_t) w * h;
	size_t bytes = 0;
	int r = gc_trial(rgb, w, h, q, rgb + 3 * n, &bytes);
	if (!r) {
		gc_planes(rgb, n, y, cb, cr);
		gc_planes(rgb + 3 * n, n, y2, cb2, cr2);
		gc_luma(y, y2, w, t);
		gc_chroma(cb, cb2, w, t->tiles, &t->blue, &t->blue4, &t->chroma);
		gc_chroma(cr, cr2, w, t->tiles, &t->red, &t->red4, &t->chroma);
		gc_halve(y, w, h, hy);
		gc_halve(y2, w, h, hy2);
		gc_compare(hy, hy2, w / 2, h / 2, t->tiles, GC_TILE / 2, &t->half, &t->half4);
		gc_marks(y, cb, cr, w, t);
		t->rate = (float) bytes / ((float) t->tiles * GC_TILE * GC_TILE);
	}
	g_free(rgb);
	g_free(planes);
	return r;
}

#endif
