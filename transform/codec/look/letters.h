// The size of letters, by the height of the lines of print.
#ifndef GOLDCREST_LETTERS_H
#define GOLDCREST_LETTERS_H

#include "probe.h"

typedef struct {
	long all, small, tiny; // lines of print; tiny ones are small, too
} GcLines;

// gc_lines counts the lines of print in a tile: rows with many steps between calm ones. The height of a line is that of
// letters without ascenders. Lines that touch the edge of the tile are cut, and do not count. Thin ones are rules.
GC_FN void gc_lines(const float *p, GcLines *l) {
	enum { THIN = 3, TINY = 5, SMALL = 6, STEP = 8 };
	float steps[GC_TILE] = {0}, most = 0, least = INFINITY;
	for (int y = 0; y < GC_TILE; y++, p += GC_TILE) {
		for (int x = 1; x < GC_TILE; x++)
			steps[y] += fabsf(p[x] - p[x - 1]);
		most = fmaxf(most, steps[y]);
		least = fminf(least, steps[y]);
	}
	if (most < STEP * (GC_TILE - 1) || least > 0.25f * most)
		return; // plain, or noise
	for (int y = 1, top = 0; y < GC_TILE; y++) {
		const int before = steps[y - 1] > 0.4f * most, here = steps[y] > 0.4f * most, height = y - top;
		if (here && !before)
			top = y;
		if (!before || here || !top || height < THIN)
			continue;
		l->all++;
		l->small += height <= SMALL;
		l->tiny += height <= TINY;
	}
}

// gc_letters counts the lines of print in a sample.
GC_FN GcLines gc_letters(const uint8_t *rgb, int tiles) {
	GcLines l = {0};
	GcTile t;
	for (int i = 0; i < tiles; i++) {
		gc_planes(rgb + ((size_t) (i / GC_ACROSS) * GC_TILE * GC_ACROSS + i % GC_ACROSS) * GC_TILE * 3, &t);
		gc_lines(t.y, &l);
	}
	return l;
}

#endif
