// The loops over rows of score.h. The file is included once for each instruction set: NAME names its functions.
#ifndef SCORE_VECTORS
#define SCORE_VECTORS
typedef float vf __attribute__((vector_size(4 * LANES), aligned(4)));
typedef int32_t vi __attribute__((vector_size(4 * LANES), aligned(4)));
#define SPLAT(x) ((vf){x, x, x, x, x, x, x, x})
#endif

static inline vf NAME(positive)(vf x) { return (vf)((vi)x & (x > SPLAT(0))); }
static inline vf NAME(absolute)(vf x) { return (vf)((vi)x & 0x7fffffff); }

// cube_root is exact to about 2^-22 for x in [2^-9, 2]: a third of the exponent is the first guess, then Halley's
// method runs twice.
static inline vf NAME(cube_root)(vf x) {
	vf third = __builtin_convertvector((vi)x, vf) * SPLAT(1.0f / 3);
	vf y = (vf)(__builtin_convertvector(third, vi) + 0x2a514067);
	for (int i = 0; i < 2; i++) {
		vf y3 = y * y * y;
		y = y * ((y3 + x + x) / (y3 + y3 + x));
	}
	return y;
}

// to_xyb converts a row of linear light to the XYB of the metric, in which every value is positive. It leaves out B if
// with_b is 0.
static void NAME(to_xyb)(const float *const linear[3], float *const xyb[3], int width, int with_b) {
	for (int x = 0; x < width; x += LANES) {
		vf in[3], root[3];
		for (int c = 0; c < 3; c++) in[c] = *(const vf *)(linear[c] + x);
		for (int c = 0; c < 2 + with_b; c++) {
			vf mixed = in[0] * SPLAT(absorbance[c][0]) + in[1] * SPLAT(absorbance[c][1]) + in[2] * SPLAT(absorbance[c][2]) + SPLAT(OPSIN_BIAS);
			root[c] = NAME(cube_root)(mixed) - SPLAT(OPSIN_BIAS_ROOT);
		}
		vf luma = (root[0] + root[1]) * SPLAT(0.5f);
		*(vf *)(xyb[0] + x) = (root[0] - root[1]) * SPLAT(0.5f * 14) + SPLAT(0.42f);
		*(vf *)(xyb[1] + x) = luma + SPLAT(0.01f);
		if (with_b) *(vf *)(xyb[2] + x) = root[2] - luma + SPLAT(0.55f);
	}
	// Beyond the width the window sees zeros.
	for (int c = 0; c < 3; c++)
		memset(xyb[c] + width, 0, ((size_t)(width + LANES - 1) / LANES * LANES - width + REACH) * sizeof(float));
}

static void NAME(blur_across)(const float *in, float *out, int stride) {
	for (int x = 0; x < stride; x += LANES) {
		vf sum = *(const vf *)(in + x) * SPLAT(kernel[0]);
		for (int k = 1; k <= REACH; k++) sum += (*(const vf *)(in + x - k) + *(const vf *)(in + x + k)) * SPLAT(kernel[k]);
		*(vf *)(out + x) = sum;
	}
}

static inline vf NAME(blur_down)(float *const rows[RING], int x) {
	vf sum = *(const vf *)(rows[REACH] + x) * SPLAT(kernel[0]);
	for (int k = 1; k <= REACH; k++) sum += (*(const vf *)(rows[REACH - k] + x) + *(const vf *)(rows[REACH + k] + x)) * SPLAT(kernel[k]);
	return sum;
}

// maps adds the errors of row y to the sums. Every row within REACH of it has been blurred horizontally.
static void NAME(maps)(struct level *l, const float *zero, int y) {
	for (int c = 0; c < 3; c++) {
		if (!l->counts[c]) continue;
		float *rows[BLURS][RING];
		for (int b = 0; b < BLURS; b++)
			for (int k = -REACH; k <= REACH; k++)
				rows[b][k + REACH] = y + k < 0 || y + k >= l->height ? (float *)zero : l->blurred[c][b][(y + k) % RING];
		const float *a = l->xyb[0][c][y % RING] + REACH, *b = l->xyb[1][c][y % RING] + REACH;
		vf sum[SUMS];
		memset(sum, 0, sizeof sum);
		for (int x = 0; x < l->width; x += LANES) {
			vf m1 = NAME(blur_down)(rows[0], x), m2 = NAME(blur_down)(rows[1], x);
			vf squares = NAME(blur_down)(rows[2], x), s12 = NAME(blur_down)(rows[3], x);
			vf apart = m1 - m2;
			vf num = (SPLAT(1) - apart * apart) * (SPLAT(2) * (s12 - m1 * m2) + SPLAT(0.0009f));
			vf den = squares - (m1 * m1 + m2 * m2) + SPLAT(0.0009f);
			vf d = NAME(positive)(SPLAT(1) - num / den);
			vf e1 = SPLAT(1) + NAME(absolute)(*(const vf *)(a + x) - m1);
			vf e2 = SPLAT(1) + NAME(absolute)(*(const vf *)(b + x) - m2);
			vf edge = e2 / e1 - SPLAT(1);
			vf new = NAME(positive)(edge), lost = NAME(positive)(-edge);
			if (x + LANES > l->width) {
				vi inside;
				for (int i = 0; i < LANES; i++) inside[i] = x + i < l->width ? -1 : 0;
				d = (vf)((vi)d & inside), new = (vf)((vi)new & inside), lost = (vf)((vi)lost & inside);
			}
			vf d2 = d * d, n2 = new * new, l2 = lost * lost;
			sum[0] += d, sum[1] += d2 * d2, sum[2] += new, sum[3] += n2 * n2, sum[4] += lost, sum[5] += l2 * l2;
		}
		for (int i = 0; i < SUMS; i++)
			for (int k = 0; k < LANES; k++) l->sums[c][i] += sum[i][k];
	}
}

// push adds the next row of both pictures to a level, and every second time one to the next level.
static void NAME(push)(struct scorer *s, int n, float *const linear[2][3]) {
	struct level *l = &s->level[n];
	int y = l->rows++, slot = y % RING;
	for (int i = 0; i < 2; i++) {
		float *xyb[3];
		for (int c = 0; c < 3; c++) xyb[c] = l->xyb[i][c][slot] + REACH;
		NAME(to_xyb)((const float *const *)linear[i], xyb, l->width, l->counts[2]);
	}
	for (int c = 0; c < 3; c++) {
		if (!l->counts[c]) continue;
		const float *a = l->xyb[0][c][slot] + REACH, *b = l->xyb[1][c][slot] + REACH;
		float *squares = l->work[0] + REACH, *ab = l->work[1] + REACH;
		for (int x = 0; x < l->stride; x += LANES) {
			vf p = *(const vf *)(a + x), q = *(const vf *)(b + x);
			*(vf *)(squares + x) = p * p + q * q;
			*(vf *)(ab + x) = p * q;
		}
		const float *in[BLURS] = {a, b, squares, ab};
		for (int k = 0; k < BLURS; k++) NAME(blur_across)(in[k], l->blurred[c][k][slot], l->stride);
	}
	if (y >= REACH) NAME(maps)(l, s->zero, y - REACH);
	if (n + 1 < s->levels) {
		int odd = y & 1, last = y == l->height - 1;
		if (!odd && !last) {
			for (int i = 0; i < 2; i++)
				for (int c = 0; c < 3; c++) memcpy(l->half[i][c], linear[i][c], l->width * sizeof(float));
		} else {
			// A picture of odd size repeats its last row and column.
			float *down[2][3];
			for (int i = 0; i < 2; i++)
				for (int c = 0; c < 3; c++) {
					const float *up = odd ? l->half[i][c] : linear[i][c], *low = linear[i][c];
					float *out = down[i][c] = l->half[i][c];
					int w = l->width;
					for (int x = 0; x < w / 2; x++) out[x] = (up[2 * x] + up[2 * x + 1] + low[2 * x] + low[2 * x + 1]) * 0.25f;
					if (w & 1) out[w / 2] = (up[w - 1] + low[w - 1]) * 0.5f;
				}
			NAME(push)(s, n + 1, down);
		}
	}
	if (y == l->height - 1)
		for (int left = l->height > REACH ? l->height - REACH : 0; left < l->height; left++) NAME(maps)(l, s->zero, left);
}

static void NAME(decode)(const struct scorer *s, const uint8_t *in, int bands, float ground, int width, float *const out[3]) {
	if (bands == 3) {
		for (int x = 0; x < width; x++, in += 3)
			for (int c = 0; c < 3; c++) out[c][x] = s->decode[in[c]];
		return;
	}
	for (int x = 0; x < width; x++, in += 4) {
		float alpha = in[3] * (1.0f / 255);
		for (int c = 0; c < 3; c++) {
			float v = (alpha * (in[c] * (1.0f / 255)) + (1 - alpha) * ground);
			out[c][x] = v <= 0.04045f ? v / 12.92f : powf((v + 0.055f) / 1.055f, 2.4f);
		}
	}
}

static void NAME(score)(struct scorer *s, const uint8_t *a, const uint8_t *b, size_t pitch_a, size_t pitch_b, int bands_a, int bands_b, float ground) {
	for (int n = 0; n < s->levels; n++) {
		s->level[n].rows = 0;
		memset(s->level[n].sums, 0, sizeof s->level[n].sums);
	}
	for (int y = 0; y < s->level[0].height; y++) {
		NAME(decode)(s, a + y * pitch_a, bands_a, ground, s->level[0].width, s->linear[0]);
		NAME(decode)(s, b + y * pitch_b, bands_b, ground, s->level[0].width, s->linear[1]);
		NAME(push)(s, 0, s->linear);
	}
}
