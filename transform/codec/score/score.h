// SSIMULACRA2 2.1 (https://github.com/cloudinary/ssimulacra2), the definition by its steps:
//   linear light, six scales each half of the one before, XYB, Gaussian windows of sigma 1.5, three maps of errors
//   (structure, edges that are new, edges that are lost), their 1-norms and 4-norms, a weighted sum.
// The sums are kept by rows: memory is bounded by the width of the picture. Every operation is done in the same order and
// rounded alike on every machine (no contraction), so that a score is the same wherever it is taken.
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { SCALES = 6, LANES = 8, REACH = 4, RING = 2 * REACH + 1, BLURS = 4, SUMS = 6 };

// level is one scale of both pictures. Rows arrive from the top; a row of the maps is ready REACH rows later.
struct level {
	int width, height, stride, rows;
	int counts[3];             // whether X, Y and B have a weight, see scorer_weigh
	float *xyb[2][3][RING];    // the last rows of both pictures, with REACH zeros before and after
	float *blurred[3][BLURS][RING]; // horizontally: a, b, a*a + b*b, a*b
	float *half[2][3];         // an even row that waits for its odd one, in linear light
	float *work[2];            // one row with margins
	double sums[3][SUMS];      // ssim, ssim^4, new^1, new^4, lost^1, lost^4
};

struct scorer {
	int scales, levels; // of the definition, and those up to the last that counts
	struct level level[SCALES];
	float *linear[2][3]; // the current row
	float *zero;         // a row outside the picture
	float decode[256];   // sRGB to linear light
	void *memory;
};

// Gaussian of sigma 1.5 as in the reference: truncated cosines with N = 5 (Charalampidis 2016), which extend 4 pixels
// to each side. TestWindow computes them from the paper's formulas.
static const float kernel[REACH + 1] = {0.264621105f, 0.212928592f, 0.109335373f, 0.0360111147f, 0.00941436781f};

static float kernel_at(int i) { return kernel[i]; }

// The XYB colour space of JPEG XL: absorbance matrix and bias.
static const float absorbance[3][3] = {
	{0.30f, 0.622f, 0.078f},
	{0.23f, 0.692f, 0.078f},
	{0.24342268924547819f, 0.20476744424496821f, 0.55180986650955360f},
};
#define OPSIN_BIAS 0.0037930732552754493f
#define OPSIN_BIAS_ROOT 0.155954200549248620f

// weights by X, Y and B; by scale; by 1-norm and 4-norm; by ssim, new and lost edges.
static const double weights[3 * SCALES * 2 * 3] = {
	0.0, 0.0007376606707406586, 0.0, 0.0, 0.0007793481682867309, 0.0,
	0.0, 0.0004371155730107379, 0.0, 1.1041726426657346, 0.00066284834129271, 0.00015231632783718752,
	0.0, 0.0016406437456599754, 0.0, 1.8422455520539298, 11.441172603757666, 0.0,
	0.0007989109436015163, 0.000176816438078653, 0.0, 1.8787594979546387, 10.94906990605142, 0.0,
	0.0007289346991508072, 0.9677937080626833, 0.0, 0.00014003424285435884, 0.9981766977854967, 0.00031949755934435053,
	0.0004550992113792063, 0.0, 0.0, 0.0013648766163243398, 0.0, 0.0,
	0.0, 0.0, 0.0, 7.466890328078848, 0.0, 17.445833984131262,
	0.0006235601634041466, 0.0, 0.0, 6.683678146179332, 0.00037724407979611296, 1.027889937768264,
	225.20515300849274, 0.0, 0.0, 19.213238186143016, 0.0011401524586618361, 0.001237755635509985,
	176.39317598450694, 0.0, 0.0, 24.43300999870476, 0.28520802612117757, 0.0004485436923833408,
	0.0, 0.0, 0.0, 34.77906344483772, 44.835625328877896, 0.0,
	0.0, 0.0, 0.0, 0.0, 0.0, 0.0,
	0.0, 0.0008680556573291698, 0.0, 0.0, 0.0, 0.0,
	0.0, 0.0005313191874358747, 0.0, 0.00016533814161379112, 0.0, 0.0,
	0.0, 0.0, 0.0, 0.0004179171803251336, 0.0017290828234722833, 0.0,
	0.0020827005846636437, 0.0, 0.0, 8.826982764996862, 23.19243343998926, 0.0,
	95.1080498811086, 0.9863978034400682, 0.9834382792465353, 0.0012286405048278493, 171.2667255897307, 0.9807858872435379,
	0.0, 0.0, 0.0, 0.0005130064588990679, 0.0, 0.00010854057858411537,
};

static double weight_at(int i) { return weights[i]; }

#define NAME(x) x##_plain
#include "score_rows.h"
#undef NAME

#if defined(__x86_64__)
#pragma GCC push_options
#pragma GCC target("avx2")
#define NAME(x) x##_avx2
#include "score_rows.h"
#undef NAME
#pragma GCC pop_options
#endif

static size_t level_floats(const struct level *l) {
	return (size_t)(l->stride + 2 * REACH) * (2 * 3 * RING + 2) + (size_t)l->stride * (3 * BLURS * RING + 2 * 3);
}

// scorer_lay sets up the levels and returns the bytes that they need; 0 for a size without a score.
static size_t scorer_lay(struct scorer *s, int width, int height) {
	if (width < 1 || height < 1) return 0;
	size_t floats = (size_t)(width + LANES) * 6 + (size_t)(width + LANES + 2 * REACH);
	s->scales = 0;
	// As in the reference, a scale is used if the one before it has at least 8 pixels on each side.
	for (int w = width, h = height, n = 0; n < SCALES; n++) {
		struct level *l = &s->level[s->scales++];
		l->width = w, l->height = h, l->stride = (w + LANES - 1) / LANES * LANES;
		floats += level_floats(l);
		if (w < 8 || h < 8) { if (n == 0) return 0; break; }
		w = (w + 1) / 2, h = (h + 1) / 2;
	}
	return floats * sizeof(float);
}

// LEAST is the smallest weight that counts. The largest below it, 0.0017, changes a score of 70 by 0.01 if its map is in
// error by 1 everywhere. Skipped are X and B of the first scale, which has three quarters of all samples, B of the next
// two, and all of the last.
#define LEAST 0.003

// scorer_weigh finds out which planes count, and drops the last levels if none of theirs does. As in the reference, the
// weights of a picture with fewer scales are not those of the same scales of a larger one.
static void scorer_weigh(struct scorer *s) {
	for (int n = 0; n < s->scales; n++)
		for (int c = 0; c < 3; c++) {
			s->level[n].counts[c] = 0;
			for (int i = 0; i < SUMS; i++)
				if (weights[SUMS * (c * s->scales + n) + i] >= LEAST) s->level[n].counts[c] = 1, s->levels = n + 1;
		}
}

static float *take(float **at, size_t floats) {
	float *p = *at;
	*at += floats;
	return p;
}

// scorer_new returns NULL if there is no memory, or no score for pictures of this size.
static struct scorer *scorer_new(int width, int height) {
	struct scorer *s = calloc(1, sizeof *s);
	if (!s) return NULL;
	size_t size = scorer_lay(s, width, height);
	if (!size || !(s->memory = calloc(1, size))) { free(s); return NULL; }
	scorer_weigh(s);
	float *at = s->memory;
	s->zero = take(&at, width + LANES + 2 * REACH);
	for (int i = 0; i < 2; i++)
		for (int c = 0; c < 3; c++) s->linear[i][c] = take(&at, width + LANES);
	for (int n = 0; n < s->levels; n++) {
		struct level *l = &s->level[n];
		for (int i = 0; i < 2; i++) l->work[i] = take(&at, l->stride + 2 * REACH);
		for (int i = 0; i < 2; i++) {
			for (int c = 0; c < 3; c++) {
				l->half[i][c] = take(&at, l->stride);
				for (int r = 0; r < RING; r++) l->xyb[i][c][r] = take(&at, l->stride + 2 * REACH);
			}
		}
		for (int c = 0; c < 3; c++)
			for (int b = 0; b < BLURS; b++)
				for (int r = 0; r < RING; r++) l->blurred[c][b][r] = take(&at, l->stride);
	}
	for (int v = 0; v < 256; v++) {
		double f = v / 255.0;
		s->decode[v] = f <= 0.04045 ? f / 12.92 : pow((f + 0.055) / 1.055, 2.4);
	}
	return s;
}

static void scorer_free(struct scorer *s) {
	if (s) free(s->memory);
	free(s);
}

static double pooled(const struct scorer *s) {
	double sum = 0;
	for (int c = 0; c < 3; c++)
		for (int n = 0; n < s->levels; n++) {
			const struct level *l = &s->level[n];
			const double *w = weights + SUMS * (c * s->scales + n);
			double one = 1.0 / ((double)l->width * l->height);
			for (int norm = 0; norm < 2; norm++)
				for (int map = 0; map < 3; map++) {
					double v = l->sums[c][2 * map + norm] * one;
					sum += *w++ * (norm ? sqrt(sqrt(v)) : v);
				}
		}
	sum *= 0.9562382616834844;
	sum = 2.326765642916932 * sum - 0.020884521182843837 * sum * sum + 6.248496625763138e-05 * sum * sum * sum;
	return sum > 0 ? 100 - 10 * pow(sum, 0.6276336467831387) : 100;
}

// scorer_run compares two pictures of 8-bit sRGB with 3 or 4 bands. The fourth band is alpha; such a picture is laid on
// a grey of value ground.
static double scorer_run(struct scorer *s, const uint8_t *a, const uint8_t *b, size_t pitch_a, size_t pitch_b, int bands_a, int bands_b, float ground) {
#if defined(__x86_64__)
	if (__builtin_cpu_supports("avx2")) {
		score_avx2(s, a, b, pitch_a, pitch_b, bands_a, bands_b, ground);
		return pooled(s);
	}
#endif
	score_plain(s, a, b, pitch_a, pitch_b, bands_a, bands_b, ground);
	return pooled(s);
}
