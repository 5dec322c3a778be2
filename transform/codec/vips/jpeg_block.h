// The blocks of a JPEG: colours, the cosine transform, and the choice of coefficients. The choice is by rate and
// distortion: of all ways to round a block down, it takes the one with the least error plus lambda times its bits
// ("trellis quantisation"). Portable vectors, single precision.
#ifndef GOLDCREST_JPEG_BLOCK_H
#define GOLDCREST_JPEG_BLOCK_H

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <jpeglib.h>

// The parameters of the encoder, up to the transform. All of them were fitted to the fewest bytes at a SSIMULACRA2 of
// 70, on photos of other sources than those that evaluate it; docs/adr/0026 has the figures.

// The zigzag order of coefficients stored by rows, and by columns.
static const uint8_t gc_rows[64] = {
	0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5,
	12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7, 14, 21, 28,
	35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51,
	58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63,
};
static const uint8_t gc_columns[64] = {
	0, 8, 1, 2, 9, 16, 24, 17, 10, 3, 4, 11, 18, 25, 32, 40,
	33, 26, 19, 12, 5, 6, 13, 20, 27, 34, 41, 48, 56, 49, 42, 35,
	28, 21, 14, 7, 15, 22, 29, 36, 43, 50, 57, 58, 51, 44, 37, 30,
	23, 31, 38, 45, 52, 59, 60, 53, 46, 39, 47, 54, 61, 62, 55, 63,
};

// Quantisation steps of luma, blue and red, as the base-2 logarithm of their ratio to the scale, by the distance of a
// frequency from zero. The steps of luma hardly rise from the third on, unlike those of the standard tables: this score
// notices lost detail. The steps of chroma are finer.
enum { GC_KNOTS = 6 };
static const float gc_distance[GC_KNOTS] = {0, 1, 2, 3.5f, 5.5f, 9.9f};
static const float gc_steps[3][GC_KNOTS] = {
	{0.7f, 1.1f, 2.3f, 2.35f, 2.5f, 3.3f},
	{0.7f, 1.9f, 2.4f, 2.6f, 2.8f, 5.0f},
	{0.7f, 1.8f, 2.2f, 2.2f, 3.1f, 3.3f},
};

// Added for chroma of full resolution, half of it at frequency zero: such chroma has twice the frequencies to spend
// bits on.
#define GC_FULL_COLOUR 1.1f

// Lambda, the error that a bit is worth, in squares of a step. It grows with the activity of a block: with the power
// GC_MASK of its deviation, and is multiplied by 1 at GC_MASK_AT.
#define GC_LAMBDA_LUMA 0.08f
#define GC_LAMBDA_COLOUR 0.04f
#define GC_MASK 0.45f
#define GC_MASK_AT 4.0f
#define GC_WEIGHT_FALL 0.1f // halvings of an error's weight over eight frequencies
#define GC_SHARP 0.15f      // of halved chroma
#define GC_END_LUMA 3.0f    // bits of an end of block
#define GC_END_COLOUR 1.0f

// Bits of a run of zeros and the value after it, by the value's size: the mean over the photos of the fit.
static const float gc_bits[2][16][11] = {
	{
		{0, 2.7f, 4.4f, 6.6f, 8.9f, 11.4f, 14.2f, 17.8f, 23.4f, 25.0f, 26.0f},
		{0, 4.6f, 7.0f, 10.2f, 13.2f, 16.2f, 20.0f, 23.0f, 24.0f, 25.0f, 26.0f},
		{0, 5.9f, 9.5f, 13.4f, 17.8f, 21.0f, 22.0f, 23.0f, 24.0f, 25.0f, 26.0f},
		{0, 6.7f, 10.3f, 14.8f, 20.0f, 21.0f, 22.0f, 23.0f, 24.0f, 25.0f, 26.0f},
		{0, 6.9f, 11.3f, 16.1f, 20.0f, 21.0f, 22.0f, 23.0f, 24.0f, 25.0f, 26.0f},
		{0, 7.6f, 11.1f, 14.7f, 20.0f, 21.0f, 22.0f, 23.0f, 24.0f, 25.0f, 26.0f},
		{0, 7.8f, 12.7f, 17.0f, 20.0f, 21.0f, 22.0f, 23.0f, 24.0f, 25.0f, 26.0f},
		{0, 8.8f, 12.5f, 17.2f, 20.0f, 21.0f, 22.0f, 23.0f, 24.0f, 25.0f, 26.0f},
		{0, 9.9f, 14.9f, 18.3f, 20.0f, 21.0f, 22.0f, 23.0f, 24.0f, 25.0f, 26.0f},
		{0, 9.5f, 12.6f, 18.8f, 20.0f, 21.0f, 22.0f, 23.0f, 24.0f, 25.0f, 26.0f},
		{0, 10.1f, 14.7f, 19.0f, 20.0f, 21.0f, 22.0f, 23.0f, 24.0f, 25.0f, 26.0f},
		{0, 11.2f, 16.0f, 19.0f, 20.0f, 21.0f, 22.0f, 23.0f, 24.0f, 25.0f, 26.0f},
		{0, 11.0f, 17.0f, 19.0f, 20.0f, 21.0f, 22.0f, 23.0f, 24.0f, 25.0f, 26.0f},
		{0, 11.5f, 14.8f, 19.0f, 20.0f, 21.0f, 22.0f, 23.0f, 24.0f, 25.0f, 26.0f},
		{0, 17.0f, 16.1f, 19.0f, 20.0f, 21.0f, 22.0f, 23.0f, 24.0f, 25.0f, 26.0f},
		{0, 17.0f, 18.0f, 19.0f, 20.0f, 21.0f, 22.0f, 23.0f, 24.0f, 25.0f, 26.0f},
	},
	{
		{0, 2.8f, 5.4f, 8.4f, 12.1f, 17.1f, 22.0f, 23.0f, 24.0f, 25.0f, 26.0f},
		{0, 4.2f, 7.5f, 11.1f, 14.9f, 21.0f, 22.0f, 23.0f, 24.0f, 25.0f, 26.0f},
		{0, 5.9f, 10.3f, 15.9f, 19.5f, 21.0f, 22.0f, 23.0f, 24.0f, 25.0f, 26.0f},
		{0, 6.0f, 11.1f, 17.1f, 20.0f, 21.0f, 22.0f, 23.0f, 24.0f, 25.0f, 26.0f},
		{0, 6.8f, 12.0f, 19.0f, 20.0f, 21.0f, 22.0f, 23.0f, 24.0f, 25.0f, 26.0f},
		{0, 6.9f, 12.4f, 19.0f, 20.0f, 21.0f, 22.0f, 23.0f, 24.0f, 25.0f, 26.0f},
		{0, 7.7f, 13.7f, 19.0f, 20.0f, 21.0f, 22.0f, 23.0f, 24.0f, 25.0f, 26.0f},
		{0, 8.1f, 14.2f, 19.0f, 20.0f, 21.0f, 22.0f, 23.0f, 24.0f, 25.0f, 26.0f},
		{0, 8.8f, 14.9f, 19.0f, 20.0f, 21.0f, 22.0f, 23.0f, 24.0f, 25.0f, 26.0f},
		{0, 9.9f, 14.8f, 19.0f, 20.0f, 21.0f, 22.0f, 23.0f, 24.0f, 25.0f, 26.0f},
		{0, 9.9f, 16.4f, 19.0f, 20.0f, 21.0f, 22.0f, 23.0f, 24.0f, 25.0f, 26.0f},
		{0, 10.0f, 16.1f, 19.0f, 20.0f, 21.0f, 22.0f, 23.0f, 24.0f, 25.0f, 26.0f},
		{0, 10.0f, 16.8f, 19.0f, 20.0f, 21.0f, 22.0f, 23.0f, 24.0f, 25.0f, 26.0f},
		{0, 12.7f, 16.6f, 19.0f, 20.0f, 21.0f, 22.0f, 23.0f, 24.0f, 25.0f, 26.0f},
		{0, 12.9f, 18.0f, 19.0f, 20.0f, 21.0f, 22.0f, 23.0f, 24.0f, 25.0f, 26.0f},
		{0, 13.3f, 18.0f, 19.0f, 20.0f, 21.0f, 22.0f, 23.0f, 24.0f, 25.0f, 26.0f},
	},
};

typedef float GcEight __attribute__((vector_size(32)));

// gc_dct8 transforms eight columns of eight values: the orthonormal DCT-II.
static inline void gc_dct8(GcEight *d) {
	const GcEight s0 = d[0] + d[7], s1 = d[1] + d[6], s2 = d[2] + d[5], s3 = d[3] + d[4];
	const GcEight d0 = d[0] - d[7], d1 = d[1] - d[6], d2 = d[2] - d[5], d3 = d[3] - d[4];
	const GcEight a = s0 + s3, b = s1 + s2, c = s0 - s3, e = s1 - s2;
	const float c1 = 0.49039264f, c2 = 0.46193977f, c3 = 0.41573481f, c4 = 0.35355339f, c5 = 0.27778512f, c6 = 0.19134172f, c7 = 0.09754516f;
	d[0] = (a + b) * c4;
	d[4] = (a - b) * c4;
	d[2] = c * c2 + e * c6;
	d[6] = c * c6 - e * c2;
	d[1] = c1 * d0 + c3 * d1 + c5 * d2 + c7 * d3;
	d[3] = c3 * d0 - c7 * d1 - c1 * d2 - c5 * d3;
	d[5] = c5 * d0 - c1 * d1 + c7 * d2 + c3 * d3;
	d[7] = c7 * d0 - c5 * d1 + c3 * d2 - c1 * d3;
}

static inline void gc_transpose(const GcEight *in, GcEight *out) {
	for (int y = 0; y < 8; y++)
		for (int x = 0; x < 8; x++)
			out[x][y] = in[y][x];
}

// gc_dct transforms the block whose rows are stride apart. The coefficients are stored by columns: that of u across and
// v down is at 8 * u + v.
static void gc_dct(const float *in, size_t stride, float *out) {
	GcEight d[8], t[8];
	for (int y = 0; y < 8; y++)
		memcpy(&d[y], in + y * stride, sizeof d[y]);
	gc_dct8(d);
	gc_transpose(d, t);
	gc_dct8(t);
	memcpy(out, t, sizeof t);
}

// GcQuant is the quantisation of the blocks of one component. Its lists are by columns, like the coefficients.
typedef struct {
	float inverse[64];       // one over the step
	float weight[64];        // of an error in steps
	float lambda;            // the error that a bit is worth
	float end;               // bits of an end of block
	const float (*bits)[11]; // bits of a run of zeros and the size of the value that ends it
} GcQuant;

// gc_jpeg_scale is the factor of the steps. A q gives about the score that libjpeg reaches with it: the line was fitted
// to scores of 50, 70 and 80.
static float gc_jpeg_scale(int q) {
	const float percent = q < 50 ? 5000.0f / q : 200 - 2.0f * q;
	return exp2f(2.36f) * powf(percent / 100, 0.82f);
}

// gc_jpeg_quant computes the steps of a component, by rows, and its quantisation. full: chroma has the resolution of
// luma.
static void gc_jpeg_quant(int component, int full, int q, unsigned *steps, GcQuant *out) {
	const float scale = gc_jpeg_scale(q), coarser = component && full ? GC_FULL_COLOUR : 0;
	for (int i = 0; i < 64; i++) {
		const float distance = sqrtf((float) ((i / 8) * (i / 8) + (i % 8) * (i % 8)));
		int k = 0;
		while (k < GC_KNOTS - 2 && distance > gc_distance[k + 1])
			k++;
		const float share = (distance - gc_distance[k]) / (gc_distance[k + 1] - gc_distance[k]), *at = gc_steps[component] + k;
		const int step = (int) (scale * exp2f(at[0] + share * (at[1] - at[0]) + (i ? coarser : coarser / 2)) + 0.5f);
		const int column = i % 8 * 8 + i / 8;
		steps[i] = step < 1 ? 1 : step > 255 ? 255 : (unsigned) step;
		out->inverse[column] = 1.0f / (float) steps[i];
		out->weight[column] = i ? exp2f(-GC_WEIGHT_FALL * (distance - 1) / 8) : 1;
	}
	out->lambda = component ? GC_LAMBDA_COLOUR : GC_LAMBDA_LUMA;
	out->end = component ? GC_END_COLOUR : GC_END_LUMA;
	out->bits = gc_bits[component > 0];
}

enum { GC_ZRL = 13 }; // bits of sixteen zeros

typedef struct {
	int at;     // in zigzag order
	int most;   // the coefficient, rounded
	int kept;   // the value on the best path to here
	int before; // the coefficient before this one on that path; -1 = none
	float cost;
} GcNode;

static inline int gc_size(int v) { return 32 - __builtin_clz((unsigned) v); }

// gc_reach finds the best path to node m. A coefficient of three steps or more is never dropped, so no path skips one;
// this bounds the work.
static inline void gc_reach(const GcQuant *q, float lambda, const float *zeros, GcNode *nodes, int m, float x, float weight) {
	GcNode *n = &nodes[m];
	const int size = gc_size(n->most), less = n->most > 1 && !(n->most & (n->most - 1)) ? n->most - 1 : 0; // A value with fewer bits.
	const float error = (x - n->most) * (x - n->most) * weight, other = (x - less) * (x - less) * weight;
	n->cost = INFINITY;
	for (int j = m - 1; j >= -1; j--) {
		const int from = j < 0 ? 0 : nodes[j].at;
		const float so = (j < 0 ? 0 : nodes[j].cost) + zeros[n->at - 1] - zeros[from];
		if (so < n->cost) {
			const int run = n->at - from - 1;
			const float *bits = q->bits[run & 15], skip = lambda * (float) ((run >> 4) * GC_ZRL);
			const float cost = so + skip + error + lambda * bits[size];
			if (cost < n->cost)
				n->cost = cost, n->before = j, n->kept = n->most;
			if (less) {
				const float lower = so + skip + other + lambda * bits[size - 1];
				if (lower < n->cost)
					n->cost = lower, n->before = j, n->kept = less;
			}
		}
		if (j >= 0 && nodes[j].most > 2)
			break;
	}
}

// gc_keep quantises a block.
static void gc_keep(const GcQuant *q, const float *dct, float lambda, JCOEFPTR out) {
	float x[64], error[64], zeros[64]; // zeros: the error if all coefficients up to here are dropped
	int16_t r[64];
	for (int i = 0; i < 64; i++) {
		x[i] = dct[i] * q->inverse[i];
		r[i] = (int16_t) (fabsf(x[i]) + 0.5f);
		error[i] = x[i] * x[i] * q->weight[i];
	}
	memset(out, 0, 64 * sizeof *out);
	out[0] = (JCOEF) (x[0] < 0 ? -r[0] : r[0]);
	GcNode nodes[63];
	int count = 0, last = -1;
	zeros[0] = 0;
	for (int k = 1; k < 64; k++) {
		const int i = gc_columns[k];
		zeros[k] = zeros[k - 1] + error[i];
		if (r[i])
			nodes[count++] = (GcNode) {.at = k, .most = r[i] > 1023 ? 1023 : r[i]};
	}
	float best = zeros[63] + lambda * q->end;
	for (int m = 0; m < count; m++) {
		const int k = nodes[m].at, i = gc_columns[k];
		gc_reach(q, lambda, zeros, nodes, m, fabsf(x[i]), q->weight[i]);
		if (nodes[m].most > 2)
			best = INFINITY;
		const float cost = nodes[m].cost + zeros[63] - zeros[k] + (k < 63 ? lambda * q->end : 0);
		if (cost < best)
			best = cost, last = m;
	}
	for (int m = last; m >= 0; m = nodes[m].before) {
		const int i = gc_columns[nodes[m].at];
		out[gc_rows[nodes[m].at]] = (JCOEF) (x[i] < 0 ? -nodes[m].kept : nodes[m].kept);
	}
}

// gc_masked is the factor by which errors may be larger in a busy block, where they are less visible.
static inline float gc_masked(const float *dct) {
	float energy = 0;
	for (int i = 1; i < 64; i++)
		energy += dct[i] * dct[i];
	const float s = powf((sqrtf(energy / 64) + 1) / (GC_MASK_AT + 1), GC_MASK);
	return s < 0.1f ? 0.1f : s > 4 ? 4 : s;
}

#endif
