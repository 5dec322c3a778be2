// Traits of a picture that decide the quality it needs. They are counted on a sample of its pixels, before and after a
// cheap trial encode. Plain C on plain arrays, so that the compiler can use vector instructions.
#ifndef GOLDCREST_PROBE_H
#define GOLDCREST_PROBE_H

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

// Unused functions are no error in a file that includes this one.
#define GC_FN static __attribute__((unused))

#define GC_TILE 32
#define GC_ACROSS 16 // tiles in a row of the sample

typedef struct {
	// Of the original sample.
	float flat;      // share of 8 x 8 blocks without any step
	float busy;      // mean of log2(1 + variance) of luma blocks
	float busy4;     // the same, pooled towards the busiest
	float dark;      // share of blocks darker than 48
	float mean;      // of luma
	float chroma;    // mean of log2(1 + variance) of chroma blocks
	float equal;     // share of pixels equal to their left neighbour
	float steep;     // share of pixels with a steep step to the left
	float strokes;   // share of steep steps that are reversed within a few pixels
	float print;     // share of tiles that look like print
	float plain;     // share of tiles of one level
	float colourful; // mean distance of colours from grey
	// Of the trial encode.
	float rate;          // bytes a pixel
	float luma, luma4;   // mean and pooled error
	float loss, loss4;   // mean and pooled structural dissimilarity
	float half, half4;   // the same at half size
	float blue, red;     // mean error of the chroma planes
	float blue4, red4;   // pooled
	float soft, ring;    // share of contrast lost, and gained
} GcTraits;

// gc_sample copies every step-th tile into out, side by side, as three bands. Rows of tiles are shifted against each
// other, so that every column is sampled. It returns the number of tiles.
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

// GcTile holds the JPEG planes of one tile. A tile fits into the first-level cache.
typedef struct {
	float y[GC_TILE * GC_TILE], cb[GC_TILE * GC_TILE], cr[GC_TILE * GC_TILE], half[GC_TILE * GC_TILE / 4];
} GcTile;

// gc_planes converts a tile of a sample to planes.
GC_FN void gc_planes(const uint8_t *rgb, GcTile *t) {
	for (int y = 0; y < GC_TILE; y++, rgb += GC_ACROSS * GC_TILE * 3)
		for (int x = 0; x < GC_TILE; x++) {
			float r = rgb[3 * x], g = rgb[3 * x + 1], b = rgb[3 * x + 2];
			float l = 0.299f * r + 0.587f * g + 0.114f * b;
			t->y[y * GC_TILE + x] = l;
			t->cb[y * GC_TILE + x] = 0.564f * (b - l);
			t->cr[y * GC_TILE + x] = 0.713f * (r - l);
		}
	for (int y = 0; y < GC_TILE / 2; y++)
		for (int x = 0; x < GC_TILE / 2; x++) {
			const float *p = t->y + 2 * y * GC_TILE + 2 * x;
			t->half[y * (GC_TILE / 2) + x] = 0.25f * (p[0] + p[1] + p[GC_TILE] + p[GC_TILE + 1]);
		}
}

typedef struct {
	float mean, var, err, dissimilarity, other;
} GcBlock;

// gc_block compares an 8 x 8 block with its counterpart after the encode. It sums columns side by side, so that the
// compiler can use vectors.
GC_FN GcBlock gc_block(const float *a, const float *b, int stride) {
	float sa[8] = {0}, sb[8] = {0}, saa[8] = {0}, sbb[8] = {0}, sab[8] = {0};
	for (int y = 0; y < 8; y++, a += stride, b += stride)
		for (int x = 0; x < 8; x++) {
			sa[x] += a[x];
			sb[x] += b[x];
			saa[x] += a[x] * a[x];
			sbb[x] += b[x] * b[x];
			sab[x] += a[x] * b[x];
		}
	for (int x = 1; x < 8; x++)
		sa[0] += sa[x], sb[0] += sb[x], saa[0] += saa[x], sbb[0] += sbb[x], sab[0] += sab[x];
	float ma = sa[0] / 64, mb = sb[0] / 64;
	float va = fmaxf(saa[0] / 64 - ma * ma, 0), vb = fmaxf(sbb[0] / 64 - mb * mb, 0), cov = sab[0] / 64 - ma * mb;
	GcBlock r = {.mean = ma, .var = va, .other = vb, .err = fmaxf(saa[0] + sbb[0] - 2 * sab[0], 0) / 64};
	r.dissimilarity = 1 - (2 * cov + 12) / (va + vb + 12);
	return r;
}

// Sums over tiles. gc_finish turns them into means, see GcTraits.
typedef struct {
	double flat, busy, busy4, dark, mean, luma, luma4, loss, loss4, soft, ring, half, half4, blue, blue4, red, red4, chroma, colourful;
	long equal, steep, strokes, print, plain;
} GcSums;

GC_FN double gc_fourth(float v) { return (double) v * v * v * v; }

// gc_luma adds the luma measures of a tile.
GC_FN void gc_luma(const float *a, const float *b, GcSums *s) {
	for (int y = 0; y < GC_TILE; y += 8)
		for (int x = 0; x < GC_TILE; x += 8) {
			GcBlock k = gc_block(a + y * GC_TILE + x, b + y * GC_TILE + x, GC_TILE);
			float v = log2f(1 + k.var), e = sqrtf(k.err), sa = sqrtf(k.var + 4), sb = sqrtf(k.other + 4);
			s->flat += k.var < 1;
			s->busy += v;
			s->busy4 += gc_fourth(v);
			s->dark += k.mean < 48;
			s->mean += k.mean;
			s->luma += e;
			s->luma4 += gc_fourth(e);
			s->loss += k.dissimilarity;
			s->loss4 += gc_fourth(k.dissimilarity);
			s->soft += fmaxf(0, 1 - sb / sa);
			s->ring += fmaxf(0, sb / sa - 1);
		}
}

// gc_half adds the loss at half size.
GC_FN void gc_half(const float *a, const float *b, GcSums *s) {
	for (int y = 0; y < GC_TILE / 2; y += 8)
		for (int x = 0; x < GC_TILE / 2; x += 8) {
			float d = gc_block(a + y * (GC_TILE / 2) + x, b + y * (GC_TILE / 2) + x, GC_TILE / 2).dissimilarity;
			s->half += d;
			s->half4 += gc_fourth(d);
		}
}

GC_FN void gc_chroma(const float *a, const float *b, double *err, double *err4, double *busy) {
	for (int y = 0; y < GC_TILE; y += 8)
		for (int x = 0; x < GC_TILE; x += 8) {
			GcBlock k = gc_block(a + y * GC_TILE + x, b + y * GC_TILE + x, GC_TILE);
			float e = sqrtf(k.err);
			*err += e;
			*err4 += gc_fourth(e);
			*busy += log2f(1 + k.var);
		}
}

// gc_print reports whether a tile looks like print: most pixels are near one level, with thin marks at the other end of
// the range and little between. A plain tile has no range.
GC_FN int gc_print(const float *p, int *plain) {
	int histogram[64] = {0};
	for (int y = 0; y < GC_TILE; y++)
		for (int x = 0; x < GC_TILE; x++)
			histogram[(int) p[y * GC_TILE + x] / 4]++; // Luma is 0 to 255.
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
			float v = p[y * GC_TILE + x];
			int here = fabsf(v - far) < 0.45f * range;
			back += fabsf(v - level) < 0.25f * range;
			ink += here;
			began += here && !before;
			sharp += x > 1 && fabsf(v - p[y * GC_TILE + x - 2]) > 0.45f * range;
			before = here;
		}
		runs += began;
		twice += began > 1;
	}
	return back * 100 > n * 45 && ink * 100 > n * 2 && ink * 100 < n * 42 && (n - back - ink) * 100 < n * 36 && runs * 7 > ink &&
		sharp > 2 * runs && twice > 5;
}

// gc_marks counts steps along rows, and tiles of print.
GC_FN void gc_marks(const GcTile *t, GcSums *s) {
	int none;
	s->print += gc_print(t->y, &none);
	s->plain += none;
	for (int y = 0; y < GC_TILE; y++) {
		const float *p = t->y + y * GC_TILE;
		int equal = 0, steep = 0;
		for (int x = 1; x < GC_TILE; x++) {
			float m = fabsf(p[x] - p[x - 1]);
			equal += m < 0.5f;
			steep += m >= 24;
		}
		s->equal += equal;
		s->steep += steep;
		int last = 0, at = -100;
		for (int x = 1; steep > 1 && x < GC_TILE; x++) {
			float d = p[x] - p[x - 1];
			if (fabsf(d) < 24)
				continue;
			int sign = d > 0 ? 1 : -1;
			s->strokes += sign == -last && x - at < 8;
			last = sign;
			at = x;
		}
	}
	float colour[8] = {0};
	for (int i = 0; i < GC_TILE * GC_TILE; i += 8)
		for (int x = 0; x < 8; x++)
			colour[x] += fabsf(t->cb[i + x]) + fabsf(t->cr[i + x]);
	for (int x = 0; x < 8; x++)
		s->colourful += colour[x];
}

// gc_finish turns sums into means.
GC_FN void gc_finish(const GcSums *s, double tiles, size_t bytes, GcTraits *t) {
	const double pixels = tiles * GC_TILE * GC_TILE, n = pixels / 64, quarter = n / 4, steps = tiles * GC_TILE * (GC_TILE - 1);
	t->flat = s->flat / n, t->busy = s->busy / n, t->busy4 = pow(s->busy4 / n, 0.25), t->dark = s->dark / n, t->mean = s->mean / n;
	t->luma = s->luma / n, t->luma4 = pow(s->luma4 / n, 0.25), t->loss = s->loss / n, t->loss4 = pow(s->loss4 / n, 0.25);
	t->soft = s->soft / n, t->ring = s->ring / n, t->half = s->half / quarter, t->half4 = pow(s->half4 / quarter, 0.25);
	t->blue = s->blue / n, t->blue4 = pow(s->blue4 / n, 0.25), t->red = s->red / n, t->red4 = pow(s->red4 / n, 0.25);
	t->chroma = s->chroma / n / 2, t->colourful = s->colourful / pixels;
	t->equal = s->equal / steps, t->steep = s->steep / steps, t->strokes = s->steep ? (double) s->strokes / s->steep : 0;
	t->print = s->print / tiles, t->plain = s->plain / tiles, t->rate = bytes / pixels;
}

// gc_judge compares a sample with its counterpart after the encode.
GC_FN void gc_judge(const uint8_t *rgb, const uint8_t *other, int tiles, size_t bytes, GcTraits *t) {
	GcSums s = {0};
	GcTile a, b;
	for (int i = 0; i < tiles; i++) {
		size_t at = ((size_t) (i / GC_ACROSS) * GC_TILE * GC_ACROSS + i % GC_ACROSS) * GC_TILE * 3;
		gc_planes(rgb + at, &a);
		gc_planes(other + at, &b);
		gc_luma(a.y, b.y, &s);
		gc_half(a.half, b.half, &s);
		gc_chroma(a.cb, b.cb, &s.blue, &s.blue4, &s.chroma);
		gc_chroma(a.cr, b.cr, &s.red, &s.red4, &s.chroma);
		gc_marks(&a, &s);
	}
	gc_finish(&s, tiles, bytes, t);
}

static inline int gc_less(int a, int b) { return a < b ? a : b; }

// gc_shades is the largest share, over the tiles of a picture, of pixels that are similar to their left and upper
// neighbours but have changed by 8 or more: faces, shaded boxes and faint backgrounds, but not the edges of letters.
// Both pictures are at least one tile wide and high.
GC_FN double gc_shades(const uint8_t *a, const uint8_t *b, int width, int height, int bands) {
	size_t line = (size_t) width * bands;
	int most = 0;
	for (int down = 0; down < height; down += GC_TILE)
		for (int across = 0; across < width; across += GC_TILE) {
			// The last tiles overlap with those before.
			int ty = gc_less(down, height - GC_TILE), tx = gc_less(across, width - GC_TILE), n = 0;
			for (int y = ty + 1; y < ty + GC_TILE; y++) {
				const uint8_t *p = a + y * line + tx * bands, *q = b + y * line + tx * bands;
				for (int x = bands; x < GC_TILE * bands; x++)
					n += abs(p[x] - p[x - bands]) < 8 & abs(p[x] - p[x - line]) < 8 & abs(p[x] - q[x]) >= 8;
			}
			most = n > most ? n : most;
		}
	return (double) most / ((GC_TILE - 1) * (GC_TILE - 1) * bands);
}

#endif
